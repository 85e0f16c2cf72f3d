"""Open towers against timm's own forward pass, and what only towers of zsad's blocks can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.backbones.tiny_timm import backbone_over, drawn, dynamic
from zsad.backbones.block import BlockRun
from zsad.backbones.timm_weights import is_open
from zsad.backbones.vision import VisionTower
from zsad.errors import InputError
from zsad.streams import Injection, SelfAttention, Stream, TokenRequest, VisionRequest, WindowRequest
from zsad.values import Grid
from zsad.weights.adapter.lora import adapt_backbone, adapter_parameters
from zsad.weights.adapter.options import LoraOptions

SMALL = {
    "vit_small_patch14_dinov2": 70,
    "vit_base_patch14_dinov2": 56,
    "vit_small_patch14_reg4_dinov2": 70,
    "vit_base_patch14_reg4_dinov2": 56,
    "vit_small_patch16_dinov3": 64,
    "vit_small_plus_patch16_dinov3": 48,
    "vit_base_patch32_clip_224": 64,
    "vit_base_patch32_clip_quickgelu_224": 64,
    "vit_base_patch16_siglip_224": 48,
    "vit_base_patch16_siglip_gap_224": 48,
    "vit_small_patch16_224": 48,
    "vit_medium_patch16_reg4_gap_256": 48,
}
"""Models, and the side of the images that each is made for here."""

LEADING = {"reg4_dinov2": 5, "dinov3": 5, "siglip": 0, "reg4_gap": 4}


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=sorted(SMALL))
def pair(request: pytest.FixtureRequest) -> tuple[str, Any, VisionTower]:
    """A model of timm, and the tower over its weights."""
    name = request.param
    depth = {} if name in ("vit_small_patch14_dinov2", "vit_small_patch16_dinov3") else {"depth": 3}
    model = dynamic(name, img_size=SMALL[name], **depth)
    return name, model, tower_over(model, name)


def tower_over(model: Any, name: str, **options: Any) -> VisionTower:
    tower = backbone_over(model, name, SMALL[name], **options).vision_tower()
    assert isinstance(tower, VisionTower)
    return tower


def images_of(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def difference(mine: Tensor, theirs: Tensor) -> float:
    assert mine.shape == theirs.shape
    return float((mine - theirs).abs().max() / theirs.std())


def taps(tower: VisionTower, **options: Any) -> VisionRequest:
    return VisionRequest(tuple(TokenRequest(f"{n}", n, **options) for n in range(1, tower.depth + 1)))


@pytest.mark.parametrize("grid", [(0, 0), (2, -1)], ids=["native", "another"])
def test_every_tap_is_timm_s(pair: tuple[str, Any, VisionTower], grid: tuple[int, int]) -> None:
    name, model, tower = pair
    height, width = (SMALL[name] + tower.patch_size * more for more in grid)
    images, leading = images_of(height, width), model.num_prefix_tokens
    options: dict[str, Any] = {"return_prefix_tokens": True} if leading else {}
    for stage, norm in (("raw", False), ("ln_post", True)):
        (output,) = tower(images, [taps(tower, stage=stage)])
        last, theirs = model.forward_intermediates(images, norm=norm, output_fmt="NLC", **options)
        for entry, found in zip(output.token_sets, theirs, strict=True):
            tokens, before = found if leading else (found, None)
            assert entry.grid == Grid(height // tower.patch_size, width // tower.patch_size)
            assert difference(entry.tokens, tokens) <= 1e-5
            if model.cls_token is None:
                assert entry.class_token is None
            else:
                assert entry.class_token is not None and before is not None
                assert difference(entry.class_token, before[:, 0]) <= 1e-5
            if model.cls_token is None or leading == 1:
                assert entry.registers is None
            else:
                assert entry.registers is not None and before is not None
                assert difference(entry.registers, before[:, 1:]) <= 1e-5
    everything = model.forward_features(images)
    assert difference(output.token_sets[-1].tokens, everything[:, leading:]) <= 1e-5
    assert torch.equal(everything, last)


def test_the_image_feature_is_timm_s(pair: tuple[str, Any, VisionTower]) -> None:
    name, model, tower = pair
    images = images_of(SMALL[name], SMALL[name])
    (output,) = tower(images, [VisionRequest()])
    everything = model.forward_features(images)
    theirs = model.forward_head(everything, pre_logits=True)
    if "dinov3" in name:  # as published; timm's default is the mean of the patches
        assert difference(output.image_feature, theirs) > 0.1
        theirs = everything[:, 0]
    assert difference(output.image_feature, theirs) <= 1e-5
    assert tower.embed_dim == output.image_feature.shape[1] == model.num_features


def test_what_a_tower_is(pair: tuple[str, Any, VisionTower]) -> None:
    name, model, tower = pair
    assert tower.leading == next((count for part, count in LEADING.items() if part in name), 1)
    assert (tower.depth, tower.width) == (len(model.blocks), model.embed_dim)
    assert tower.native_image_size == SMALL[name]
    assert tower.patch_size == model.patch_embed.patch_size[0]
    capabilities = backbone_over(model, name, SMALL[name]).capabilities
    assert capabilities == {"streams"} | ({"cls_token"} if model.cls_token is not None else set())
    expected = {"quickgelu": "quick_gelu", "plus_patch16_dinov3": "swiglu"}
    activation = next((word for part, word in expected.items() if part in name), "gelu")
    assert (tower.profile.activation, tower.profile.position_embedding) == (activation, "bicubic_antialias")


def test_without_a_joint_space_joint_is_ln_post() -> None:
    name = "vit_small_patch14_reg4_dinov2"
    tower = tower_over(drawn(name, img_size=70, depth=2), name)
    requests = VisionRequest((TokenRequest("j", 2), TokenRequest("n", 2, stage="ln_post")))
    joint, normed = tower(images_of(70, 70), [requests])[0].token_sets
    assert torch.equal(joint.tokens, normed.tokens) and joint.space == "joint"


def own_attention(model: Any, name: str, number: int, x: Tensor, grid: Grid, *, pair: str) -> Tensor:
    """softmax(a b^T / sqrt(d)) v, projected and scaled, by timm's modules; x is the block's input."""
    block = model.blocks[number - 1]
    attention = block.attn
    y = block.norm1(x)
    parts = attention.qkv(y).reshape(*x.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    projected = dict(zip("qkv", parts.unbind(0), strict=True))
    values = projected["v"]
    if "dinov3" in name:
        rope, first = model.rope.get_embed(shape=(grid.height, grid.width)), model.num_prefix_tokens
        sine, cosine = rope.chunk(2, -1)
        for letter in "qk":
            patches = projected[letter][:, :, first : first + grid.count]
            half = patches.shape[-1] // 2
            swapped = torch.cat([-patches[..., half:], patches[..., :half]], -1)
            projected[letter] = projected[letter].clone()
            projected[letter][:, :, first : first + grid.count] = patches * cosine + swapped * sine
    scores = projected[pair[0]] @ projected[pair[1]].transpose(-1, -2) / values.shape[-1] ** 0.5
    found = attention.proj((scores.softmax(-1) @ values).transpose(1, 2).flatten(2))
    scaled = found * block.gamma_1 if "dinov3" in name else block.ls1(found)
    return scaled


def state_before(model: Any, images: Tensor, number: int) -> Tensor:
    """Input of a block by timm: leading places and patches."""
    if number == 1:
        embedded = model._pos_embed(model.patch_embed(images))
        return model.norm_pre(embedded[0] if isinstance(embedded, tuple) else embedded)
    ((tokens, before),) = model.forward_intermediates(
        images, indices=[number - 2], output_fmt="NLC", return_prefix_tokens=True, intermediates_only=True
    )
    return torch.cat([before, tokens], dim=1)


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"])
@pytest.mark.parametrize("pair", ["vv", "qq"])
def test_terms_of_refined_streams_carry_the_layer_scale(name: str, pair: str) -> None:
    model = dynamic(name, img_size=SMALL[name], depth=3)
    tower = tower_over(model, name)
    size = tower.patch_size
    images, grid = images_of(4 * size, 3 * size), Grid(4, 3)
    stream = Stream(2, SelfAttention((pair,)))
    request = VisionRequest((TokenRequest("s", 3, stream, stage="raw"),))
    ((entry,),) = (output.token_sets for output in tower(images, [request]))
    expected = state_before(model, images, 2)
    for number in (2, 3):
        expected = expected + own_attention(
            model, name, number, state_before(model, images, number), grid, pair=pair
        )
    assert difference(entry.tokens, expected[:, 5:]) <= 1e-5
    assert entry.class_token is not None
    assert difference(entry.class_token, expected[:, 0]) <= 1e-5


def test_a_term_sees_where_the_patches_are() -> None:
    class Patches:
        def __call__(self, state: BlockRun) -> Tensor:
            return state.input[:, state.leading : state.leading + state.grid.count]

    name = "vit_small_patch14_reg4_dinov2"
    model = drawn(name, img_size=70, depth=2)
    stream = Stream(1, Patches(), cumulative=False, class_token=False)
    tower = tower_over(model, name)
    images = images_of(70, 70)
    request = VisionRequest((TokenRequest("p", 2, stream, stage="raw"), TokenRequest("o", 1, stage="raw")))
    patches, ordinary = tower(images, [request])[0].token_sets
    assert patches.class_token is None and torch.equal(patches.tokens, ordinary.tokens)


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"])
def test_injected_tokens_take_part_and_are_not_read(name: str) -> None:
    model = drawn(
        name, img_size=SMALL[name], depth=2, **({} if "dinov2" in name else {"dynamic_img_size": True})
    )
    tower = tower_over(model, name)
    images = images_of(SMALL[name], SMALL[name])
    tokens = torch.randn(1, 1, 3, tower.width, generator=torch.Generator().manual_seed(2))
    (plain,), (changed,) = (
        tower(images, [taps(tower, stage="raw")], injection=injection)
        for injection in (None, Injection(tokens))
    )
    for before, after in zip(plain.token_sets, changed.token_sets, strict=True):
        assert before.tokens.shape == after.tokens.shape
        assert difference(after.tokens, before.tokens) > 1e-3
    # The first block by hand: queries and keys of injected tokens are not turned.
    x = torch.cat([state_before(model, images, 1), tokens[0].expand(2, -1, -1)], dim=1)
    side = SMALL[name] // tower.patch_size
    y = x + own_attention(model, name, 1, x, Grid(side, side), pair="qk")
    block = model.blocks[0]
    mlp = block.mlp(block.norm2(y))
    y = y + (mlp * block.gamma_2 if "dinov3" in name else block.ls2(mlp))
    assert difference(changed.token_sets[0].tokens, y[:, 5:-3]) <= 1e-5


def test_windows_of_patches_bring_the_registers_along() -> None:
    name = "vit_small_patch14_reg4_dinov2"
    model = drawn(name, img_size=56, depth=2)
    tower = backbone_over(model, name, 56).vision_tower()
    images = images_of(56, 56)
    (output,) = tower(images, [VisionRequest(windows=(WindowRequest("w", 2),))])
    x = state_before(model, images, 1)
    places = [0, 1, 2, 3, 4, 5 + 5, 5 + 6, 5 + 9, 5 + 10]  # the window of rows 1, 2 and columns 1, 2
    expected = model.norm(model.blocks(x[:, places]))[:, 0]
    assert difference(output.token_sets[0].tokens[:, 4], expected) <= 1e-5


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_base_patch16_siglip_224"])
def test_windows_that_cannot_be_read(name: str) -> None:
    tower = tower_over(drawn(name, img_size=SMALL[name], depth=1), name)
    side = SMALL[name]
    with pytest.raises(InputError, match="to read windows of patches by"):
        tower(images_of(side, side), [VisionRequest(windows=(WindowRequest("w", 2),))])


def test_bicubic_offset_is_the_published_sampling() -> None:
    """Form A against sampling written out: grid points as if h were h + 0.1, kernel of a = -0.75."""
    name = "vit_small_patch14_dinov2"
    model = drawn(name, img_size=70, depth=1)
    backbone = backbone_over(model, name, 70)
    profile = backbone.native_profile.model_copy(update={"position_embedding": "bicubic_offset"})
    images = images_of(98, 56)
    request = [VisionRequest((TokenRequest("t", 1, stage="raw"),))]
    (output,) = backbone.vision_tower(profile)(images, request)
    table = model.pos_embed[0, 1:].double().reshape(5, 5, -1)
    weights = [cubic_weights(5, count) for count in (7, 4)]
    position = torch.einsum("ih,jw,hwd->ijd", *weights, table).flatten(0, 1).float()
    patches = model.patch_embed.proj(images).flatten(2).transpose(1, 2)
    first = (model.cls_token[0] + model.pos_embed[0, :1]).expand(2, 1, -1)
    expected = model.blocks(torch.cat([first, patches + position], dim=1))
    assert difference(output.token_sets[0].tokens, expected[:, 1:]) <= 1e-5
    (native,) = backbone.vision_tower()(images, request)
    assert difference(native.token_sets[0].tokens, expected[:, 1:]) > 1e-2
    # On the native grid there is nothing to interpolate, and the two agree.
    both = [
        backbone.vision_tower(each)(images_of(70, 70), request)[0].token_sets[0].tokens
        for each in (profile, None)
    ]
    assert torch.equal(*both)


def cubic_weights(size: int, target: int) -> Tensor:
    matrix = torch.zeros(target, size, dtype=torch.float64)
    for row in range(target):
        x = (row + 0.5) * size / (target + 0.1) - 0.5
        low = int(x // 1)
        for place in range(low - 1, low + 3):
            d, a = abs(x - place), -0.75
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            matrix[row, min(max(place, 0), size - 1)] += near if d <= 1 else far
    return matrix


def test_the_activation_of_gated_blocks_is_fixed() -> None:
    name = "vit_small_plus_patch16_dinov3"
    backbone = backbone_over(drawn(name, img_size=48, depth=1), name, 48)
    gelu = backbone.native_profile.model_copy(update={"activation": "gelu"})
    with pytest.raises(InputError, match=r"'gelu' does not fit .* have 'swiglu'"):
        backbone.vision_tower(gelu)
    name = "vit_small_patch16_224"
    backbone = backbone_over(drawn(name, img_size=48, depth=1), name, 48)
    for activation in ("swiglu", "own"):
        other = backbone.native_profile.model_copy(update={"activation": activation})
        with pytest.raises(InputError, match=rf"'{activation}' does not fit .* have 'gelu'"):
            backbone.vision_tower(other)


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"])
def test_half_precision_runs_and_is_close(name: str) -> None:
    model = dynamic(name, img_size=SMALL[name], depth=3)
    exact, half = tower_over(model, name), tower_over(model, name, dtype=torch.bfloat16)
    images = images_of(SMALL[name], SMALL[name])
    mine, theirs = (
        tower(images, [taps(tower, stage="raw")])[0].token_sets[-1].tokens for tower in (half, exact)
    )
    assert mine.dtype == torch.bfloat16
    assert F.cosine_similarity(mine.float(), theirs, dim=-1).min() > 0.99


@torch.enable_grad()
def test_an_adapter_learns_in_the_blocks() -> None:
    name = "vit_small_patch14_reg4_dinov2"
    plain = backbone_over(drawn(name, img_size=70, depth=2), name, 70)
    adapted = adapt_backbone(plain, LoraOptions(target="vision"))
    request = VisionRequest((TokenRequest("t", 2, stage="ln_post"),))
    (mine,), (before,) = (each.vision_tower()(images_of(70, 70), [request]) for each in (adapted, plain))
    assert torch.equal(mine.token_sets[0].tokens, before.token_sets[0].tokens)
    mine.token_sets[0].tokens.square().sum().backward()
    learned = {key: value.grad for key, value in adapter_parameters(adapted).items() if "lora_B" in key}
    assert len(learned) >= 4 and all(grad is not None and grad.abs().max() > 0 for grad in learned.values())


def test_weights_are_shared_where_nothing_is_folded() -> None:
    model = drawn("vit_small_patch16_224", img_size=48, depth=2)
    tower = tower_over(model, "vit_small_patch16_224")
    block, own = tower.blocks[0], model.blocks[0]
    for mine, theirs in (
        (block.fc1, own.mlp.fc1),
        (block.out_proj, own.attn.proj),
        (block.q_proj, own.attn.qkv),
    ):
        assert mine.weight.untyped_storage().data_ptr() == theirs.weight.untyped_storage().data_ptr()


CHANGES = {
    "q/k norm": {"qk_norm": True},
    "norm of attention": {"scale_attn_norm": True},
    "norm in the MLP": {"scale_mlp_norm": True},
    "pooling by maximum": {"global_pool": "max"},
    "registers in the mean": {"global_pool": "avg", "pool_include_prefix": True},
    "no positions": {"pos_embed": "none"},
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_what_the_blocks_have_not_makes_a_model_opaque(what: str) -> None:
    with torch.device("meta"):
        assert is_open(timm.create_model("vit_tiny_patch16_224", depth=1))
        assert not is_open(timm.create_model("vit_tiny_patch16_224", depth=1, **CHANGES[what]))


@pytest.mark.parametrize(
    "name",
    ["vit_base_patch16_rope_reg1_gap_256", "eva02_tiny_patch14_224", "vit_small_patch16_18x2_224",
     "deit_tiny_distilled_patch16_224", "vit_small_r26_s32_224", "aimv2_large_patch14_224",
     "beit_base_patch16_224"],
)  # fmt: skip
def test_other_transformers_are_opaque(name: str) -> None:
    with torch.device("meta"):
        assert not is_open(timm.create_model(name, depth=1) if "r26" not in name else timm.create_model(name))
