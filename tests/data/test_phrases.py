"""What can go wrong with objects: phrases per object, and files of one's own."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml

from zsad.data.nouns import noun_of
from zsad.data.phrases import read_phrases
from zsad.errors import InputError

CLASSES = (
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw"),
    *("tile", "toothbrush", "transistor", "wood", "zipper"),
    *("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1", "pcb2"),
    *("pcb3", "pcb4", "pipe_fryum"),
    *("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"),
    *("01", "02", "03", "object"),
)


def nouns() -> set[str]:
    listed = yaml.safe_load((files("zsad_prompts") / "nouns.yaml").read_text(encoding="utf-8"))["nouns"]
    return {*listed.values()}


@pytest.mark.parametrize("name", sorted({*CLASSES, *map(noun_of, CLASSES), *nouns()}))
def test_every_known_object_has_phrases_of_its_own(name) -> None:
    phrases = read_phrases()
    own = phrases.of(name)
    assert 5 <= len(own) <= 12 and len(set(own)) == len(own)
    assert all(phrase == phrase.strip().lower() for phrase in own)
    assert own is not phrases.generic or name == "object"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "not a file of phrases per object"),
        ("zebra: a stripe", "phrases.zebra"),
        ("zebra: []", "phrases.zebra"),
        ("phrases: {zebra: [a]}\nextra: 1", "extra"),
        ("{", "neither a readable YAML file"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_phrases(str(path))


def test_the_file_says_where_it_comes_from() -> None:
    data = yaml.safe_load((files("zsad_prompts") / "phrases.yaml").read_text(encoding="utf-8"))
    assert len(data["source"]) > 40
