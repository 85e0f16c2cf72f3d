from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.block import BlockRun
from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.vision import VisionTower, window_index
from zsad.errors import InputError
from zsad.recipe.profiles import TowerProfile
from zsad.streams import (
    Injection,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    WindowRequest,
)
from zsad.values import Grid, Windows

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
LAST = 4


def backbone_of(module: nn.Module, dtype: torch.dtype) -> ClipBackbone:
    name = BackboneName(f"{CONFIG}@random:0", str(CONFIG), seed=0)
    return from_open_clip(module, name, BackboneCard("tiny", "nothing"), torch.device("cpu"), dtype)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(**json.loads(CONFIG.read_text())).eval()


@pytest.fixture(scope="module")
def backbone(module: nn.Module) -> ClipBackbone:
    return backbone_of(module, torch.float32)


@pytest.fixture
def tower(backbone: ClipBackbone) -> VisionTower:
    tower = backbone.vision_tower()
    tower.counts.clear()
    return tower


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def vv(start: int, **options: bool) -> Stream:
    return Stream(start, SelfAttention(("vv",)), **options)


def tokens_of(tower: VisionTower, images: Tensor, *requests: TokenRequest, **options: object) -> list[Tensor]:
    (output,) = tower(images, [VisionRequest(requests)], **options)
    return [entry.tokens for entry in output.token_sets]


@pytest.mark.parametrize("size", [(48, 96), (128, 64)])
def test_other_grids_are_those_of_an_open_clip_made_for_them(
    tower: VisionTower, module: nn.Module, size: tuple[int, int]
) -> None:
    config = json.loads(CONFIG.read_text())
    config["vision_cfg"] |= {"image_size": size}
    theirs = open_clip.CLIP(**config).eval()
    state = module.state_dict()
    open_clip.model.resize_pos_embed(state, theirs, interpolation="bicubic", antialias=True)
    theirs.load_state_dict(state)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    (output,) = tower(images, [VisionRequest((TokenRequest("t", LAST, stage="raw"),))])
    torch.testing.assert_close(output.image_feature, theirs.encode_image(images), **CLOSE)
    expected = theirs.visual.forward_intermediates(images, indices=[LAST - 1], output_fmt="NLC")
    torch.testing.assert_close(output.token_sets[0].tokens, expected["image_intermediates"][0], **CLOSE)
    assert output.token_sets[0].grid == Grid(size[0] // tower.patch_size, size[1] // tower.patch_size)


def test_class_feature_and_taps_are_open_clip_s(
    tower: VisionTower, module: nn.Module, images: Tensor
) -> None:
    requests = tuple(TokenRequest(str(b), b, stage="raw") for b in (1, 3, LAST))
    (output,) = tower(images, [VisionRequest(requests)])
    torch.testing.assert_close(output.image_feature, module.encode_image(images), **CLOSE)
    theirs = module.visual.forward_intermediates(images, indices=[0, 2, 3], output_fmt="NLC")
    for mine, expected in zip(output.token_sets, theirs["image_intermediates"], strict=True):
        torch.testing.assert_close(mine.tokens, expected, **CLOSE)


def test_without_ln_post(tower: VisionTower, module: nn.Module, images: Tensor) -> None:
    request = VisionRequest((TokenRequest("t", LAST, stage="raw"),), cls_ln_post=False)
    (output,) = tower(images, [request])
    (entry,) = output.token_sets
    assert entry.class_token is not None
    torch.testing.assert_close(output.image_feature, entry.class_token @ module.visual.proj, **CLOSE)


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "bicubic_antialias"])
def test_position_embedding_at_another_grid(how: str) -> None:
    embedding = torch.randn(1 + 64, 6)
    mine = resize_position_embedding(embedding, (8, 8), (11, 5), how)  # type: ignore[arg-type]
    mode = how.removesuffix("_antialias")
    grid = embedding[1:].T.reshape(1, 6, 8, 8)
    expected = F.interpolate(grid, (11, 5), mode=mode, antialias=how.endswith("antialias"))
    torch.testing.assert_close(mine[0], embedding[0])
    torch.testing.assert_close(mine[1:], expected[0].flatten(1).T)


def test_kernels_differ_and_every_size_starts_from_the_loaded_embedding(backbone: ClipBackbone) -> None:
    images = torch.randn(1, 3, 96, 96)

    def feature(how: str) -> Tensor:
        profile = TowerProfile.model_validate({"activation": "gelu", "position_embedding": how})
        tower = backbone.vision_tower(profile)
        first = tower(images, [VisionRequest()])[0].image_feature
        tower(torch.randn(1, 3, 128, 128), [])
        assert torch.equal(first, tower(images, [VisionRequest()])[0].image_feature)
        return first

    one, two, three = map(feature, ("bilinear", "bicubic", "bicubic_antialias"))
    assert min((one - two).abs().max(), (two - three).abs().max(), (one - three).abs().max()) > 1e-4


def test_windows_are_short_passes(tower: VisionTower, images: Tensor) -> None:
    (output,) = tower(images, [VisionRequest(windows=(WindowRequest("w", 3, stride=2),))])
    (entry,) = output.token_sets
    assert isinstance(entry.layout, Windows) and entry.layout.incidence.shape == (9, 64)
    patches = tower.patch_embedding(images).flatten(2).transpose(1, 2) + tower.position_embedding[1:]
    first = (tower.class_embedding + tower.position_embedding[0]).expand(2, 1, -1)
    for number, (top, left) in enumerate([(t, s) for t in (0, 2, 4) for s in (0, 2, 4)]):
        covered = [8 * (top + i) + left + j for i in range(3) for j in range(3)]
        assert entry.layout.incidence[number].nonzero().flatten().tolist() == covered
        x = tower.ln_pre(torch.cat([first, patches[:, covered]], 1))
        for block in tower.blocks:
            x = block(x)
        expected = tower.ln_post(x[:, 0]) @ tower.projection
        torch.testing.assert_close(entry.tokens[:, number], expected, **CLOSE)


