"""A pool holds what the stem says of drawn images, and where their defects are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tools.train_mini.conftest import IMAGES, SIZE
from tools.train_mini import pool as pools
from tools.train_mini.pool import (
    DRAWN_SIZE,
    SLOTS,
    SMALLEST_CROP,
    PoolPlan,
    _draw_image,
    cropped,
    make_pool,
    patch_cover,
)
from zsad.data.preprocess import to_tensor
from zsad_plugins.drawn.procedural import TRAINING_DEFECTS, TRAINING_FAMILIES
from zsad_plugins.mini.stem import CHANNELS, MEAN, STD, STRIDE

PLAN = PoolPlan(IMAGES, 0, SIZE)
GRID = SIZE // STRIDE


def redrawn(index):
    """Return image, names and masks of an image of the pool, drawn anew."""
    rng = np.random.default_rng((PLAN.seed, index, 1))
    drawn, masks = _draw_image(rng, PLAN, index)
    image, kept = cropped(rng, drawn.image, list(masks.values()))
    seen = [(name, mask) for name, mask in zip(masks, kept, strict=True) if mask.any()]
    return drawn, image, seen, len(masks)


def test_features_are_the_stems_own(pool, stem) -> None:
    assert pool.features.shape == (IMAGES, CHANNELS, GRID, GRID) and pool.features.dtype == np.float16
    images = torch.stack([to_tensor(redrawn(index)[1], SIZE, MEAN, STD) for index in range(IMAGES)])
    with torch.no_grad():
        own = stem(images).numpy()
    # Half precision, and convolutions that sum in another order elsewhere.
    np.testing.assert_allclose(pool.features.astype(np.float32), own, rtol=2e-3, atol=2e-3)


def test_cover_and_records(pool) -> None:
    assert len(pool) == len(pool.records) == IMAGES
    assert pool.cover.shape == (IMAGES, SLOTS, GRID, GRID)
    for index, record in enumerate(pool.records):
        drawn, _, seen, drawn_defects = redrawn(index)
        assert (record.class_name, record.family, record.material) == (
            drawn.class_name, drawn.family, drawn.material,
        )  # fmt: skip
        assert record.family in TRAINING_FAMILIES
        assert record.defects == tuple(name for name, _ in seen)
        assert set(record.defects) <= set(TRAINING_DEFECTS)
        # A crop that lost a defect has no caption of the generator's.
        assert record.caption == (drawn.caption if len(seen) == drawn_defects else "")
        for slot in range(SLOTS):
            cover = pool.cover[index, slot].astype(np.float64)
            if slot >= len(seen):
                assert not cover.any()
                continue
            share = float(seen[slot][1].mean())
            assert cover.max() <= 1 and cover.mean() == pytest.approx(share, abs=0.005)
            np.testing.assert_allclose(cover, patch_cover(seen[slot][1], GRID).numpy(), atol=1e-3)


def test_patch_cover_is_the_share_of_marked_pixels() -> None:
    mask = np.random.default_rng(0).random((3 * STRIDE, 3 * STRIDE)) < 0.2
    shares = mask.reshape(3, STRIDE, 3, STRIDE).mean(axis=(1, 3))
    np.testing.assert_allclose(patch_cover(mask, 3).numpy(), shares, atol=1e-6)
    # At twice the size, the box filter keeps the shares up to a grey level.
    doubled = mask.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(patch_cover(doubled, 3).numpy(), shares, atol=1 / 255)


def test_a_thin_defect_is_not_lost() -> None:
    mask = np.zeros((DRAWN_SIZE, DRAWN_SIZE), bool)
    mask[100, 100] = True
    assert float(np.float16(patch_cover(mask, 15).max())) > 0


def test_crops() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:100, :100]
    image = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    mask = (rows + columns) % 7 == 0
    sides = []
    for _ in range(300):
        cut, (kept,) = cropped(rng, image, [mask])
        assert cut.shape[0] == cut.shape[1] == kept.shape[0] == kept.shape[1]
        assert cut.flags["C_CONTIGUOUS"]
        # The mask is cut where the image is.
        assert np.array_equal(kept, (cut[..., 0].astype(int) + cut[..., 1]) % 7 == 0)
        sides.append(cut.shape[0])
    assert 0.4 < sides.count(100) / 300 < 0.6
    assert int(100 * SMALLEST_CROP) <= min(sides) < 80


def test_combined_images_have_a_mask_for_each_defect(monkeypatch) -> None:
    monkeypatch.setattr(pools, "COMBINED_CHANCE", 1.0)
    counts = []
    for index in range(6):
        drawn, masks = _draw_image(np.random.default_rng(index), PLAN, index)
        assert len(set(masks)) == len(masks) <= SLOTS
        assert drawn.defect is None or drawn.defect in masks
        if len(masks) == SLOTS:
            first, second = masks.values()
            assert first.any() and second.any() and not (first & second).all()
        counts.append(len(masks))
    assert SLOTS in counts


def test_families_and_defects_of_a_plan() -> None:
    plan = replace(PLAN, families=("leather",), defects=("scratch",))
    for index in range(5):
        drawn, masks = _draw_image(np.random.default_rng(index), plan, index)
        assert drawn.family == "leather" and set(masks) <= {"scratch"}


def test_a_finished_pool_is_used_again_and_only_for_its_plan(pool, finished_run, stem) -> None:
    again = make_pool(finished_run / "pool", PLAN, stem, 0)
    assert again.records == pool.records and np.array_equal(again.features, pool.features)
    with pytest.raises(ValueError, match="max_workers"):  # it would be drawn, and nobody is there to do so
        make_pool(finished_run / "pool-of-another-plan", replace(PLAN, seed=1), stem, 0)


def test_an_interrupted_pool_is_not_taken_for_the_former_one(
    pool, finished_run, stem, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "pool"
    shutil.copytree(finished_run / "pool", folder)

    def interrupted(folder, plan, *rest) -> None:
        (folder / "features.bin").write_bytes(bytes((folder / "features.bin").stat().st_size))
        raise KeyboardInterrupt

    monkeypatch.setattr(pools, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_pool(folder, replace(PLAN, seed=1), stem, 1)
    with pytest.raises(KeyboardInterrupt):  # drawn anew, instead of zeros under the old plan
        make_pool(folder, PLAN, stem, 1)


def test_the_plan_is_written_last(finished_run) -> None:
    folder = finished_run / "pool"
    assert {path.name for path in folder.iterdir()} >= {
        "plan.json",
        "records.json",
        "features.bin",
        "cover.bin",
    }
    plan = json.loads((folder / "plan.json").read_text())
    assert (plan["count"], plan["seed"], plan["size"]) == (IMAGES, 0, SIZE)
