"""Vision and text towers against open_clip's own forward passes."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F

from zsad.backbones.clip import BackboneCard, ClipBackbone, state_digest
from zsad.backbones.names import parse_backbone
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.streams import (
    InjectedTokens,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    WindowRequest,
)
from zsad.errors import InputError
from zsad.values import DeepPrompts, Windows

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return open_clip.CLIP(**json.loads(CONFIG.read_text())).eval()


@pytest.fixture(scope="module")
def backbone(module) -> ClipBackbone:
    name = parse_backbone(f"{CONFIG}@random:0")
    return from_open_clip(module, name, BackboneCard("tiny", "nothing"), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def test_image_features_and_taps(module, backbone, images) -> None:
    taps = tuple(TokenRequest(f"t{block}", block, stage="raw") for block in (2, 4))
    (output,) = backbone.vision_tower()(images, [VisionRequest(taps)])
    torch.testing.assert_close(output.image_feature, module.encode_image(images), **CLOSE)
    expected = module.visual.forward_intermediates(
        images, indices=[1, 3], output_fmt="NLC", output_extra_tokens=True
    )
    for entry, tokens, prefix in zip(
        output.token_sets,
        expected["image_intermediates"],
        expected["image_intermediates_prefix"],
        strict=True,
    ):
        torch.testing.assert_close(entry.tokens, tokens, **CLOSE)
        torch.testing.assert_close(entry.class_token, prefix[:, 0], **CLOSE)


def test_module_stays_untouched_and_weights_are_shared(module, backbone, images) -> None:
    before = state_digest(module.state_dict())
    tower = backbone.vision_tower()
    tower(images, [VisionRequest((TokenRequest("v", 4, Stream(1, SelfAttention())),))])
    assert state_digest(module.state_dict()) == before == backbone.sha256
    for part in module.modules():
        assert not part._forward_hooks and not part._forward_pre_hooks
    weight = module.visual.transformer.resblocks[0].attn.in_proj_weight
    assert tower.blocks[0].q_proj.weight.data_ptr() == weight.data_ptr()
    other = backbone.vision_tower(backbone.native_profile.model_copy(update={"activation": "quick_gelu"}))
    assert other.blocks[0].fc1.weight.data_ptr() == tower.blocks[0].fc1.weight.data_ptr()


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "bicubic_antialias"])
def test_position_embedding_at_another_grid(how) -> None:
    embedding = torch.randn(1 + 64, 6)
    grid = embedding[1:].reshape(8, 8, 6).permute(2, 0, 1)[None]
    mode, antialias = ("bilinear", False) if how == "bilinear" else ("bicubic", how.endswith("antialias"))
    for size in ((5, 5), (11, 7)):
        resized = resize_position_embedding(embedding, (8, 8), size, how)
        expected = F.interpolate(grid, size, mode=mode, align_corners=False, antialias=antialias)
        torch.testing.assert_close(resized[1:], expected[0].permute(1, 2, 0).reshape(-1, 6))
        assert torch.equal(resized[0], embedding[0])
    assert resize_position_embedding(embedding, (8, 8), (8, 8), how) is embedding


def test_windows_are_short_sequences_with_their_own_positions(backbone, images) -> None:
    tower = backbone.vision_tower()
    (output,) = tower(images, [VisionRequest(windows=(WindowRequest("w", 3, 2),))])
    (entry,) = output.token_sets
    assert isinstance(entry.layout, Windows) and entry.tokens.shape == (3, 9, 32)
    patches = tower.patch_embedding(images).permute(0, 2, 3, 1)
    position = tower.position_embedding[1:].reshape(8, 8, -1)
    window = (patches + position)[:, 2:5, 4:7].flatten(1, 2)  # second row, third column of windows
    first = (tower.class_embedding + tower.position_embedding[0]).expand(3, 1, -1)
    x = tower.ln_pre(torch.cat([first, window], 1))
    for block in tower.blocks:
        x = block(x)
    torch.testing.assert_close(entry.tokens[:, 5], tower.ln_post(x[:, 0]) @ tower.projection, **CLOSE)
    covered = entry.layout.incidence[5].reshape(8, 8)
    assert covered[2:5, 4:7].sum() == covered.sum() == 9
    with pytest.raises(InputError, match="--image-size"):
        tower(images, [VisionRequest(windows=(WindowRequest("w", 9),))])


def test_injected_tokens_are_cut_from_every_stream(backbone, images) -> None:
    tower = backbone.vision_tower()
    stream = Stream(2, SelfAttention(("qq", "kk")))
    request = VisionRequest((TokenRequest("o", 3), TokenRequest("r", 4, stream)))
    plain, *_ = tower(images, [request])
    injected = InjectedTokens(torch.ones(2, 1, 5, 64))
    (output,) = tower(images, [request], injected=injected)
    for one, other in zip(output.token_sets, plain.token_sets, strict=True):
        assert one.tokens.shape == other.tokens.shape == (3, 64, 32)
        assert (one.tokens - other.tokens).abs().max() > 1e-4


def test_bfloat16_is_close(module, images) -> None:
    name = parse_backbone(f"{CONFIG}@random:0")
    half = from_open_clip(module, name, BackboneCard("t", "n"), torch.device("cpu"), torch.bfloat16)
    (output,) = half.vision_tower()(images, [VisionRequest()])
    assert output.image_feature.dtype == torch.bfloat16
    similarity = F.cosine_similarity(output.image_feature.float(), module.encode_image(images))
    assert similarity.min() > 0.99
    assert half.sha256 == state_digest(module.state_dict())


def test_text_features_and_exact_truncation(module, backbone) -> None:
    text = backbone.text_tower()
    ids = text.tokenize(["a photo", "a photo of a rather long and winding cable with a cut", "x"])
    features = text(text.embed(ids), text.end_positions(ids))
    torch.testing.assert_close(features, module.encode_text(ids), **CLOSE)
    nested = text(text.embed(ids)[None].expand(2, -1, -1, -1), text.end_positions(ids))
    torch.testing.assert_close(nested[1], features, **CLOSE)


@pytest.mark.parametrize("cast", [None, "float16"])
def test_deep_prompts_replace_states(backbone, cast) -> None:
    text = backbone.text_tower(backbone.native_text_profile.model_copy(update={"deep_prompt_cast": cast}))
    ids = text.tokenize(["a photo of a gear", "a broken gear"])
    deep = torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(2))
    features = text(text.embed(ids), text.end_positions(ids), DeepPrompts(tuple(deep)))
    x = text.embed(ids) + text.position_embedding
    rounded = deep.half().float() if cast else deep
    for number, block in enumerate(text.blocks):
        if number in (1, 2):
            x[:, 1:5] = rounded[number - 1]
        x = block(x, causal=True)
    expected = text.ln_final(x)[torch.arange(2), text.end_positions(ids)] @ text.projection
    torch.testing.assert_close(features, expected, atol=5e-6, rtol=0)
    other = backbone.text_tower(
        text.profile.model_copy(update={"deep_prompt_cast": None if cast else "float16"})
    )
    changed = other(text.embed(ids), text.end_positions(ids), DeepPrompts(tuple(deep)))
    assert (changed - features).abs().max() > 2e-5  # the rounding shows