def test_equal_windows_are_computed_once(tower: VisionTower, images: Tensor) -> None:
    requests = [VisionRequest(windows=(WindowRequest(name, 2),)) for name in ("one", "other")]
    one, other = tower(images, requests)
    assert tower.counts["window_passes"] == 1
    assert (one.token_sets[0].name, other.token_sets[0].name) == ("one", "other")
    assert one.token_sets[0].tokens is other.token_sets[0].tokens


def test_a_window_larger_than_the_grid_is_refused() -> None:
    with pytest.raises(InputError, match="5 x 5 patches does not fit the 4 x 8 grid"):
        window_index(Grid(4, 8), 5, 1)


def test_equal_terms_of_different_streams_are_computed_once(tower: VisionTower, images: Tensor) -> None:
    one, other = TokenRequest("a", LAST, vv(2)), TokenRequest("b", LAST, vv(3))
    alone = [tokens_of(tower, images, request)[0] for request in (one, other)]
    tower.counts.clear()
    together = tower(images, [VisionRequest((one,)), VisionRequest((other,))])
    assert tower.counts["terms"] == tower.counts["attention:vv"] == 3
    for output, tokens in zip(together, alone, strict=True):
        torch.testing.assert_close(output.token_sets[0].tokens, tokens, atol=1e-6, rtol=1e-6)


def test_streams_end_at_their_last_tap(tower: VisionTower, images: Tensor) -> None:
    tokens_of(tower, images, TokenRequest("a", 2, vv(1)))
    assert tower.counts["terms"] == 2


def test_a_stream_before_its_start_is_the_ordinary_one(tower: VisionTower, images: Tensor) -> None:
    streams = [vv(3), vv(3, cumulative=False), vv(3, cumulative=False, class_token=False)]
    plain, *refined = tokens_of(
        tower, images, TokenRequest("o", 2), *(TokenRequest(str(i), 2, s) for i, s in enumerate(streams))
    )
    for tokens in refined:
        assert torch.equal(tokens, plain)


def test_injected_tokens_take_part_and_are_not_read(tower: VisionTower, images: Tensor) -> None:
    added = torch.randn(2, 1, 3, 64)
    requests = (
        TokenRequest("output", LAST, stage="raw"),
        TokenRequest("attention", LAST, point="attention", stage="raw"),
        TokenRequest("vv", LAST, vv(1), stage="raw"),
    )
    found = tokens_of(tower, images, *requests, injection=Injection(added))
    assert [tuple(tokens.shape) for tokens in found] == [(2, 64, 64)] * 3
    patches = tower.patch_embedding(images).flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_embedding.expand(2, 1, -1), patches], 1) + tower.position_embedding
    x = tower.ln_pre(x)
    stream: Tensor | None = None
    for number, block in enumerate(tower.blocks):
        if number < 2:
            x = torch.cat([x[:, :65], added[number].expand(2, -1, -1)], 1)
        state = BlockRun(block, x, Grid(8, 8), {}, tower.counts)
        stream = (x if stream is None else stream) + state.project(state.attend("vv"))
        before, x = x, block(x)
    assert stream is not None
    torch.testing.assert_close(found[0], x[:, 1:65], **CLOSE)
    torch.testing.assert_close(found[2][:, :64], stream[:, 1:65], **CLOSE)
    y = tower.blocks[-1].ln_1(before)
    q, k, v = (p(y).unflatten(-1, (4, 16)).transpose(1, 2) for p in projections(tower.blocks[-1]))
    heads = torch.softmax(q @ k.transpose(-1, -2) / 4, -1) @ v
    attended = before + tower.blocks[-1].out_proj(heads.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(found[1], attended[:, 1:65], **CLOSE)


def projections(block: nn.Module) -> tuple[nn.Module, ...]:
    return block.q_proj, block.k_proj, block.v_proj


def test_what_cannot_be_read_is_refused(tower: VisionTower, images: Tensor) -> None:
    with pytest.raises(InputError, match="'far' is read at block 5, but this tower has 4"):
        tokens_of(tower, images, TokenRequest("far", 5))
    with pytest.raises(ValueError, match="after attention"):
        TokenRequest("t", 2, vv(1), point="attention")
    with pytest.raises(ValueError, match="cumulative"):
        vv(1, class_token=False)


@pytest.mark.parametrize("size", [0, 7, 65])
def test_an_image_size_that_is_no_number_of_patches(tower: VisionTower, size: int) -> None:
    with pytest.raises(InputError, match=f"image size {size} is not a multiple .* patch size 8"):
        tower.check_image_size(size)


def test_bfloat16_is_close_to_float32(module: nn.Module, backbone: ClipBackbone, images: Tensor) -> None:
    request = VisionRequest((TokenRequest("t", LAST, vv(1)),), (WindowRequest("w", 2),))
    (full,) = backbone.vision_tower()(images, [request])
    (half,) = backbone_of(module, torch.bfloat16).vision_tower()(images, [request])
    for one, other in zip(full.token_sets, half.token_sets, strict=True):
        assert other.tokens.dtype == torch.bfloat16
        cosine = F.cosine_similarity(one.tokens, other.tokens.float(), dim=-1)
        assert cosine.min() > 0.995
