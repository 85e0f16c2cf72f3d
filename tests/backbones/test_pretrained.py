"""What weights were trained with follows open_clip's table and the file, never the name alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import open_clip
import open_clip.factory
import pytest
import torch

from tests.backbones.small import small_weights
from zsad.backbones.names import parse_backbone
from zsad.backbones.open_clip_loading import create_module, from_open_clip, load_open_clip
from zsad.backbones.open_clip_weights import normalisation
from zsad.backbones.pretrained import common_normalisation, doubt, quick_gelu_form, training_of, trainings_of
from zsad.errors import InputError, ZsadWarning

TABLE = open_clip.list_pretrained()
CPU = torch.device("cpu")


def test_every_tag_of_open_clip_s_table_is_followed() -> None:
    assert len(TABLE) > 150
    for arch, tag in TABLE:
        told = open_clip.get_pretrained_cfg(arch, tag)
        found = training_of(arch, tag)
        own = open_clip.get_model_config(arch).get("quick_gelu", False)
        assert found.quick_gelu == told.get("quick_gelu", own), (arch, tag)
        assert (found.mean, found.std) == (tuple(told["mean"]), tuple(told["std"])), (arch, tag)
    of_openai = {arch for arch, tag in TABLE if tag == "openai"}
    assert {"ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-L-14-quickgelu"} <= of_openai
    assert all(training_of(arch, "openai").quick_gelu for arch in of_openai)


def test_a_name_is_doubted_exactly_where_the_table_disagrees_with_its_config() -> None:
    for arch in {arch for arch, _ in TABLE}:
        own = open_clip.get_model_config(arch).get("quick_gelu", False)
        told = [
            open_clip.get_pretrained_cfg(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)
        ]
        one = len({(tuple(cfg["mean"]), tuple(cfg["std"])) for cfg in told}) == 1
        agrees = all(cfg.get("quick_gelu", own) == own for cfg in told) and one
        assert (doubt(arch) is None) == agrees, arch
        assert (common_normalisation(arch) is not None) == one, arch
    assert "openai, dfn2b, metaclip_400m and 1 more were trained with QuickGELU" in str(doubt("ViT-B-16"))
    assert doubt("ViT-B-16-quickgelu") is None and trainings_of("vit_medium_patch16_gap_256") == {}
    assert quick_gelu_form("ViT-L-14-336") == "ViT-L-14-336-quickgelu"
    assert quick_gelu_form("ViT-B-16-plus-240") is None


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's file is replaced by freshly drawn weights."""
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *a, **k: "/nowhere.pt")
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *a, **k: {})


@pytest.mark.parametrize(
    ("text", "activation", "mean"),
    [
        ("ViT-B-16:openai", "quick_gelu", open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-16:laion2b_s34b_b88k", "gelu", open_clip.OPENAI_DATASET_MEAN),
        ("ViT-B-16-SigLIP:webli", "gelu", (0.5, 0.5, 0.5)),
    ],
)
def test_a_pretrained_tag_decides(
    no_download: None, text: str, activation: str, mean: tuple[float, ...]
) -> None:
    name = parse_backbone(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module, card = create_module(name)
    backbone = from_open_clip(module.eval(), name, card, CPU, torch.float32)
    assert backbone.native_profile.activation == activation
    assert backbone.native_text_profile is not None
    assert backbone.native_text_profile.activation == activation
    assert backbone.mean == pytest.approx(mean)
    assert card.doubt is None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of weights for architectures of open_clip's names, made small."""
    return small_weights(monkeypatch, tmp_path)


def test_a_file_that_does_not_say_is_said_to_be_so(small: Path) -> None:
    name = parse_backbone(f"ViT-B-16@{small}")
    with pytest.warns(ZsadWarning) as said:
        backbone = load_open_clip(name, CPU, torch.float32)
    (sentence,) = [str(entry.message) for entry in said if entry.category is ZsadWarning]
    assert sentence == backbone.card.doubt
    assert f"ViT-B-16-quickgelu@{small}" in sentence and f"ViT-B-16:PRETRAINED@{small}" in sentence


@pytest.mark.parametrize(
    ("arch", "activation"),
    [
        ("ViT-B-16-quickgelu", "quick_gelu"),
        ("ViT-B-16:openai", "quick_gelu"),
        ("ViT-B-16:laion2b_s34b_b88k", "gelu"),
        ("ViT-B-16-plus-240", "gelu"),
    ],
)
def test_a_name_that_says_it_for_a_file(small: Path, arch: str, activation: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ZsadWarning)
        backbone = load_open_clip(parse_backbone(f"{arch}@{small}"), CPU, torch.float32)
    assert backbone.native_profile.activation == activation
    assert backbone.card.doubt is None
    assert backbone.native_text_profile is not None
    assert backbone.native_text_profile.activation == activation


def test_means_come_from_the_tag_or_from_what_all_tags_share(small: Path) -> None:
    inception, imagenet = (0.5, 0.5, 0.5), (0.485, 0.456, 0.406)
    means = {
        f"ViT-L-14:laion2b_s32b_b82k@{small}": inception,
        f"ViT-L-14:openai@{small}": open_clip.OPENAI_DATASET_MEAN,
        f"ViT-B-16-plus-240@{small}": open_clip.OPENAI_DATASET_MEAN,
    }
    for text, mean in means.items():
        module, _ = create_module(parse_backbone(text))
        assert normalisation(module)[0] == pytest.approx(mean), text
    assert common_normalisation("ViT-L-14-CLIPA") == (imagenet, (0.229, 0.224, 0.225))


def test_unknown_tags_beside_a_file_and_tags_of_random_weights(small: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'openai'"):
        create_module(parse_backbone(f"ViT-B-16:opena@{small}"))
    with pytest.raises(InputError, match="random weights are of no tag; write ViT-B-16@random:0"):
        parse_backbone("ViT-B-16:openai@random:0")
