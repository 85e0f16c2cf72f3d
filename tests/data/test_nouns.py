"""Nouns of dataset classes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.nouns import RESOURCE, noun_of
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
