"""Nouns of dataset classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.nouns import RESOURCE, noun_of, parse_nouns, with_nouns
from zsad.errors import InputError
from zsad.plugin.imports import read_resource

FILE = yaml.safe_load(read_resource(RESOURCE))


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("metal_nut", "metal nut"),
        ("pipe_fryum", "pipe fryum"),
        ("pcb1", "printed circuit board"),
        ("macaroni2", "macaroni"),
        ("chewinggum", "chewing gum"),
        ("bracket_black", "black bracket"),
        ("metal_plate", "metal plate"),
        ("01", "product"),
        ("class10", "texture"),
        ("Woven_127", "woven texture"),
        ("terminalblock", "terminal block"),
        ("u_block", "u block"),
        ("Retina_OCT2017", "retinal oct"),
        ("brain MRI", "brain MRI"),
        ("_left__right_", "left right"),
    ],
)
def test_nouns(name, noun) -> None:
    assert noun_of(name) == noun


def test_file_lists_only_what_differs() -> None:
    assert set(FILE) == {"source", "nouns"} and FILE["source"]
    nouns = FILE["nouns"]
    assert len({name.casefold() for name in nouns}) == len(nouns)
    assert [name for name, noun in nouns.items() if noun == name.replace("_", " ")] == []
    for noun in nouns.values():
        assert noun == noun.strip() and "_" not in noun


@given(st.text("abc XYZ", max_size=10).map(str.strip).filter(lambda t: "  " not in t))
def test_plain_words_stay(name) -> None:
    assert noun_of(name) == name


def dataset(name="parts") -> Dataset:
    images = tuple(
        DatasetImage(Path(f"/d/{own}/{label}.png"), None, label, own, noun_of(own))
        for own in ("metal_nut", "a")
        for label in (False, True)
    )
    train = (DatasetImage(Path("/d/a/train.png"), None, False, "a", "a"),)
    return Dataset(name, Path("/d"), images, train)


def test_nouns_by_dataset_and_by_class() -> None:
    nouns = parse_nouns(["parts=steel_plate", " parts:a = big bolt "])
    assert nouns == {"parts": "steel_plate", "parts:a": "big bolt"}
    first, second = with_nouns([dataset(), dataset("others")], nouns)
    assert [image.noun for image in first.images] == ["steel plate"] * 2 + ["big bolt"] * 2
    assert [image.noun for image in first.normal_train_images] == ["big bolt"]
    assert second == dataset("others") and with_nouns([dataset()], {}) == [dataset()]


@pytest.mark.parametrize("text", ["", "x", "=x", "d=", "d= "])
def test_another_form_of_a_noun_is_refused(text) -> None:
    with pytest.raises(InputError, match="write DATASET=NOUN or DATASET:CLASS=NOUN"):
        parse_nouns([text])


def test_nouns_for_nothing_or_twice_are_refused() -> None:
    with pytest.raises(InputError, match="was given the noun 'x' already"):
        parse_nouns(["d=x", "d=y"])
    with pytest.raises(InputError, match=r"no dataset or class 'parts:b'; did you mean 'parts:a'"):
        with_nouns([dataset()], {"parts:b": "x"})
    with pytest.raises(InputError, match=r"'zzz'; there are parts, parts:a, parts:metal_nut"):
        with_nouns([dataset()], {"zzz": "x"})
