"""What a refiner may bring into a pass, against a pass written out block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.vision import VisionTower
from zsad.errors import InputError
from zsad.streams import (
    BlockState,
    Injection,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    WindowRequest,
)
from zsad.values import Stage, TokenSet

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
LAST, PATCHES = 4, 64


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def tower(tiny_backbone: ClipBackbone) -> VisionTower:
    tower = tiny_backbone.vision_tower()
    tower.counts.clear()
    return tower


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def embedded(tower: VisionTower, images: Tensor) -> Tensor:
    """Class token and patches with their positions, before ln_pre."""
    patches = tower.patch_embedding(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([tower.class_embedding.expand(len(images), 1, -1), patches], 1)
    return tokens + tower.position_embedding


def attended(block: nn.Module, x: Tensor, first: str = "q", second: str = "k") -> Tensor:
    """A block's attention, heads one after the other."""
    y = block.ln_1(x)
    a, b, v = (getattr(block, f"{letter}_proj")(y) for letter in (first, second, "v"))
    size = x.shape[-1] // block.heads
    heads = []
    for head in range(block.heads):
        own = slice(head * size, (head + 1) * size)
        weights = torch.softmax(a[..., own] @ b[..., own].transpose(1, 2) * size**-0.5, -1)
        heads.append(weights @ v[..., own])
    return block.out_proj(torch.cat(heads, -1))


def read(
    tower: VisionTower, images: Tensor, request: TokenRequest, injection: Injection | None
) -> tuple[TokenSet, Tensor]:
    (output,) = tower(images, [VisionRequest((request,))], injection=injection)
    return output.token_sets[0], output.image_feature


def staged(tower: VisionTower, x: Tensor, stage: Stage) -> Tensor:
    if stage == "raw":
        return x
    normed: Tensor = tower.ln_post(x)
    return normed if stage == "ln_post" else normed @ tower.projection


@pytest.mark.parametrize("stage", ["raw", "ln_post", "joint"])
def test_tokens_that_enter_as_the_class_token_does(tower: VisionTower, images: Tensor, stage: Stage) -> None:
    added = torch.randn(1, 1, 2, 64, generator=torch.Generator().manual_seed(2))
    # In front, as published code has it: attention does not care for the order.
    x = torch.cat([(added[0] + tower.position_embedding[0]).expand(2, -1, -1), embedded(tower, images)], 1)
    x = tower.ln_pre(x)
    for number, block in enumerate(tower.blocks, 1):
        x = block(x)
        if number == 2:
            tapped = staged(tower, x, stage)
    request = TokenRequest("tap", 2, stage=stage)
    found, image = read(tower, images, request, Injection(added, as_class=True))
    assert tower.counts["passes"] == 1 and found.injected is not None and found.class_token is not None
    torch.testing.assert_close(found.injected, tapped[:, :2], **CLOSE)
    torch.testing.assert_close(found.class_token, tapped[:, 2], **CLOSE)
    torch.testing.assert_close(found.tokens, tapped[:, 3:], **CLOSE)
    torch.testing.assert_close(image, staged(tower, x, "joint")[:, 2], **CLOSE)
    plain, _ = read(tower, images, request, None)
    assert plain.injected is None
    assert (found.tokens - plain.tokens).abs().max() > 1e-3


def test_replaced_tokens_can_be_read_in_every_stream(tower: VisionTower, images: Tensor) -> None:
    added = torch.randn(2, 2, 3, 64, generator=torch.Generator().manual_seed(3))
    vv = Stream(1, SelfAttention(("vv",)))
    requests = (
        TokenRequest("output", 1, stage="raw"),
        TokenRequest("attention", 1, point="attention", stage="raw"),
        TokenRequest("vv", 1, vv, stage="raw"),
    )
    (output,) = tower(images, [VisionRequest(requests)], injection=Injection(added))
    x = torch.cat([tower.ln_pre(embedded(tower, images)), added[0]], 1)
    block = tower.blocks[0]
    after = x + attended(block, x)
    expected = (block(x), after, x + attended(block, x, "v", "v"))
    for entry, state in zip(output.token_sets, expected, strict=True):
        assert entry.injected is not None
        torch.testing.assert_close(entry.injected, state[:, 65:], **CLOSE)
        torch.testing.assert_close(entry.tokens, state[:, 1:65], **CLOSE)


