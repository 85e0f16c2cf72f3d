"""Opaque towers give what timm's ``forward_intermediates`` gives, and say what they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.backbones.tiny_timm import backbone_over, drawn
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.backbones.memory import needed_memory
from zsad.backbones.opaque import OpaqueTower
from zsad.errors import InputError
from zsad.streams import Injection, SelfAttention, Stream, TokenRequest, VisionRequest, WindowRequest
from zsad.values import Grid, Sample
from zsad.weights.adapter.lora import adapt_backbone
from zsad.weights.adapter.options import LoraOptions

MODELS = {
    "swin_tiny_patch4_window7_224": ({"depths": (1, 1, 1, 1), "strict_img_size": False}, 224, (96, 224)),
    "convnext_atto": ({}, 224, (64, 96)),
    "resnet18": ({}, 224, (64,)),
    "eva02_tiny_patch14_224": ({"depth": 3, "dynamic_img_size": True}, 224, (56, 224)),
    "xcit_nano_12_p16_224": ({}, 224, (64,)),
}
"""Options, native side, and sides to look at."""


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def loaded(name: str) -> tuple[torch.nn.Module, OpaqueTower]:
    """Return a model and the tower that calls it; its shapes come from a model of full depth."""
    options, side, _ = MODELS[name]
    model = drawn(name, **options)
    tower = backbone_over(model, name, side).vision_tower()
    assert isinstance(tower, OpaqueTower)
    return model, tower


@pytest.fixture(scope="module")
def convnext() -> ClipBackbone:
    return load_backbone("timm:convnext_atto@random:0", "cpu", "float32")


def images_of(side: int) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "convnext_atto", "resnet18"])
def test_taps_of_hierarchical_models_are_timm_s(name: str) -> None:
    model, tower = loaded(name)
    for side in MODELS[name][2]:
        tower.check_image_size(side)
        images = images_of(side)
        blocks = range(1, tower.depth + 1)
        request = VisionRequest(tuple(TokenRequest(f"{n}", n, stage="raw") for n in blocks))
        (output,) = tower(images, [request])
        last, maps = model.forward_intermediates(images)
        assert len(maps) == tower.depth
        for entry, theirs in zip(output.token_sets, maps, strict=True):
            assert entry.grid == Grid(*theirs.shape[2:])
            assert torch.equal(entry.tokens, theirs.flatten(2).transpose(1, 2))
            assert entry.class_token is None
        assert torch.equal(output.image_feature, model.forward_head(last, pre_logits=True))
        assert tower.embed_dim == output.image_feature.shape[1]
        widths = tuple(maps_.shape[1] for maps_ in maps)
        assert tower.tap_widths(blocks, "raw") == widths and tower.width == widths[-1]
        assert tower.levels(side, side) == tuple((m.shape[2] * m.shape[3], m.shape[1]) for m in maps)
    assert tower.patch_size == 32 and tower.native_image_size == 224


def test_taps_of_a_plain_transformer_have_its_class_token() -> None:
    name = "eva02_tiny_patch14_224"
    model, tower = drawn(name, dynamic_img_size=True), None
    tower = backbone_over(model, name, 224).vision_tower()
    assert isinstance(tower, OpaqueTower) and tower.depth == 12 and tower.patch_size == 14
    images = images_of(56)
    (output,) = tower(
        images, [VisionRequest((TokenRequest("a", 2, stage="raw"), TokenRequest("b", 12, stage="raw")))]
    )
    theirs = model.forward_intermediates(
        images, indices=[1, 11], return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True
    )
    for entry, (tokens, before) in zip(output.token_sets, theirs, strict=True):
        assert torch.equal(entry.tokens, tokens) and entry.grid == Grid(4, 4)
        assert entry.class_token is not None and torch.equal(entry.class_token, before[:, 0])
    assert backbone_over(model, name, 224).capabilities == {"cls_token"}


def test_behind_the_final_norm_where_it_fits_all_levels() -> None:
    name = "xcit_nano_12_p16_224"
    model, tower = loaded(name)
    images = images_of(64)
    request = VisionRequest((TokenRequest("a", 3, stage="ln_post"), TokenRequest("b", 12)))
    (output,) = tower(images, [request])
    theirs = model.forward_intermediates(images, indices=[2, 11], norm=True, intermediates_only=True)
    for entry, maps in zip(output.token_sets, theirs, strict=True):
        torch.testing.assert_close(entry.tokens, maps.flatten(2).transpose(1, 2), rtol=0, atol=1e-5)
    assert [entry.space for entry in output.token_sets] == ["ln_post", "joint"]


def test_what_it_has_not_is_named(convnext: ClipBackbone) -> None:
    tower, images = convnext.vision_tower(), images_of(64)
    stream = Stream(1, SelfAttention())
    wrong = {  # by a pattern of the sentence
        "no refined streams, which token set 's' reads": VisionRequest(
            (TokenRequest("s", 2, stream, stage="raw"),)
        ),
        "no state after attention": VisionRequest((TokenRequest("s", 2, point="attention", stage="raw"),)),
        "no windows": VisionRequest(windows=(WindowRequest("w", 2),)),
        "this tower has 4 levels": VisionRequest((TokenRequest("s", 5, stage="raw"),)),
        "no final norm for all its levels, .*--set readout.stage=raw": VisionRequest((TokenRequest("s", 4),)),
        "--set readout.cls_ln_post=true": VisionRequest(cls_ln_post=False),
    }
    for said, request in wrong.items():
        with pytest.raises(InputError, match=f"timm:convnext_atto.*{said}" if "levels" not in said else said):
            tower(images, [request])
    with pytest.raises(InputError, match=r"capability 'streams': nothing can be injected into it"):
        tower(images, [VisionRequest()], injection=Injection(torch.zeros(1, 1, 1, 320)))
    assert convnext.capabilities == frozenset()


def test_sizes_that_it_does_not_take(convnext: ClipBackbone) -> None:
    with pytest.raises(
        InputError, match=r"image size 100 is not a multiple .* size 32; use --image-size 96 or 128"
    ):
        convnext.vision_tower().check_image_size(100)
    fixed = load_backbone("timm:mixer_s32_224@random:0", "cpu", "float32").vision_tower()
    fixed.check_image_size(224)
    with pytest.raises(
        InputError, match=r"mixer_s32_224 takes no image of 100 x 100 pixels; use --image-size 224"
    ):
        fixed.check_image_size(100)
    with pytest.raises(
        InputError, match=r"timm:mixer_s32_224 takes no image of 96 x 96 .*use --image-size 224"
    ):
        fixed.check_image_size(96)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "convnext_atto", "eva02_tiny_patch14_224"])
def test_images_that_keep_their_aspect(name: str) -> None:
    options, native, _ = MODELS[name]
    model = drawn(name, **{key: value for key, value in options.items() if key != "depth"})
    tower = backbone_over(model, name, native).vision_tower()
    assert isinstance(tower, OpaqueTower)
    side = 4 * tower.patch_size
    tower.check_image_size(side, "short-side")
    images = torch.randn(2, 3, side, side + tower.patch_size, generator=torch.Generator().manual_seed(1))
    (output,) = tower(images, [VisionRequest((TokenRequest("t", tower.depth, stage="raw"),))])
    theirs = model.forward_intermediates(images, intermediates_only=True)
    (entry,) = output.token_sets
    assert entry.grid == Grid(*theirs[-1].shape[2:]) and entry.grid.width > entry.grid.height
    assert torch.equal(entry.tokens, theirs[-1].flatten(2).transpose(1, 2))
    expected = tuple((maps.shape[2] * maps.shape[3], maps.shape[1]) for maps in theirs)
    assert tower.levels(*images.shape[2:]) == expected
    with pytest.raises(InputError, match=r"is not a multiple of the backbone's patch size"):
        tower.check_image_size(side + 1, "short-side")


def test_models_of_square_images_alone() -> None:
    fixed = load_backbone("timm:mixer_s32_224@random:0", "cpu", "float32").vision_tower()
    with pytest.raises(
        InputError, match=r"mixer_s32_224 takes no images that are longer .*--set profile.image_resize=squash"
    ):
        fixed.check_image_size(224, "short-side")


def test_its_numerics_are_its_own(convnext: ClipBackbone) -> None:
    for change in ({"activation": "gelu"}, {"position_embedding": "bicubic"}):
        with pytest.raises(
            InputError, match=r"leave profile\.activation and profile\.position_embedding out"
        ):
            convnext.vision_tower(convnext.native_profile.model_copy(update=change))


def test_it_has_no_blocks_to_adapt(convnext: ClipBackbone) -> None:
    assert convnext.blocks("vision") is None
    with pytest.raises(InputError, match=r"opaque tower without blocks to adapt \(capability 'streams'\)"):
        adapt_backbone(convnext, LoraOptions(target="vision"))


def test_memory_counts_the_finest_map(convnext: ClipBackbone) -> None:
    tower, side = convnext.vision_tower(), 224
    states, similarity = 12 * (56 * 56 * 40) * 4, 4 * 49 * 49
    assert needed_memory(tower, side, side) == similarity + states + 48 * side * side


def test_half_precision_moves_the_model() -> None:
    half = load_backbone("timm:convnext_atto@random:0", "cpu", "bfloat16")
    full = load_backbone("timm:convnext_atto@random:0", "cpu", "float32")
    assert half.vision_tower().dtype == torch.bfloat16 and half.sha256 == full.sha256
    (output,) = half.vision_tower()(images_of(64), [VisionRequest((TokenRequest("t", 4, stage="raw"),))])
    assert output.image_feature.dtype == torch.bfloat16 and output.token_sets[0].tokens.shape == (2, 4, 320)


def samples() -> list[Sample]:
    random = np.random.default_rng(3)
    return [Sample(random.integers(0, 256, (50, 60, 3), dtype=np.uint8), "tile") for _ in range(3)]


def test_musc_runs_on_levels_of_one_grid(convnext: ClipBackbone) -> None:
    detector = load_detector("musc", backbone=convnext, image_size=96, overrides=["readout.taps=[4]"])
    prediction = detector.predict(samples(), "tile")
    assert prediction.anomaly_map.shape == (3, 96, 96) and prediction.score.isfinite().all()
    several = load_detector("musc", backbone=convnext, image_size=96)
    with pytest.raises(
        InputError, match=r"one and the same grid, and its token sets have 4; .*readout.taps="
    ):
        several.predict(samples(), "tile")


@pytest.mark.parametrize("method", ["anomalyclip", "crane", "winclip", "adaclip", "filo", "clip-baseline@vv"])
def test_methods_of_streams_are_refused_before_any_pass(convnext: ClipBackbone, method: str) -> None:
    needed = "cls_token" if method in ("winclip", "adaclip") else "streams"
    with pytest.raises(InputError, match=rf"\(attention_refiner\) requires '{needed}', which neither"):
        load_detector(method, backbone=convnext, image_size=96, untrained=True)


def test_widths_of_the_taps_are_told_to_parts(convnext: ClipBackbone) -> None:
    detector = load_detector("musc", backbone=convnext, image_size=96)
    assert detector._build_context(None).tap_widths == (40, 80, 160, 320)


def test_no_file_but_what_the_model_needs_is_read(tmp_path: Path, convnext: ClipBackbone) -> None:
    """A file of another architecture of the same family is refused by a name in it."""
    path = tmp_path / "other.pth"
    torch.save(drawn("convnext_atto", depths=(1, 1, 1, 1)).state_dict(), path)
    with pytest.raises(
        InputError, match=r"does not hold the weights of timm:convnext_atto: it lacks 'stages"
    ):
        load_backbone(f"timm:convnext_atto@{path}", "cpu", "float32")
    model = drawn("convnext_atto")
    torch.save(model.state_dict(), path)
    again = load_backbone(f"timm:convnext_atto@{path}", "cpu", "float32").vision_tower()
    (output,) = again(images_of(64), [VisionRequest((TokenRequest("t", 2, stage="raw"),))])
    theirs = model.forward_intermediates(images_of(64), indices=[1], intermediates_only=True)[0]
    assert torch.equal(output.token_sets[0].tokens, theirs.flatten(2).transpose(1, 2))
