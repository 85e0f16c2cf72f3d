from __future__ import annotations

import json
import pickle
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.loading import load_backbone
from zsad.errors import InputError
from zsad.streams import VisionRequest

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(**json.loads(CONFIG.read_text())).eval()


def image_feature(backbone: ClipBackbone) -> torch.Tensor:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return backbone.vision_tower()(images, [VisionRequest()])[0].image_feature


class Archive(nn.Module):
    """Parameters under the names of a state dict, for a TorchScript archive like OpenAI's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def openai_archive(state: dict[str, torch.Tensor]) -> torch.jit.ScriptModule:
    root = Archive()
    scalars = {"input_resolution": 64, "context_length": 77, "vocab_size": 49408}
    for key, value in {**state, **{k: torch.tensor(v) for k, v in scalars.items()}}.items():
        owner, *_ = [root]
        *path, leaf = key.split(".")
        for step in path:
            if not hasattr(owner, step):
                owner.add_module(step, Archive())
            owner = getattr(owner, step)
        owner.register_buffer(leaf, value.half() if value.is_floating_point() else value)
    return torch.jit.script(root)


@pytest.mark.parametrize("form", ["safetensors", "state_dict", "wrapped", "module."])
def test_every_form_of_file_gives_the_same_backbone(module: nn.Module, tmp_path: Path, form: str) -> None:
    state = module.state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "wrapped":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        torch.save({f"{form}{k}" if form == "module." else k: v for k, v in state.items()}, path)
    backbone = load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module.encode_image(images)
    torch.testing.assert_close(image_feature(backbone), expected, atol=1e-5, rtol=1e-5)
    assert backbone.sha256 == state_digest(state)
    assert backbone.native_profile.activation == "gelu"
    assert path.name in backbone.card.trained_on


def test_openai_archive_is_quick_gelu(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "ViT-tiny.pt"
    openai_archive(module.state_dict()).save(str(path))
    backbone = load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    assert backbone.native_profile.activation == "quick_gelu"
    assert "WIT" in backbone.card.trained_on
    halved = {k: v.half().float() if v.is_floating_point() else v for k, v in module.state_dict().items()}
    assert backbone.sha256 == state_digest(halved)


def test_random_weights_are_seeded(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first, again, other = (load_backbone(f"{CONFIG}@random:{seed}", "cpu", "float32") for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.sha256 == again.sha256 != other.sha256
    assert torch.equal(image_feature(first), image_feature(again))
    assert "random" in first.card.trained_on


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda state: state.pop("visual.proj"), "lacks 'visual.proj'"),
        (lambda state: state.update({"extra.weight": torch.zeros(1)}), "unknown 'extra.weight'"),
        (lambda state: state.update({"visual.proj": torch.zeros(64, 31)}), "(64, 31)"),
    ],
)
def test_weights_of_another_architecture(module: nn.Module, tmp_path: Path, change, part: str) -> None:
    state = dict(module.state_dict())
    change(state)
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    with pytest.raises(InputError, match="does not hold the weights of tiny-clip") as refusal:
        load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    assert part in str(refusal.value) and str(path) in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"not weights", pickle.dumps({"a": object}), pickle.dumps([1, 2])])
def test_files_that_are_no_weights(tmp_path: Path, content: bytes) -> None:
    for name in ("file.pt", "file.safetensors"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_backbone(f"{CONFIG}@{path}", "cpu", "float32")


def test_unknown_tag_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'openai'"):
        load_backbone("ViT-B-16:opena", "cpu", "float32")


@pytest.mark.parametrize("arch", ["RN50", "vit_relpos_medium_patch16_cls_224"])
def test_towers_that_are_neither_clip_s_nor_siglip_s_are_refused(arch: str) -> None:
    with pytest.raises(InputError, match="neither a plain class token nor SigLIP's attention pool"):
        load_backbone(f"{arch}@random:0", "cpu", "float32")


def test_half_precision_nested_and_parallel(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    state = {f"module.{k}": v.half() if v.is_floating_point() else v for k, v in module.state_dict().items()}
    torch.save({"epoch": 3, "model": {"state_dict": state}, "optimizer": {"state": {0: torch.ones(2)}}}, path)
    backbone = load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    halved = {k: v.half().float() if v.is_floating_point() else v for k, v in module.state_dict().items()}
    assert backbone.sha256 == state_digest(halved)
    assert backbone.vision_tower().position_embedding.dtype == torch.float32


def test_a_text_as_weights_and_a_pickle_of_objects(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("these are no weights\n" * 100)
    with pytest.raises(InputError, match="it is a text file"):
        load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    torch.save({"state_dict": module}, path)
    with pytest.raises(InputError, match="reading it could run code") as refusal:
        load_backbone(f"{CONFIG}@{path}", "cpu", "float32")
    assert "weights_only" not in str(refusal.value)