@dataclass(frozen=True)
class Mixed:
    """An edit of the kind that adapters are: a little of a rotation, at each token's own length."""

    weight: Tensor

    def __call__(self, state: BlockState) -> Tensor:
        return mixed(state.output, self.weight)


def mixed(x: Tensor, weight: Tensor) -> Tensor:
    turned = F.leaky_relu(x @ weight.T)
    return 0.3 * turned * x.norm(dim=-1, keepdim=True) / turned.norm(dim=-1, keepdim=True) + 0.7 * x


@dataclass(frozen=True)
class ByValues:
    """An edit that attends otherwise, and feeds on."""

    def __call__(self, state: BlockState) -> Tensor:
        after = state.input + state.project(state.attend("vv"))
        return after + state.block.mlp(state.block.ln_2(after))


def test_edits_feed_on(tower: VisionTower, images: Tensor) -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(4)) / 8
    injection = Injection(edits={1: Mixed(weight), 3: ByValues()})
    x = tower.ln_pre(embedded(tower, images))
    states = []
    for number, block in enumerate(tower.blocks, 1):
        if number == 3:
            x = x + attended(block, x, "v", "v")
            x = x + block.mlp(block.ln_2(x))
        else:
            x = block(x)
        x = mixed(x, weight) if number == 1 else x
        states.append(x)
    for number in range(1, LAST + 1):
        request = TokenRequest("tap", number, stage="raw")
        found, image = read(tower, images, request, injection)
        torch.testing.assert_close(found.tokens, states[number - 1][:, 1:], **CLOSE)
        torch.testing.assert_close(found.class_token, states[number - 1][:, 0], **CLOSE)
        assert found.injected is None
    torch.testing.assert_close(image, staged(tower, states[-1], "joint")[:, 0], **CLOSE)


def test_an_edit_pays_for_what_it_reads(tower: VisionTower, images: Tensor) -> None:
    tower.counts.clear()
    tower(images, [VisionRequest()], injection=Injection(edits={3: ByValues()}))
    assert tower.counts["attention:qk"] == 3 and tower.counts["attention:vv"] == 1


def test_a_refined_stream_reads_the_edited_one(tower: VisionTower, images: Tensor) -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(5)) / 8
    request = TokenRequest("vv", 3, Stream(3, SelfAttention(("vv",))), stage="raw")
    found, _ = read(tower, images, request, Injection(edits={2: Mixed(weight)}))
    x = tower.ln_pre(embedded(tower, images))
    x = mixed(tower.blocks[1](tower.blocks[0](x)), weight)
    expected = x + attended(tower.blocks[2], x, "v", "v")
    torch.testing.assert_close(found.tokens, expected[:, 1:], **CLOSE)


def test_windows_see_the_edits_and_not_the_tokens(tower: VisionTower, images: Tensor) -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(6)) / 8
    request = VisionRequest(windows=(WindowRequest("w", 8),))
    tokens = torch.randn(1, 1, 2, 64, generator=torch.Generator().manual_seed(7))
    injection = Injection(tokens, as_class=True, edits={2: Mixed(weight)})
    (output,) = tower(images, [request], injection=injection)
    x = tower.ln_pre(embedded(tower, images))
    for number, block in enumerate(tower.blocks, 1):
        x = mixed(block(x), weight) if number == 2 else block(x)
    expected = staged(tower, x, "joint")[:, :1]  # one window is the whole grid
    torch.testing.assert_close(output.token_sets[0].tokens, expected, **CLOSE)


def test_what_cannot_be_injected_is_refused(tower: VisionTower, images: Tensor) -> None:
    for number in (0, 5):
        with pytest.raises(InputError, match=f"block {number} is edited, but this tower has 4 blocks"):
            tower(images, [VisionRequest()], injection=Injection(edits={number: ByValues()}))
    with pytest.raises(ValueError, match="depth 1"):
        Injection(torch.zeros(2, 1, 1, 64), as_class=True)
    with pytest.raises(ValueError, match="depth 1"):
        Injection(as_class=True)
