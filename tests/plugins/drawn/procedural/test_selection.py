"""Which family and defect an image gets, the catalogue and the repertoire."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from zsad.errors import InputError
from zsad_plugins.drawn.procedural import (
    DEFECTS,
    FAMILIES,
    HELD_OUT_DEFECTS,
    HELD_OUT_FAMILIES,
    TRAINING_DEFECTS,
    TRAINING_FAMILIES,
    plausible_defects,
)
from zsad_plugins.drawn.procedural.captions import MATERIALS
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE
from zsad_plugins.drawn.procedural.selection import choose_family, known_defect, known_family


def draws(families=None, defects=None, count=400):
    rng = np.random.default_rng(0)
    return [choose_family(rng, families, defects) for _ in range(count)]


def test_training_and_held_out_names_share_all_names():
    for whole, training, held_out in (
        (FAMILIES, TRAINING_FAMILIES, HELD_OUT_FAMILIES),
        (DEFECTS, TRAINING_DEFECTS, HELD_OUT_DEFECTS),
    ):
        assert set(training) | set(held_out) == set(whole)
        assert not set(training) & set(held_out)
        assert held_out
        assert len(set(whole)) == len(whole)


@pytest.mark.parametrize("name", FAMILIES)
def test_catalogue_entries_are_sound(name):
    family = CATALOGUE[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert family.nouns
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", noun) for noun in family.nouns)
    assert family.material in MATERIALS
    assert family.weight > 0
    assert len(set(family.defects)) == len(family.defects)
    assert set(family.defects) <= set(DEFECTS)
    assert plausible_defects(name) == family.defects
    assert set(family.defects) - set(HELD_OUT_DEFECTS), "it can be drawn in training"


def test_the_catalogue_cannot_be_changed():
    with pytest.raises(TypeError):
        CATALOGUE["x"] = CATALOGUE["bolt"]


def test_every_defect_suits_several_families():
    counts = Counter(defect for family in FAMILIES for defect in plausible_defects(family))
    assert set(counts) == set(DEFECTS)
    assert min(counts.values()) >= 5


def test_without_names_only_training_names_are_drawn():
    for family, possible in draws():
        assert family in TRAINING_FAMILIES
        assert set(possible) == set(plausible_defects(family)) & set(TRAINING_DEFECTS)


def test_families_come_as_often_as_their_weights_say():
    names = ["bolt", "assembly"]
    counts = Counter(family for family, _ in draws(names, count=3000))
    ratio = CATALOGUE["assembly"].weight / CATALOGUE["bolt"].weight
    assert 0.8 * ratio < counts["assembly"] / counts["bolt"] < 1.25 * ratio


def test_families_that_suit_no_asked_defect_are_left_out():
    assert {family for family, _ in draws(["brain", "wood", "cable"], ["fray", "dent"])} == {"wood", "cable"}
    assert set(draws(["wood", "cable"], ["fray", "dent"])) == {("wood", ("dent",)), ("cable", ("fray",))}


def test_known_names_come_back_and_unknown_ones_get_the_nearest():
    assert known_family("bolt") == "bolt"
    assert known_defect("hole") == "hole"
    with pytest.raises(InputError, match=r"^unknown procedural family 'bottel'; did you mean 'bottle'\?$"):
        known_family("bottel")
    with pytest.raises(InputError, match=r"^unknown procedural family 'xyzxyz'$"):
        known_family("xyzxyz")
    with pytest.raises(InputError, match=r"^unknown procedural defect 'stian'; did you mean 'stain'\?$"):
        known_defect("stian")
    with pytest.raises(InputError, match="did you mean 'circuit_film'"):
        plausible_defects("circuit-film")


def test_what_makes_no_sense_is_refused_with_a_way_out():
    with pytest.raises(
        InputError, match=r"fray, cut makes sense on brain, chest; plausible_defects\(family\)"
    ):
        draws(["brain", "chest"], ["fray", "cut"])
