from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from zsad.errors import InputError
from zsad_demo.regions import contours, find_regions, mask_at, position


def test_the_mask_has_the_pixels_that_reach_the_threshold() -> None:
    values = np.array([[0.2, 0.5], [0.7, 0.5000001]], np.float32)
    assert mask_at(values, 0.5).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="has to be a number"):
        mask_at(np.zeros((2, 2)), threshold)


def test_regions_agree_with_scipy_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = ndimage.gaussian_filter(rng.random((37, 53)), 2).astype(np.float32)
        mask = mask_at(values, float(np.quantile(values, 0.8)))
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        wanted = {
            (
                round(float(values[labels == n].max()), 6),
                int((labels == n).sum()),
                tuple(round((x + 0.5) / side, 9) for x, side in zip(centre, mask.shape, strict=True)),
            )
            for n, centre in enumerate(ndimage.center_of_mass(mask, labels, range(1, count + 1)), start=1)
        }
        found = find_regions(mask, values)
        assert {
            (round(r.peak, 6), round(r.area * mask.size), tuple(round(x, 9) for x in r.centre)) for r in found
        } == wanted
        assert [r.peak for r in found] == sorted((r.peak for r in found), reverse=True)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert len(find_regions(np.eye(3, dtype=np.bool_), np.eye(3))) == 1


def test_an_empty_mask_has_no_region_and_no_contour() -> None:
    mask = np.zeros((8, 8), np.bool_)
    assert find_regions(mask, np.zeros((8, 8))) == []
    assert not contours(mask).any()


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(0.1, 0.1, "top left"), (0.5, 0.5, "centre"), (0.5, 0.99, "right"), (1.0, 0.5, "bottom"),
     (0.33, 0.34, "top"), (0.67, 0.0, "bottom left")],
)  # fmt: skip
def test_positions_in_words(row: float, column: float, words: str) -> None:
    assert position(row, column) == words


def test_contours_are_the_inner_edge_without_the_border_of_the_image() -> None:
    rng = np.random.default_rng(1)
    mask = ndimage.binary_dilation(rng.random((40, 60)) > 0.99, iterations=5)
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=2, border_value=1)
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_array_equal(contours(mask)[inner], (mask & ~eroded)[inner])
    half = np.zeros((10, 12), np.bool_)
    half[:5] = True
    np.testing.assert_array_equal(contours(half).any(1), [row in (3, 4) for row in range(10)])


def test_a_mask_of_the_whole_image_has_the_border_as_contour() -> None:
    edge = contours(mask_at(np.zeros((9, 12), np.float32), 0.0))
    assert edge.sum() == 9 * 12 - 5 * 8 and not edge[2:-2, 2:-2].any()
    assert contours(np.ones((3, 3), np.bool_)).all()


def test_regions_of_a_large_map_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    mask = ndimage.binary_dilation(rng.random((2500, 40)) > 0.998, iterations=3)
    values = rng.random(mask.shape)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    places = range(1, count + 1)
    wanted = sorted(
        zip(
            ndimage.maximum(values, labels, places),
            ndimage.sum_labels(mask, labels, places) / mask.size,
            [((row + 0.5) / 2500, (column + 0.5) / 40)
             for row, column in ndimage.center_of_mass(mask, labels, places)],
            strict=True,
        ),
        reverse=True,
    )  # fmt: skip
    found = find_regions(mask, values)
    assert len(found) == count > 20
    for region, (peak, area, centre) in zip(found, wanted, strict=True):
        assert (region.peak, region.area) == pytest.approx((peak, area))
        assert region.centre == pytest.approx(centre)
