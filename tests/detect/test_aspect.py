"""Images that keep their aspect, from the pass to the map: nothing is stretched, nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.memory import needed_memory
from zsad.detect import passes
from zsad.detect.detector import Detector
from zsad.detect.passes import encode_together
from zsad.detect.predictions import FailedImage, ImageResult, native_map, predict_files
from zsad.detect.scope import extended
from zsad.detect.tiles import Tiling
from zsad.errors import InputError
from zsad.files import write_png
from zsad.inputs import cut_of, resized_size
from zsad.values import Sample

SHORT = "profile.image_resize=short-side"
SHAPES = ((70, 121), (121, 70), (70, 70), (140, 242), (70, 121), (66, 190))
"""Of which the first, the fourth and the fifth are resized to the same size."""


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    return lambda method, *more: load_detector(method, backbone=tiny_backbone, overrides=(SHORT, *more))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for number, shape in enumerate(SHAPES):
        found.append(tmp_path / f"{number}.png")
        write_png(found[-1], noise(*shape, number))
    return found


def predicted(detector: Detector, paths: Sequence[Path], batch: int, **more: object) -> list[ImageResult]:
    found = list(predict_files(detector, paths, "nut", batch, **more))  # type: ignore[arg-type]
    assert all(isinstance(each, ImageResult) for each in found), found
    return found  # type: ignore[return-value]


def test_the_tower_sees_whole_patches_and_the_map_covers_the_image(load: Callable[..., Detector]) -> None:
    detector = load("clip-baseline")
    side, patch = detector.recipe.image_size, detector.tower.patch_size
    features = detector.encode([noise(70, 121), noise(70, 121, 1)])
    width = side * 121 // 70
    assert width % patch and features.cut == (0, width % patch)
    assert features.input_size == (side, width - width % patch) and features.whole_size == (side, width)
    assert detector.tensor(detector.samples([noise(70, 121)])).shape == (1, 3, *features.input_size)
    grid = features.grid
    assert (grid.height, grid.width) == (side // patch, width // patch)
    ((_, scores), *_) = detector.stages(features)[::-1]
    prediction = detector.score(features)
    seen = scores.required_map
    assert seen.shape == (2, *features.input_size)
    assert prediction.anomaly_map.shape == (2, *features.whole_size)
    assert torch.equal(prediction.anomaly_map[:, :, : seen.shape[2]], seen)
    beyond = prediction.anomaly_map[:, :, seen.shape[2] :]
    assert torch.equal(beyond, seen[:, :, -1:].expand_as(beyond))


def test_a_defect_keeps_its_place(load: Callable[..., Detector]) -> None:
    """The patches of a wide image are those of its two halves, side by side."""
    detector = load("clip-baseline", "image_size=64")
    pixels = noise(64, 128)
    (wide,) = detector.encode([pixels]).token_sets
    patches = detector.tower.patch_embedding(detector.tensor(detector.samples([pixels])))
    left, right = (
        detector.tower.patch_embedding(detector.tensor(detector.samples([np.ascontiguousarray(half)])))
        for half in (pixels[:, :64], pixels[:, 64:])
    )
    torch.testing.assert_close(patches, torch.cat([left, right], dim=3))
    assert (wide.grid.height, wide.grid.width) == tuple(patches.shape[2:])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5), st.sampled_from([1, 3]))
def test_maps_are_extended_by_their_edge(h: int, w: int, bottom: int, right: int, count: int) -> None:
    maps = torch.randn(count, h, w)
    whole = extended(maps, (bottom, right))
    assert whole.shape == (count, h + bottom, w + right)
    for row in range(h + bottom):
        for column in range(w + right):
            assert torch.equal(whole[:, row, column], maps[:, min(row, h - 1), min(column, w - 1)])


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 4), st.integers(1, 16))
def test_what_was_cut_is_what_a_map_is_extended_by(height: int, width: int, patches: int, patch: int) -> None:
    if max(height, width) > 50 * min(height, width):
        height = width
    whole = resized_size(height, width, patches * patch, "short-side")
    cut = cut_of(whole, patch, "short-side")
    seen = torch.zeros(1, whole[0] - cut[0], whole[1] - cut[1])
    assert seen.shape[1] % patch == seen.shape[2] % patch == 0 and seen.numel()
    assert extended(seen, cut).shape == (1, *whole)


def test_methods_share_a_pass(load: Callable[..., Detector]) -> None:
    pair = [load("clip-baseline"), load("winclip")]
    pair[0].tower.counts.clear()
    samples = [Sample(noise(70, 121), "nut"), Sample(noise(140, 242, 1), "nut")]
    together = encode_together(pair, samples)
    assert pair[0].tower.counts["passes"] == 1
    for detector, features in zip(pair, together, strict=True):
        found, alone = detector.score(features), detector.predict(samples)
        torch.testing.assert_close(found.anomaly_map, alone.anomaly_map)
        assert found.anomaly_map.shape == (2, 64, 64 * 121 // 70)
    squashed = load_detector("winclip", backbone=pair[0].backbone)
    with pytest.raises(InputError, match="differ in backbone, profile or image size"):
        encode_together([pair[0], squashed], samples)


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_shapes_may_be_mixed(load: Callable[..., Detector], paths: list[Path], batch: int) -> None:
    detector = load("clip-baseline")
    found = predicted(detector, paths, batch)
    assert [each.path for each in found] == paths
    for each, shape in zip(found, SHAPES, strict=True):
        alone = detector.predict([each.path], "nut")
        assert each.score == pytest.approx(float(alone.score), abs=1e-6)
        assert each.anomaly_map.shape == shape
        np.testing.assert_allclose(each.anomaly_map, native_map(alone.anomaly_map[0], *shape), atol=1e-6)


def test_images_of_one_size_share_their_passes(load: Callable[..., Detector], paths: list[Path]) -> None:
    detector = load("clip-baseline")
    detector.tower.counts.clear()
    predicted(detector, paths, 8)
    assert detector.tower.counts["passes"] == 4


def test_what_was_finished_is_left_out(load: Callable[..., Detector], paths: list[Path]) -> None:
    detector = load("clip-baseline")
    whole, rest = predicted(detector, paths, 4), predicted(detector, paths, 4, finished=paths[1:5])
    assert [each.path for each in rest] == [paths[0], paths[5]]
    assert [each.score for each in rest] == [whole[0].score, whole[5].score]


def test_tiles_are_images(load: Callable[..., Detector], paths: list[Path]) -> None:
    detector, tiling = load("clip-baseline"), Tiling(100, 0)
    found = predicted(detector, [paths[0], paths[1], paths[5]], 3, tiling=tiling)
    # Of 70 x 121 pixels: tiles of 70 x 100.
    tiles = [detector.predict([noise(*SHAPES[0], 0)[:, left : left + 100].copy()], "nut") for left in (0, 21)]
    assert found[0].score == pytest.approx(max(float(tile.score) for tile in tiles), abs=1e-6)
    assert tiles[0].anomaly_map.shape == (1, 64, 64 * 100 // 70)
    assert [each.anomaly_map.shape for each in found] == [SHAPES[0], SHAPES[1], SHAPES[5]]


def test_what_compares_images_takes_them_of_one_shape(
    load: Callable[..., Detector], paths: list[Path]
) -> None:
    detector = load("musc")
    alike = [paths[0], paths[3], paths[4]]
    found = predicted(detector, alike, 2)
    whole = detector.predict(alike, "nut")
    np.testing.assert_allclose([each.score for each in found], whole.score, atol=1e-5)
    assert [each.anomaly_map.shape for each in found] == [SHAPES[0], SHAPES[3], SHAPES[4]]
    for mixed in (paths[:2], [paths[0], paths[3], paths[2]]):
        with pytest.raises(
            InputError, match=r"takes them of one shape; .*use --set profile.image_resize=squash"
        ):
            list(predict_files(detector, mixed, "nut", 8))


def test_a_batch_of_the_library_is_of_one_shape(load: Callable[..., Detector]) -> None:
    with pytest.raises(InputError, match=r"110 x 64 and 64 x 110 pixels cannot share a batch"):
        load("clip-baseline").predict([noise(70, 121), noise(121, 70)])


def test_a_long_image_without_memory_for_it_costs_itself_alone(
    load: Callable[..., Detector], paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load("clip-baseline")
    enough = needed_memory(detector.tower, 64, 120)
    monkeypatch.setattr(passes, "available_memory", lambda device: enough)
    found = list(predict_files(detector, paths, "nut", 8))
    failed = [each for each in found if isinstance(each, FailedImage)]
    assert [each.path for each in failed] == [paths[5]] and len(found) == len(paths)
    assert "image size 64, with which this image has 184 x 64 pixels, needs at least" in failed[0].error
    with pytest.raises(InputError, match=r"has 184 x 64 pixels, needs .*use --image-size \d+ or less"):
        detector.encode([paths[5]])
    tiled = list(predict_files(detector, [paths[5]], "nut", 8, tiling=Tiling(80)))
    assert isinstance(tiled[0], ImageResult)


def test_a_bar_is_refused_by_its_size(load: Callable[..., Detector], tmp_path: Path) -> None:
    write_png(tmp_path / "bar.png", np.zeros((1, 60_000, 3), np.uint8))
    (found,) = predict_files(load("clip-baseline"), [tmp_path / "bar.png"], "nut", 1)
    assert isinstance(found, FailedImage)


def test_squashed_images_are_what_they_were(tiny_backbone: ClipBackbone) -> None:
    """A square is the same to both rules, and another shape is not."""
    squash = load_detector("clip-baseline", backbone=tiny_backbone)
    short = load_detector("clip-baseline", backbone=tiny_backbone, overrides=(SHORT,))
    square, wide = noise(70, 70), noise(70, 121)
    assert torch.equal(squash.predict([square]).anomaly_map, short.predict([square]).anomaly_map)
    assert squash.predict([wide]).anomaly_map.shape == (1, 64, 64)
    enlarged = F.interpolate(squash.predict([wide]).anomaly_map[:, None], (64, 110))[:, 0]
    assert not torch.allclose(enlarged, short.predict([wide]).anomaly_map, atol=1e-3)
    assert squash.encode_key != short.encode_key
