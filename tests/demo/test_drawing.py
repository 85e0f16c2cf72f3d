from __future__ import annotations

import numpy as np
import pytest

from zsad.data.pictures import colours, overlay
from zsad.errors import InputError
from zsad.recipe.recipes import Display
from zsad_demo.drawing import (
    CONTOUR,
    difference,
    difference_picture,
    fitted,
    map_picture,
    mask_picture,
    overlay_picture,
    with_contours,
)


def test_the_scale_of_a_map_is_the_methods_and_not_the_images() -> None:
    low, high = np.full((4, 4), 0.2), np.full((4, 4), 0.9)
    together = map_picture(np.concatenate([low, high]), Display())
    np.testing.assert_array_equal(map_picture(low, Display()), together[:4])
    np.testing.assert_array_equal(
        map_picture(low * 4, Display(low=0, high=4)), np.rint(colours(low)).astype(np.uint8)
    )


def test_overlay_is_the_cores_and_contours_are_drawn_into_a_copy() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 14, 3), dtype=np.uint8)
    values = rng.random((12, 14))
    picture = overlay_picture(image, values, Display())
    np.testing.assert_array_equal(picture, overlay(image, values, 0, 1))
    tall, over = rng.integers(0, 256, (2100, 3, 3), dtype=np.uint8), rng.random((2100, 3))
    np.testing.assert_array_equal(overlay_picture(tall, over, Display()), overlay(tall, over, 0, 1))
    mask = np.zeros((12, 14), np.bool_)
    mask[3:9, 3:9] = True
    drawn = with_contours(picture, mask)
    assert tuple(drawn[3, 3]) == CONTOUR
    np.testing.assert_array_equal(drawn[5:7, 5:7], picture[5:7, 5:7])
    assert tuple(picture[3, 3]) != CONTOUR


def test_difference_is_in_shares_of_each_methods_own_range() -> None:
    first, second = np.array([[0.0, 4.0, 9.0]]), np.array([[0.5, 0.5, 1.0]])
    found = difference(first, second, Display(low=0, high=8), Display())
    np.testing.assert_allclose(found, [[-0.5, 0.0, 0.0]], atol=1e-7)


def test_difference_is_blue_grey_and_red() -> None:
    (below, equal, above), *_ = difference_picture(np.array([[-1.0, 0.0, 1.0]]))
    assert below[2] > below[0]
    assert len(set(equal.tolist())) == 1
    assert above[0] > above[2]


def test_maps_of_other_sizes_have_no_difference() -> None:
    with pytest.raises(InputError, match="differ in size"):
        difference(np.zeros((2, 2)), np.zeros((3, 2)), Display(), Display())


@pytest.mark.parametrize(
    ("shape", "wanted"), [((100, 50), (20, 10)), ((10, 20), (10, 20)), ((3, 900), (1, 20))]
)
def test_images_are_only_made_smaller(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert fitted(np.zeros((*shape, 3), np.uint8), 20).shape[:2] == wanted


def test_a_mask_is_black_and_white() -> None:
    assert mask_picture(np.array([[True, False]])).tolist() == [[255, 0]]
