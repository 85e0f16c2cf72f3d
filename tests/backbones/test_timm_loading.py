"""Names, files and cards of timm's models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.models import get_arch_pretrained_cfgs

from tests.backbones.tiny_timm import drawn
from tests.loading import load_detector
from tests.parity.synthetic import TINY_DINO, dino_state_dict
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.dinov2_loading import dinov2_from_official_state
from zsad.backbones.loading import load_backbone
from zsad.backbones.names import BackboneName, parse_backbone
from zsad.backbones.timm_models import without_weights
from zsad.backbones.timm_training import trained_on
from zsad.backbones.vision import VisionTower
from zsad.errors import InputError, ZsadWarning
from zsad.streams import TokenRequest, VisionRequest
from zsad.values import Sample

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load(name: str, dtype: str = "float32") -> ClipBackbone:
    return load_backbone(name, "cpu", dtype)


def last_tokens(backbone: ClipBackbone, images: torch.Tensor, **profile: Any) -> torch.Tensor:
    tower = backbone.vision_tower(backbone.native_profile.model_copy(update=profile))
    request = VisionRequest((TokenRequest("t", tower.depth, stage="ln_post"),))
    with torch.no_grad():
        return tower(images, [request])[0].token_sets[0].tokens


def images_of(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("timm:vit_small_patch14_dinov2", {}),
        ("timm:vit_small_patch14_dinov2.lvd142m", {"pretrained": "lvd142m"}),
        ("timm:vit_small_patch14_dinov2@random:7", {"seed": 7}),
    ],
)
def test_names(text: str, parsed: dict[str, Any]) -> None:
    assert parse_backbone(text) == BackboneName(
        text, "timm:vit_small_patch14_dinov2", library="timm", **parsed
    )


def test_names_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a.b@c.pth"
    path.touch()
    for tag in (None, "lvd142m"):
        text = f"timm:vit_small_patch14_dinov2{'.' + tag if tag else ''}@{path}"
        found = parse_backbone(text)
        assert (found.file, found.pretrained, found.arch) == (path, tag, "timm:vit_small_patch14_dinov2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:", "names no model"),
        ("timm:@random:0", "names no model"),
        (
            "timm:vit_smal_patch14_dinov2",
            r"no model 'vit_smal_patch14_dinov2'; did you mean 'vit_small_patch14_dinov2'",
        ),
        ("timm:vit_small_patch14_dinov2.lvd142", r"no weights 'lvd142' of .*; did you mean 'lvd142m'"),
        ("timm:vit_small_patch14_dinov2.lvd142m@random:0", "random weights are of no tag"),
        ("timm:vit_small_patch14_dinov2@random:x", "has to be a whole number"),
        ("timm:vit_small_patch14_dinov2@/no/such/file.pth", "there is no weights file"),
        (
            "timm:vit_small_patch16_36x1_224",
            r"timm has no weights of timm:vit_small_patch16_36x1_224; name a file",
        ),
        ("timm:zsad_no_map@random:0", "timm:zsad_no_map|Sequential gives no features on a grid"),
        ("timm:zsad_grey@random:0", "takes images of 1 channels"),
    ],
)
def test_names_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(name)


def test_parsing_imports_neither_torch_nor_timm() -> None:
    script = (
        "import sys\nfrom zsad.backbones.names import parse_backbone\n"
        "parse_backbone('timm:vit_small_patch14_dinov2')\n"
        "print({'torch', 'timm', 'open_clip'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_unreachable_hub_is_one_sentence(tmp_path: Path) -> None:
    script = (
        "from zsad.backbones.loading import load_backbone\nfrom zsad.errors import ZsadError\n"
        "try:\n    load_backbone('timm:vit_small_patch14_dinov2', 'cpu', 'float32')\n"
        "except ZsadError as error:\n    print(error)\n"
    )
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_HUB_CACHE": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "'timm:vit_small_patch14_dinov2' could not be downloaded because the model hub cannot be reached; "
        "download it on a connected machine and pass --backbone timm:vit_small_patch14_dinov2@/path/to/file\n"
    )


def test_random_weights_follow_from_the_seed() -> None:
    first, again, other = (load(f"timm:zsad_dinov2_4@random:{seed}") for seed in (0, 0, 1))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.card.trained_on == "nothing: random weights, for timing only"
    assert (first.mean, first.std) == IMAGENET and first.arch == "timm:zsad_dinov2_4"
    assert first.text_tower() is None and first.native_text_profile is None


@pytest.fixture(scope="module")
def official() -> dict[str, torch.Tensor]:
    state = dino_state_dict({**TINY_DINO, "layers": 12}, 5)
    return {key: torch.from_numpy(value) for key, value in state.items()}


@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".bin"])
def test_files_under_the_official_names(
    official: dict[str, torch.Tensor], tmp_path: Path, ending: str
) -> None:
    """Registers have no position, and the class token gets its own: the numbers of the loader of DINOv2."""
    path = tmp_path / f"weights{ending}"
    state = dict(official)
    del state["mask_token"]
    save_file(state, path) if ending == ".safetensors" else torch.save({"teacher": state}, path)
    backbone = load(f"timm:zsad_dinov2_reg_12@{path}")
    images = images_of(168, 224)
    theirs = dinov2_from_official_state(official).patch_tokens(images).flatten(1, 2)
    difference = (last_tokens(backbone, images) - theirs).abs().max() / theirs.std()
    assert difference <= 1e-6
    assert backbone.card.trained_on == f"not stated (file weights{ending})"


def test_files_under_timm_s_names_with_a_head_and_without(tmp_path: Path) -> None:
    model = drawn("zsad_dinov2_4")
    state, images = model.state_dict(), images_of(168, 168)
    paths = [tmp_path / "plain.pth", tmp_path / "head.pth"]
    torch.save(state, paths[0])
    head = {"head.weight": torch.zeros(10, 192), "head.bias": torch.zeros(10)}
    torch.save({"state_dict": {f"module.{key}": value for key, value in (state | head).items()}}, paths[1])
    plain, headed = (load(f"timm:zsad_dinov2_4@{path}") for path in paths)
    with torch.no_grad():
        theirs = model.forward_features(images)[:, 1:]
    for backbone in (plain, headed):
        assert (last_tokens(backbone, images) - theirs).abs().max() <= 1e-5 * theirs.std()
    assert plain.sha256 == headed.sha256 == load(f"timm:zsad_dinov2_4@{paths[0]}", "bfloat16").sha256


def test_a_table_of_another_grid_says_what_size_the_weights_were_trained_on(tmp_path: Path) -> None:
    model = drawn("zsad_dinov2_4", img_size=98)
    torch.save(model.state_dict(), tmp_path / "other.pth")
    tower = load(f"timm:zsad_dinov2_4@{tmp_path / 'other.pth'}").vision_tower()
    assert isinstance(tower, VisionTower)
    assert (tower.native_grid, tower.native_image_size) == ((7, 7), 98)
    assert tower.position_embedding is not None
    assert torch.equal(tower.position_embedding, model.pos_embed[0])


def test_weights_of_another_architecture(official: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(official, path)
    with pytest.raises(
        InputError,
        match=r"weights\.pth does not hold the weights of timm:zsad_dinov2_4: timm cannot bring it",
    ):
        load(f"timm:zsad_dinov2_4@{path}")
    with pytest.raises(InputError, match=r"reg4_dinov2: '.*' has the shape \(192,\), .* needs \(384,\)"):
        load(f"timm:vit_small_patch14_reg4_dinov2@{path}")
    with pytest.raises(InputError, match=r"does not hold the weights of timm:resnet18: it lacks 'bn1"):
        load(f"timm:resnet18@{path}")
    other_patch = dict(official) | {"patch_embed.proj.weight": torch.zeros(192, 3, 16, 16)}
    torch.save(other_patch, path)
    with pytest.raises(InputError, match=r"'patch_embed\.proj\.weight' has the shape \(192, 3, 16, 16\)"):
        load(f"timm:zsad_dinov2_reg_12@{path}")
    path.write_bytes(b"\x00nothing")
    with pytest.raises(InputError, match="is not a file of tensors"):
        load(f"timm:zsad_dinov2_reg_12@{path}")


def test_a_file_without_a_tag_may_leave_the_pixels_open(tmp_path: Path) -> None:
    """timm's weights of this model were trained with two different means."""
    name = "vit_base_patch16_224"
    assert len({config.mean for config in get_arch_pretrained_cfgs(name).values()}) > 1
    path = tmp_path / "weights.pth"
    with torch.device("meta"):
        empty = drawn(name)
    torch.save({key: torch.zeros(value.shape) for key, value in empty.state_dict().items()}, path)
    with pytest.warns(ZsadWarning, match=rf"differ in them; name the weights, timm:{name}\.TAG@"):
        open_question = load(f"timm:{name}@{path}")
    assert open_question.card.doubt is not None
    named = load(f"timm:{name}.mae@{path}")
    assert named.card.doubt is None and (named.mean, named.std) == IMAGENET
    assert named.card.trained_on == "ImageNet-1k without its labels (masked autoencoding) (file weights.pth)"


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("lvd142m", "LVD-142M (142 million curated web images, without labels)"),
        ("laion2b_ft_in12k_in1k",
         "LAION-2B (image-text pairs), then ImageNet-12k with its labels, then ImageNet-1k with its labels"),
        ("mim_in22k_ft_in1k", "ImageNet-22k without its labels, then ImageNet-1k with its labels"),
        ("dino", "ImageNet-1k without its labels (DINO)"),
        ("seer", "not stated (timm's tag seer)"),
        ("", "not stated (timm's tag has no name)"),
    ],
)  # fmt: skip
def test_what_tags_say(tag: str, words: str) -> None:
    assert trained_on(tag) == words


