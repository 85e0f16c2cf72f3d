"""Defects on a scene: what they change, what counts as visible, and that the clean scene stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zsad.errors import ZsadError
from zsad_plugins.drawn.procedural.camera import draw_camera, photograph
from zsad_plugins.drawn.procedural.canvas import whole
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE
from zsad_plugins.drawn.procedural.damage import VISIBLE, damage
from zsad_plugins.drawn.procedural.defects.site import blot, defect_radius, on_object, spot, tinted
from zsad_plugins.drawn.procedural.repertoire import REPERTOIRE

SIZE = 96


def shot(family, seed=0, size=SIZE):
    scene = CATALOGUE[family].draw(np.random.default_rng(seed), whole(size))
    camera = replace(draw_camera(np.random.default_rng(seed + 1), scene), noise=0.002)
    return scene, camera, photograph(scene, camera)


def family_for(defect):
    return next(name for name, family in CATALOGUE.items() if defect in family.defects)


@pytest.mark.parametrize("defect", REPERTOIRE)
@pytest.mark.parametrize("strength", [0.15, 1.0])
def test_a_defect_stays_within_its_cover(defect, strength):
    for seed in range(3):
        scene, _, _ = shot(family_for(defect), seed)
        broken = scene.twin()
        cover = REPERTOIRE[defect](np.random.default_rng(seed), broken, strength)
        assert cover.shape == (SIZE, SIZE)
        assert cover.min() >= 0
        assert cover.max() <= 1.001
        assert cover.any()
        for values in (broken.albedo, broken.height, broken.gloss):
            assert np.isfinite(values).all()
            assert values.dtype == np.float32
        far = np.ones((SIZE, SIZE), bool)
        rows, columns = np.nonzero(cover)
        far[max(0, rows.min() - 8) : rows.max() + 9, max(0, columns.min() - 8) : columns.max() + 9] = False
        np.testing.assert_allclose(broken.albedo[far], scene.albedo[far], atol=1e-6)
        np.testing.assert_allclose(broken.height[far], scene.height[far], atol=2e-3)
        assert (np.abs(broken.albedo - scene.albedo).max() > 0.01) or (
            np.abs(broken.height - scene.height).max() > 1e-3
        )


@pytest.mark.parametrize("defect", REPERTOIRE)
def test_damage_is_seen_and_leaves_the_clean_scene_alone(defect):
    scene, camera, clean = shot(family_for(defect))
    before = [values.copy() for values in (scene.albedo, scene.height, scene.gloss, scene.region, clean)]
    found = damage(scene, clean, camera, defect, np.random.SeedSequence(3))
    for values, kept in zip(
        (scene.albedo, scene.height, scene.gloss, scene.region, clean), before, strict=True
    ):
        np.testing.assert_array_equal(values, kept)
    assert found.defect == defect
    assert scene.taken == []
    change = np.abs(found.picture - clean).max(axis=2)
    assert found.mask.any()
    assert 0 < found.severity <= 1
    assert (change[found.mask] > VISIBLE).mean() > 0.55, "the rest are closed gaps"
    assert change[found.mask].mean() > change[~found.mask].mean() + VISIBLE


@pytest.mark.parametrize("defect", REPERTOIRE)
def test_the_window_taken_again_is_the_photograph_of_the_whole(defect):
    scene, camera, clean = shot(family_for(defect))
    found = damage(scene, clean, camera, defect, np.random.SeedSequence(4))
    np.testing.assert_allclose(found.picture, photograph(found.scene, camera), atol=1e-4)


def test_damage_depends_on_its_seed_alone():
    scene, camera, clean = shot("bolt")
    first, again = (damage(scene, clean, camera, "hole", np.random.SeedSequence(5)) for _ in range(2))
    other = damage(scene, clean, camera, "hole", np.random.SeedSequence(6))
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert first.severity == again.severity
    assert (first.mask != other.mask).any()


def test_a_defect_that_changes_nothing_is_an_error(monkeypatch):
    scene, camera, clean = shot("leather")
    monkeypatch.setattr(
        "zsad_plugins.drawn.procedural.damage.REPERTOIRE",
        {"hole": lambda rng, scene, strength: scene.region * 0},
    )
    with pytest.raises(ZsadError, match="'hole' stayed invisible in 14 attempts"):
        damage(scene, clean, camera, "hole", np.random.SeedSequence(0))


def test_spots_lie_on_the_object_and_keep_apart():
    rng = np.random.default_rng(0)
    for family in ("bolt", "gasket", "leather", "chest"):
        scene, _, _ = shot(family)
        places = [spot(rng, scene) for _ in range(3)]
        assert scene.taken == places
        for x, y in places:
            assert scene.region[int((y + 1) / 2 * SIZE), int((x + 1) / 2 * SIZE)] > 0.5
        assert np.hypot(*(np.array(places[0]) - places[1])) > 0.2


def test_spots_on_the_outline_lie_where_the_object_ends():
    scene, _, _ = shot("bolt")
    for seed in range(10):
        x, y = spot(np.random.default_rng(seed), scene, outline=True)
        row, column = int((y + 1) / 2 * SIZE), int((x + 1) / 2 * SIZE)
        around = scene.region[row - 1 : row + 2, column - 1 : column + 2]
        assert around.max() - around.min() > 0.1


def test_blots_are_about_as_large_as_asked_for():
    scene, _, _ = shot("leather", size=128)
    rng = np.random.default_rng(0)
    for radius in (0.1, 0.3):
        areas = [float((blot(rng, scene, (0, 0), radius, roughness=0.3) < 0).mean() * 4) for _ in range(20)]
        assert 0.8 < np.mean(areas) / (np.pi * radius**2) < 1.25
    smooth = blot(rng, scene, (0.2, -0.1), 0.2, roughness=0.0, slimness=1.0)
    away = np.hypot(scene.canvas.x - 0.2, scene.canvas.y + 0.1)
    np.testing.assert_allclose(smooth, away - 0.2, atol=1e-5)


def test_stronger_defects_are_larger():
    scene, _, _ = shot("bolt")
    small, large = (
        np.mean([defect_radius(np.random.default_rng(n), scene, strength, 0.1, 0.4) for n in range(100)])
        for strength in (0.0, 1.0)
    )
    assert 1.1 * small < large


def test_tints_stand_out():
    rng = np.random.default_rng(0)
    for _ in range(100):
        base = rng.uniform(0, 1, 3).astype(np.float32)
        tone = tinted(rng, base, 0.5)
        assert 0 <= tone.min() <= tone.max() <= 1
        assert np.abs(tone - base).max() > 0.1


def test_nothing_is_on_the_object_beside_it():
    scene, _, _ = shot("bolt")
    cover = on_object(scene, np.ones((SIZE, SIZE), np.float32))
    assert (cover[scene.region == 0] == 0).all()
    assert (cover[scene.region == 1] == 1).all()
