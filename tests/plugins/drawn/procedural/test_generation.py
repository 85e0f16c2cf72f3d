"""Images from (seed, index): determinism, twins, masks, several defects, what is never drawn unasked."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import ndimage

from zsad.errors import InputError
from zsad_plugins.drawn import procedural
from zsad_plugins.drawn.procedural import (
    DEFECTS,
    FAMILIES,
    HELD_OUT_DEFECTS,
    HELD_OUT_FAMILIES,
    TRAINING_DEFECTS,
    TRAINING_FAMILIES,
    generate,
    generate_combined,
    generate_pair,
    plausible_defects,
    wording,
)
from zsad_plugins.drawn.procedural.captions import MATERIALS
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE

PAIRS = [(family, defect) for family in FAMILIES for defect in plausible_defects(family)]


def check(drawn, size):
    assert drawn.image.shape == (size, size, 3)
    assert drawn.image.dtype == np.uint8
    assert drawn.mask.shape == (size, size)
    assert drawn.mask.dtype == np.bool_
    assert 0 <= drawn.severity <= 1
    assert drawn.material in MATERIALS
    assert drawn.class_name in CATALOGUE[drawn.family].nouns
    assert (drawn.defect is None) == (not drawn.mask.any()) == (drawn.severity == 0)
    assert drawn.defect is None or drawn.defect in plausible_defects(drawn.family)


def equal(first, second):
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)
    names = ("caption", "class_name", "family", "material", "defect", "severity")
    assert [getattr(first, name) for name in names] == [getattr(second, name) for name in names]


def test_the_example_of_the_package_holds():
    assert doctest.testmod(procedural) == (0, 3)


def test_the_same_arguments_give_the_same_bits():
    for index in range(12):
        first = generate(4, index, size=48)
        generate(5, index, size=33)  # whatever is drawn in between
        equal(first, generate(4, index, size=48))


def test_other_seeds_and_indices_give_other_images():
    images = [generate(seed, index, size=32).image.tobytes() for seed in (0, 1) for index in range(20)]
    images.append(generate(0, 20, size=33).image.tobytes())
    assert len(set(images)) == len(images)


def test_an_index_is_not_a_shifted_seed():
    assert generate(1, 0, size=32).image.tobytes() != generate(0, 1, size=32).image.tobytes()


def test_half_of_the_images_are_normal_unless_asked():
    free = [generate(0, index, size=32).defect is not None for index in range(200)]
    assert 0.38 < np.mean(free) < 0.62
    for index in range(10):
        assert generate(0, index, size=32, anomalous=True).defect is not None
        assert generate(0, index, size=32, anomalous=False).defect is None


@pytest.mark.parametrize("size", [32, 97, 256])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_draws_at_every_size(family, size):
    drawn = generate(1, 0, size=size, families=[family], anomalous=False)
    check(drawn, size)
    assert drawn.family == family
    # Neither black, burnt out nor flat: something is to be seen.
    assert drawn.image.std() > 2
    assert 3 < drawn.image.mean() < 252


@pytest.mark.parametrize(("family", "defect"), PAIRS)
def test_a_pair_differs_where_the_mask_says(family, defect):
    clean, broken = generate_pair(2, 0, size=64, families=[family], defects=[defect])
    check(clean, 64)
    check(broken, 64)
    assert (clean.family, clean.class_name, clean.material) == (family, broken.class_name, broken.material)
    assert (clean.defect, broken.defect) == (None, defect)
    assert 4 <= broken.mask.sum() < 0.6 * broken.mask.size
    assert 0.01 < broken.severity <= 1
    change = np.abs(clean.image.astype(int) - broken.image).max(axis=2)
    assert change[broken.mask].mean() > 10
    assert np.median(change[broken.mask]) > 5
    # A compressed image carries a change to the ends of its blocks of 8 x 8, hence the wide margin.
    outside = ~ndimage.binary_dilation(broken.mask, np.ones((3, 3)), iterations=9)
    if outside.any():
        assert change[outside].mean() < 1
        assert np.percentile(change[outside], 98) <= 13


def test_without_compression_pairs_agree_outside_but_for_faint_traces():
    compared = 0
    for index in range(40):
        clean, broken = generate_pair(3, index, size=64)
        outside = ~ndimage.binary_dilation(broken.mask, np.ones((3, 3)), iterations=9)
        if outside.any():
            change = np.abs(clean.image.astype(int) - broken.image)[outside]
            compared += change.max() == 0
    assert compared > 15, "most twins are equal to the bit away from the defect"


def test_a_pair_is_what_generate_gives():
    for index in range(15):
        clean, broken = generate_pair(6, index, size=40)
        equal(broken, generate(6, index, size=40, anomalous=True))
        equal(clean, generate(6, index, size=40, anomalous=False))


def test_nothing_held_out_comes_unasked():
    drawn = [generate(8, index, size=32, anomalous=True) for index in range(400)]
    assert {image.family for image in drawn} <= set(TRAINING_FAMILIES)
    assert {image.defect for image in drawn} <= set(TRAINING_DEFECTS)
    assert len({image.family for image in drawn}) > 0.9 * len(TRAINING_FAMILIES)
    assert {image.defect for image in drawn} == set(TRAINING_DEFECTS)


def test_naming_one_side_does_not_open_the_other():
    for index in range(60):
        family = HELD_OUT_FAMILIES[index % len(HELD_OUT_FAMILIES)]
        drawn = generate(8, index, size=32, families=[family], anomalous=True)
        assert drawn.family == family
        assert drawn.defect in TRAINING_DEFECTS
        drawn = generate(8, index, size=32, defects=HELD_OUT_DEFECTS, anomalous=True)
        assert drawn.family in TRAINING_FAMILIES
        assert drawn.defect in HELD_OUT_DEFECTS


def test_held_out_names_come_when_asked():
    found = {
        (drawn.family, drawn.defect)
        for index in range(40)
        for drawn in [
            generate(0, index, size=32, families=HELD_OUT_FAMILIES, defects=HELD_OUT_DEFECTS, anomalous=True)
        ]
    }
    assert found == {(family, defect) for family in HELD_OUT_FAMILIES for defect in HELD_OUT_DEFECTS}


@pytest.mark.parametrize("family", ["bolt", "leather", "circuit_film", "gear", "magnetic_tile"])
def test_combined_defects_keep_apart(family):
    defects = plausible_defects(family)[:3]
    shared, total = 0, 0
    for index in range(4):
        drawn, masks = generate_combined(1, index, defects=defects, family=family, size=96)
        check(drawn, 96)
        assert list(masks) == list(defects)
        assert drawn.defect == defects[0]
        np.testing.assert_array_equal(drawn.mask, np.logical_or.reduce(list(masks.values())))
        assert all(mask.any() and mask.dtype == np.bool_ for mask in masks.values())
        counts = np.sum(list(masks.values()), axis=0)
        shared += int((counts > 1).sum())
        total += int((counts > 0).sum())
    assert shared < 0.25 * total


def test_one_combined_defect_is_a_pair_with_its_scene():
    drawn, masks = generate_combined(0, 3, defects=["scratch"], family="wood", size=64)
    again = generate(0, 3, size=64, families=["wood"], defects=["scratch"], anomalous=True)
    equal(drawn, again)
    np.testing.assert_array_equal(masks["scratch"], again.mask)


def test_a_position_in_the_caption_is_true():
    seen = 0
    for index in range(150):
        drawn = generate(2, index, size=32, anomalous=True)
        for template in wording.POSITION_TEMPLATES:
            before = template.partition("{position}")[0].removeprefix("{caption}")
            for number, position in enumerate(wording.POSITIONS):
                if drawn.caption.endswith(before + position):
                    row, column = (int(places.mean() * 3 / 32) for places in np.nonzero(drawn.mask))
                    assert (row, column) == divmod(number, 3)
                    seen += 1
    assert seen > 10


def refused(reason, *arguments, draw=generate, **options):
    with pytest.raises(InputError) as caught:
        draw(*arguments, **options)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("draw", [generate, generate_pair])
def test_wrong_names_and_numbers_are_refused(draw):
    refused("must be 0 or more, not -1 and 0", -1, 0, draw=draw)
    refused("must be 0 or more, not 0 and -3", 0, -3, draw=draw)
    refused("must be 32 to 2048, not 31", 0, 0, size=31, draw=draw)
    refused("must be 32 to 2048, not 2049", 0, 0, size=2049, draw=draw)
    refused(
        "unknown procedural family 'lether'; did you mean 'leather'?", 0, 0, families=["lether"], draw=draw
    )
    refused(
        "unknown procedural defect 'scrach'; did you mean 'scratch'?", 0, 0, defects=["scrach"], draw=draw
    )
    refused("none of the defects fray makes sense on brain", 0, 0, families=["brain"], defects=["fray"])
    refused("(no family)", 0, 0, families=[], draw=draw)
    refused("(none)", 0, 0, defects=[], draw=draw)


def test_wrong_combinations_are_refused():
    combined = {"draw": generate_combined, "size": 32}
    refused(
        "family 'brain' cannot have fray, chip", 0, 0, defects=["fray", "chip"], family="brain", **combined
    )
    refused("an empty list of defects", 0, 0, defects=[], family="brain", **combined)
    refused("did you mean 'scratch'?", 0, 0, defects=["scrach"], family="wood", **combined)
    refused("did you mean 'wood'?", 0, 0, defects=["scratch"], family="wod", **combined)
    refused("once, not hole, hole", 0, 0, defects=["hole", "hole"], family="wood", **combined)
    refused("must be 0 or more", -1, 0, defects=["hole"], family="wood", **combined)


def test_all_names_are_used():
    assert {defect for _, defect in PAIRS} == set(DEFECTS)