def samples() -> list[Sample]:
    random = np.random.default_rng(3)
    return [Sample(random.integers(0, 256, (50, 60, 3), dtype=np.uint8), "tile") for _ in range(3)]


def test_a_method_without_text_runs_end_to_end() -> None:
    backbone = load("timm:vit_small_patch14_dinov2@random:0")
    detector = load_detector("musc", backbone=backbone, image_size=98)
    prediction = detector.predict(samples(), "tile")
    assert prediction.anomaly_map.shape == (3, 98, 98) and prediction.score.isfinite().all()
    assert detector.setting == "training-free / transductive / zero-shot"
    assert detector.recipe.blocks == (3, 6, 9, 12)
    offset = load_detector(
        "musc", backbone=backbone, image_size=98, overrides=["profile.position_embedding=bicubic_offset"]
    )
    assert offset.encode_key != detector.encode_key
    with pytest.raises(InputError, match=r"image size 100 is not a multiple .* use --image-size 98 or 112"):
        load_detector("musc", backbone=backbone, image_size=100)


@pytest.mark.parametrize(
    ("method", "need"),
    [("clip-baseline", "text"), ("winclip", "text"), ("anomalyclip", "causal_text"), ("cops", "causal_text")],
)
def test_methods_with_text_name_what_is_missing(method: str, need: str) -> None:
    backbone = load("timm:zsad_dinov2_4@random:0")
    with pytest.raises(
        InputError, match=rf"\(prompt_learner\) requires '{need}', which neither the backbone"
    ):
        load_detector(method, backbone=backbone, image_size=168, untrained=True)


def test_a_model_that_reads_values_is_built_with_weights_and_leaves_the_seed_alone() -> None:
    def reading() -> torch.nn.Module:
        return torch.nn.Linear(int(torch.full((1,), 3.0).item()), 2)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert next(without_weights(reading).parameters()).device.type == "cpu"
    assert next(without_weights(lambda: torch.nn.Linear(3, 2)).parameters()).device.type == "meta"
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(RuntimeError, match="of its own"):
        without_weights(failing)


def failing() -> torch.nn.Module:
    raise RuntimeError("a fault of its own")
