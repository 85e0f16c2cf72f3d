"""Mosaics of four examples of a class."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.training.drawing import draw_set, save
from zsad.data.spec import open_dataset
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.training.mosaic import MosaicExamples
from zsad.training.sources import DatasetExamples


@pytest.fixture
def source(tmp_path) -> DatasetExamples:
    """Eight squares of 64 pixels, and eight of 32 of another class."""
    draw_set(tmp_path / "both" / "squares")
    draw_set(tmp_path / "both" / "tiles", seed=1)
    return DatasetExamples([open_dataset(f"folder={tmp_path / 'both'}", get_host())])


def quarters(values: np.ndarray) -> list[np.ndarray]:
    rows, columns = (side // 2 for side in values.shape[:2])
    return [values[y : y + rows, x : x + columns] for y in (0, rows) for x in (0, columns)]


def origin(source: DatasetExamples, image: np.ndarray) -> int:
    """Return the place of the example that a tile shows."""
    (place,) = [p for p in range(len(source)) if np.array_equal(source[p].sample.image, image)]
    return place


def test_a_mosaic_shows_four_examples_of_its_class_with_their_masks(source) -> None:
    mosaics = MosaicExamples(source, 1.0)
    used = set()
    for place in range(len(source)):
        example = mosaics[place]
        assert example.sample.class_name == mosaics.class_name(place) == source.class_name(place)
        assert example.sample.image.shape == (128, 128, 3) and example.mask.shape == (128, 128)
        assert example.sample.path is None
        anomalous = []
        for image, mask in zip(quarters(example.sample.image), quarters(example.mask), strict=True):
            shown = origin(source, image)
            assert source.class_name(shown) == source.class_name(place)
            assert np.array_equal(mask, source[shown].mask)
            anomalous.append(source[shown].anomalous)
            used.add(shown)
        assert example.anomalous == any(anomalous)
    assert len(used) > 12  # 64 tiles of 16 examples


def test_the_share_of_mosaics(source) -> None:
    counts = [
        sum(MosaicExamples(source, 0.25, seed)[place].mask.shape == (128, 128) for place in range(16))
        for seed in range(25)
    ]
    assert 70 <= sum(counts) <= 130  # of 400
    plain = MosaicExamples(source, 0.0)
    assert all(np.array_equal(plain[p].sample.image, source[p].sample.image) for p in range(16))


def test_the_original_label_is_kept_on_demand(source) -> None:
    from_mask, original = MosaicExamples(source, 1.0), MosaicExamples(source, 1.0, label="original")
    labels = [source[place].anomalous for place in range(16)]
    assert [original[place].anomalous for place in range(16)] == labels
    assert [from_mask[place].anomalous for place in range(16)] != labels
    for place in range(16):
        assert np.array_equal(original[place].mask, from_mask[place].mask)
        assert from_mask[place].anomalous == bool(from_mask[place].mask.any())


def test_tiles_of_another_size_are_resized(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(20, 30), (40, 60), (64, 64)]):
        save(tmp_path / "odd" / "bad" / f"{number}.png", rng.integers(0, 255, (*shape, 3), dtype=np.uint8))
        mark = np.zeros(shape, np.uint8)
        mark[: shape[0] // 2] = 255
        save(tmp_path / "odd" / "masks" / "bad" / f"{number}.png", mark)
    source = DatasetExamples([open_dataset(f"folder={tmp_path / 'odd'}", get_host())])
    sizes = set()
    for seed in range(6):
        example = MosaicExamples(source, 1.0, seed)[0]
        rows, columns = example.mask.shape
        sizes.add((rows, columns))
        assert example.sample.image.shape == (rows, columns, 3)
        for mask in quarters(example.mask):  # half of every tile is marked, whatever its size was
            assert mask[: rows // 4].all() and not mask[-(rows // 4) :].any()
    assert sizes <= {(40, 60), (80, 120), (128, 128)} and len(sizes) > 1


def test_seed_and_key(source) -> None:
    first = MosaicExamples(source, 0.5, 3)
    again = pickle.loads(pickle.dumps(MosaicExamples(source, 0.5, 3)))
    assert all(np.array_equal(first[p].sample.image, again[p].sample.image) for p in range(16))
    assert first.key == again.key and first.datasets == source.datasets and len(first) == 16
    others = [
        source,
        MosaicExamples(source, 0.5, 4),
        MosaicExamples(source, 0.4, 3),
        MosaicExamples(source, 0.5, 3, label="original"),
    ]
    assert len({first.key, *(other.key for other in others)}) == 5
    for wrong in ({"probability": 1.2}, {"probability": 0.1, "seed": -1}):
        with pytest.raises(InputError, match="mosaic must be 0 to 1"):
            MosaicExamples(source, **wrong)
