"""Masks by stable numbers of regions: planted blobs, flat maps, scales, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from zsad.detect.stable_masks import Range, _regions, floor_of, stable_mask
from zsad.errors import InputError

SIDE = 128


def blobs(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a map of two smooth discs over noise, and the discs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((SIDE, SIDE))
    discs = [np.hypot(rows - y, columns - x) < radius for y, x, radius in ((35, 40, 14), (90, 85, 18))]
    truth = np.logical_or(*discs)
    values = ndimage.gaussian_filter(truth.astype(float), 3) + noise * ndimage.gaussian_filter(
        rng.normal(size=truth.shape), 1
    )
    return values.astype(np.float32), truth


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2, 0.35])
def test_two_blobs_are_two_regions_over_a_wide_range_of_noise(noise) -> None:
    values, truth = blobs(noise)
    floor = 0.2
    mask = stable_mask(values, floor)
    assert _regions(mask, 3) == 2  # specks of noise are in the mask, and too small to be counted
    assert overlap(mask, truth) > 0.75


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 50), st.floats(-10, 10), st.integers(0, 5))
def test_a_rescaled_map_has_the_same_mask(factor, shift, seed) -> None:
    values = blobs(0.2, seed)[0].astype(np.float64)
    scaled = values * factor + shift
    assert np.array_equal(stable_mask(scaled, 0.2 * factor + shift), stable_mask(values, 0.2))


def test_what_lies_below_the_floor_is_normal() -> None:
    values, _ = blobs(0.2)
    assert not stable_mask(values, floor_of([values])).any()
    assert not stable_mask(np.full((20, 20), 0.7), 0.2).any()
    assert not stable_mask(np.zeros((20, 20)), -1.0).any()
    noise = np.random.default_rng(0).random((SIDE, SIDE))
    assert stable_mask(values + 5, floor_of([noise])).any()


def test_no_stable_number_gives_no_mask() -> None:
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1)
    assert not stable_mask(values, 0.0, least=60).any()


def test_erosion_keeps_thin_bridges_from_joining_regions() -> None:
    values, truth = blobs(0.0)
    bridged = values.copy()
    for row, column in zip(range(35, 91), np.linspace(40, 85, 56).round().astype(int), strict=True):
        bridged[row, column : column + 2] = np.maximum(bridged[row, column : column + 2], 0.6)
    whole = bridged >= 0.3
    assert (_regions(whole, 0), _regions(whole, 1), _regions(whole, 3)) == (1, 1, 2)
    # Eroded, there are two regions from 1 down to 0.1. As they are, one below 0.6, and that is the longer run
    # down to 0.1, but not down to 0.4: then the mask ends where the bridge begins.
    assert np.array_equal(stable_mask(bridged, 0.1), stable_mask(bridged, 0.1, erosion=0))
    eroded, joined = stable_mask(bridged, 0.4), stable_mask(bridged, 0.4, erosion=0)
    assert joined.sum() < eroded.sum() and not (joined & ~eroded).any()
    assert ndimage.label(joined, np.ones((3, 3)))[1] == 2 and overlap(joined, truth) > 0.7


def test_the_published_range_is_of_all_maps_of_a_class() -> None:
    values, truth = blobs(0.1)
    weak, strong = values * np.float32(0.3), values * np.float32(3)
    found = Range.of_class([values, weak, strong])
    assert found == Range(float(weak.max()), float(strong.max()))
    assert not stable_mask(weak, found).any()  # the least maximum is the floor
    assert overlap(stable_mask(strong, found), truth) > 0.5


@pytest.mark.parametrize(
    "options", [{"steps": 1}, {"least": 0}, {"least": 65}, {"erosion": 1.0}, {"erosion": -0.1}]
)
def test_wrong_numbers_are_refused(options) -> None:
    with pytest.raises(InputError, match="a stable mask takes"):
        stable_mask(np.eye(8), 0.0, **options)


def test_what_has_no_range_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        stable_mask(np.array([[0.0, np.nan]]), 0.0)
    with pytest.raises(InputError, match="finite"):
        stable_mask(np.eye(4), np.inf)
    for empty in (Range.of_class, floor_of):
        with pytest.raises(InputError, match="at least one"):
            empty([])
