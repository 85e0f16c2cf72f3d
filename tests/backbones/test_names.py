from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsad.backbones.names import BackboneName, open_clip_archs, parse_backbone
from zsad.errors import InputError

TINY = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


def test_every_form() -> None:
    text = "ViT-B-16:openai"
    assert parse_backbone(text) == BackboneName(text, "ViT-B-16", pretrained="openai")
    text = "ViT-B/16@random:7"
    assert parse_backbone(text) == BackboneName(text, "ViT-B-16", seed=7)
    text = "hf-hub:org/name"
    assert parse_backbone(text) == BackboneName(text, text)
    text = f"{TINY}@random:0"
    named = parse_backbone(text)
    assert (named.config, named.short, named.seed) == (TINY, "tiny-clip", 0)


def test_a_weights_file(tmp_path: Path) -> None:
    file = tmp_path / "a@b:c.pt"
    file.touch()
    assert parse_backbone(f"ViT-L-14-336@{file}").file == file


def test_archs_are_those_of_open_clip() -> None:
    import open_clip

    assert set(open_clip_archs()) == set(open_clip.list_models())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ViT-B-61:openai", "did you mean 'ViT-B-16'"),
        ("ViT-B-16", "names no weights"),
        ("ViT-B-16:", "names no weights"),
        ("ViT-B-16@random:x", "whole number"),
        ("ViT-B-16@random:-1", "whole number"),
        ("ViT-B-16@/nowhere/w.pt", "no weights file /nowhere/w.pt"),
        ("/nowhere/c.json@random:0", "cannot read the model config"),
    ],
)
def test_bad_names(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_backbone(text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{", "not valid JSON"), ("[1]", "lacks"), (json.dumps({"embed_dim": 8, "text_cfg": {}}), "vision_cfg")],
)
def test_bad_config(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        parse_backbone(f"{path}@random:0")
