"""States: one result whatever the route, files, and errors that name the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.cases import Array, random_maps
from zsad import metrics
from zsad.errors import InputError, ZsadError
from zsad.metrics import ImageState, PixelState, UndefinedMetricError, metric

PIXEL = tuple(
    build()
    for build in (
        metric.pixel_auroc,
        metric.pixel_ap,
        metric.pixel_f1_max,
        metric.aupro,
        metric.aupro_legacy200,
    )
)
IMAGE = tuple(build() for build in (metric.image_auroc, metric.image_ap, metric.image_f1_max))


def pixel_state(maps: Array, masks: Array) -> PixelState:
    state = PixelState()
    state.update(maps, masks, [f"{index}.png" for index in range(len(maps))])
    return state


def pixel_values(state: PixelState) -> list[float]:
    return [item.compute(state) for item in PIXEL]


@pytest.mark.parametrize("seed", range(5))
def test_state_and_functions_agree(seed: int) -> None:
    maps, masks = random_maps(seed)
    assert pixel_values(pixel_state(maps, masks)) == [
        metrics.auroc(maps, masks),
        metrics.average_precision(maps, masks),
        metrics.f1_max(maps, masks),
        metrics.aupro(maps, masks),
        metrics.aupro_legacy200(maps, masks),
    ]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.data())
def test_batches_order_and_merges_do_not_change_a_bit(seed: int, data: st.DataObject) -> None:
    maps, masks = random_maps(seed)
    expected = pixel_values(pixel_state(maps, masks))
    order = data.draw(st.permutations(range(len(maps))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(maps) - 1), max_size=4)))
    states = [pixel_state(maps[part], masks[part]) for part in np.split(np.array(order), cuts)]
    if data.draw(st.booleans()):
        for state in states:  # the sorting done before a merge must not show either
            try:
                pixel_values(state)
            except UndefinedMetricError:
                continue
    merged = PixelState()
    for state in data.draw(st.permutations(states)):
        merged.merge(state)
    assert pixel_values(merged) == expected
    assert merged.n_regions == sum(state.n_regions for state in states)


def test_update_after_compute_counts() -> None:
    maps, masks = random_maps(0)
    state = pixel_state(maps[:4], masks[:4])
    pixel_values(state)
    state.update(maps[4:], masks[4:], [""] * 5)
    assert pixel_values(state) == pixel_values(pixel_state(maps, masks))
    assert (state.n_normal, state.n_anomalous) == ((~masks).sum(), masks.sum())


def test_merge_leaves_the_other_state_and_arrays_as_they_are() -> None:
    maps, masks = random_maps(1)
    before = maps.copy()
    first, second = pixel_state(maps[:4], masks[:4]), pixel_state(maps[4:], masks[4:])
    expected = pixel_values(second)
    first.merge(second)
    pixel_values(first)
    assert pixel_values(second) == expected
    np.testing.assert_array_equal(maps, before)


def test_a_state_keeps_no_view_of_a_batch() -> None:
    maps, masks = random_maps(2)
    batch = maps.copy()
    state = pixel_state(batch, masks)
    batch[:] = 0
    assert pixel_values(state) == pixel_values(pixel_state(maps, masks))


def test_maps_may_differ_in_size() -> None:
    small, large = random_maps(3, size=12), random_maps(3, size=30)
    state = pixel_state(*small)
    state.update(*large, names=[""] * 9)
    scores = np.concatenate([small[0].ravel(), large[0].ravel()])
    labels = np.concatenate([small[1].ravel(), large[1].ravel()])
    assert PIXEL[0].compute(state) == metrics.auroc(scores, labels)


def test_float16_maps_are_cast() -> None:
    maps, masks = random_maps(4)
    half = maps.astype(np.float16)
    assert pixel_values(pixel_state(half, masks)) == pixel_values(pixel_state(half.astype(np.float32), masks))


def test_image_states() -> None:
    generator = np.random.default_rng(0)
    labels = generator.random(50) < 0.4
    scores = np.round(generator.normal(size=50) + labels, 1).astype(np.float32)
    names = [f"{index}" for index in range(50)]
    parts = []
    for part in np.split(generator.permutation(50), 5):
        state = ImageState()
        state.update(scores[part], labels[part], [names[index] for index in part])
        parts.append(state)
    merged = ImageState()
    for state in reversed(parts):
        merged.merge(state)
    assert [item.compute(merged) for item in IMAGE] == [
        metrics.auroc(scores, labels),
        metrics.average_precision(scores, labels),
        metrics.f1_max(scores, labels),
    ]


def test_round_trip_through_files(tmp_path: Path) -> None:
    maps, masks = random_maps(5)
    state = pixel_state(maps, masks)
    state.save(tmp_path / "before.npz")
    expected = pixel_values(state)
    state.save(tmp_path / "after.npz")
    for name in ("before", "after"):
        loaded = PixelState.load(tmp_path / f"{name}.npz")
        assert pixel_values(loaded) == expected
        assert loaded.n_regions == state.n_regions
    images = ImageState()
    images.update(np.array([0.1, 0.9]), np.array([False, True]), ["a", "b"])
    images.save(tmp_path / "images.npz")
    assert IMAGE[0].compute(ImageState.load(tmp_path / "images.npz")) == 1.0


def test_an_empty_state_can_be_saved_and_merged(tmp_path: Path) -> None:
    PixelState().save(tmp_path / "empty.npz")
    state = pixel_state(*random_maps(6))
    expected = pixel_values(state)
    state.merge(PixelState.load(tmp_path / "empty.npz"))
    assert pixel_values(state) == expected


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    with pytest.raises(InputError, match="there is no metric state"):
        PixelState.load(path)
    pixel_state(*random_maps(7)).save(path)
    with pytest.raises(InputError, match="level 'pixel', not 'image'"):
        ImageState.load(path)
    content = path.read_bytes()
    for damaged in (b"", b"no archive", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is not a metric state"):
            PixelState.load(path)
    np.savez(path, format=1)
    with pytest.raises(InputError, match="is not a metric state"):
        PixelState.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"normal": np.array([np.nan], np.float32)},
        {"normal": np.zeros(3)},
        {"areas": np.zeros(1, np.int64)},
        {"areas": np.ones(2, np.int64)},
        {"regions": 0},
        {"anomalous": np.zeros((1, 1), np.float32)},
    ],
)
def test_states_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Array]) -> None:
    sound: dict[str, Any] = {
        "format": 1,
        "level": "pixel",
        "normal": np.zeros(3, np.float32),
        "anomalous": np.ones(1, np.float32),
        "areas": np.ones(1, np.int64),
        "regions": 1,
    }
    path = tmp_path / "state.npz"
    np.savez(path, **sound)
    assert PIXEL[0].compute(PixelState.load(path)) == 1.0
    np.savez(path, **(sound | change))
    with pytest.raises(InputError, match="damaged"):
        PixelState.load(path)
    np.savez(path, **(sound | {"format": 2}))
    with pytest.raises(InputError, match="another version"):
        PixelState.load(path)


def test_the_image_with_a_bad_score_is_named_and_its_batch_left_out() -> None:
    maps, masks = random_maps(8)
    state = pixel_state(maps, masks)
    expected = pixel_values(state)
    for bad in (np.nan, np.inf):
        broken = maps.copy()
        broken[3, 2, 1] = bad
        with pytest.raises(ZsadError, match=r"scores of 'cable/3\.png' are not all finite"):
            state.update(broken, masks, [f"cable/{index}.png" for index in range(9)])
    with pytest.raises(ZsadError, match=r"'big'.*beyond float32"):
        state.update(np.full((1, 2, 2), 1e300), np.zeros((1, 2, 2), np.bool_), ["big"])
    assert pixel_values(state) == expected
    with pytest.raises(ZsadError, match=r"'b\.png'"):
        ImageState().update(np.array([0.0, np.nan]), np.array([False, True]), ["a.png", "b.png"])


@pytest.mark.parametrize(("label", "missing"), [(True, "normal"), (False, "anomalous")])
def test_what_is_missing_is_said(label: bool, missing: str) -> None:
    images = ImageState()
    images.update(np.zeros(2), np.full(2, label), ["a", "b"])
    for item in IMAGE:
        with pytest.raises(UndefinedMetricError, match=f"^no {missing} images$"):
            item.compute(images)
    pixels = pixel_state(np.zeros((2, 3, 3)), np.full((2, 3, 3), label))
    for item in PIXEL:
        with pytest.raises(UndefinedMetricError, match=f"^no {missing} pixels$"):
            item.compute(pixels)


def test_shapes_and_names_have_to_fit() -> None:
    maps, masks = random_maps(9)
    for arguments in ((maps, masks[:3], [""] * 9), (maps, masks, ["a"]), (maps[0], masks[0], [""] * 24)):
        with pytest.raises(ValueError):
            PixelState().update(*arguments)
    with pytest.raises(TypeError):
        PixelState().update(maps, masks * 0.5, [""] * 9)
    with pytest.raises(TypeError):
        ImageState().merge(PixelState())  # type: ignore[arg-type]


def test_more_pixels_than_float32_can_count() -> None:
    maps = np.zeros((1, 4100, 4100), np.float32)
    masks = np.zeros(maps.shape, np.bool_)
    masks[0, :2, 0] = True
    maps[0, :2, 0] = 1.0
    maps[0, 5, 5] = 1.0
    normal = maps.size - 2
    state = pixel_state(maps, masks)
    assert PIXEL[0].compute(state) == 1 - 1 / (2 * normal)
    assert PIXEL[1].compute(state) == pytest.approx(2 / 3, abs=1e-15)
