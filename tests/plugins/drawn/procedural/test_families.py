"""Scenes of every family, the stage they stand on, and print."""

from __future__ import annotations

import numpy as np
import pytest

from zsad_plugins.drawn.procedural.canvas import Pose, whole
from zsad_plugins.drawn.procedural.captions import MATERIALS
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE, FAMILIES
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.scene import Surface, full_frame
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place

SIZE = 48


@pytest.mark.parametrize("name", FAMILIES)
def test_scenes_are_whole(name):
    family = CATALOGUE[name]
    for seed in range(4):
        scene = family.draw(np.random.default_rng(seed), whole(SIZE))
        for values, shape in (
            (scene.albedo, (SIZE, SIZE, 3)),
            (scene.height, (SIZE, SIZE)),
            (scene.gloss, (SIZE, SIZE)),
            (scene.region, (SIZE, SIZE)),
        ):
            assert values.shape == shape
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
        assert 0 <= scene.region.min() <= scene.region.max() <= 1
        assert scene.region.mean() > 0.03
        assert 0 <= scene.gloss.min() <= scene.gloss.max() <= 1.001
        assert scene.material in ("", *MATERIALS)
        assert not (family.full_frame and scene.ground), "nothing lies behind what fills the frame"
        assert scene.taken == []
        for part in scene.parts:
            assert part.cover.shape == scene.region[part.rows, part.columns].shape
            assert scene.beneath is not None
        if scene.ink is not None:
            assert scene.blank is not None
            assert scene.ink_colour is not None
            assert 0 <= scene.ink.min() <= scene.ink.max() <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_a_scene_depends_on_its_generator_alone(name):
    draw = CATALOGUE[name].draw
    first, again, other = (draw(np.random.default_rng(seed), whole(SIZE)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.albedo, again.albedo)
    np.testing.assert_array_equal(first.height, again.height)
    assert (first.albedo != other.albedo).any()


def test_a_twin_can_be_changed_alone():
    scene = CATALOGUE["bolt"].draw(np.random.default_rng(0), whole(SIZE))
    twin, before = scene.twin(), scene.albedo.copy()
    for values in (twin.albedo, twin.height, twin.gloss, twin.region):
        values += 1
    twin.taken.append((0.0, 0.0))
    np.testing.assert_array_equal(scene.albedo, before)
    assert scene.height.max() < 1
    assert scene.region.max() <= 1
    assert scene.taken == []
    assert twin.ground is scene.ground


def plain_scene(value=0.5):
    canvas = whole(SIZE)
    albedo = np.full((SIZE, SIZE, 3), value, np.float32)
    return full_frame(canvas, Surface(albedo, np.zeros((SIZE, SIZE), np.float32)))


def test_painting_mixes_by_cover():
    scene = plain_scene()
    area = scene.canvas.window(0, 0, 0.3)
    cover = np.full(area.x.shape, 0.5, np.float32)
    scene.region[:] = 0
    red = np.array([1, 0, 0], np.float32)
    scene.paint(area, cover, red, height=np.ones_like(cover), gloss=0.9, solid=True)
    where = (area.rows, area.columns)
    np.testing.assert_allclose(scene.albedo[where], np.broadcast_to([0.75, 0.25, 0.25], (*cover.shape, 3)))
    assert (scene.height[where] == 0.5).all()
    assert (scene.region[where] == 0.5).all()
    np.testing.assert_allclose(scene.gloss[where], 0.5)
    assert (scene.albedo[0, 0] == 0.5).all()
    assert scene.height[0, 0] == scene.region[0, 0] == 0


def test_print_can_be_taken_off():
    scene = plain_scene()
    ink = np.zeros((SIZE, SIZE), np.float32)
    ink[10:20] = 1
    scene.print_on(ink, np.array([1, 0, 0], np.float32))
    second = np.zeros_like(ink)
    second[15:30] = 1
    scene.print_on(second, np.array([0, 0, 1], np.float32))
    assert (scene.blank == 0.5).all()
    np.testing.assert_array_equal(scene.ink, np.maximum(ink, second))
    np.testing.assert_array_equal(scene.albedo[12, 0], [1, 0, 0])
    np.testing.assert_array_equal(scene.albedo[17, 0], [0, 0, 1])
    redone = scene.blank + scene.ink[..., None] * (scene.ink_colour - scene.blank)
    np.testing.assert_allclose(redone, scene.albedo)


def test_poses_stay_in_the_frame_or_are_large():
    rng = np.random.default_rng(0)
    poses = [drawn_pose(rng, 0.5, 0.8, upright=0.5) for _ in range(400)]
    scales = np.array([pose.scale for pose in poses])
    assert scales.min() >= 0.5
    assert scales.max() <= 1.2
    assert 0.05 < (scales > 0.8).mean() < 0.2
    assert max(max(abs(pose.x), abs(pose.y)) for pose in poses) <= 0.3
    off = np.array([abs(pose.angle % (np.pi / 2)) for pose in poses])
    assert 0.4 < np.mean(np.minimum(off, np.pi / 2 - off) <= 0.06) < 0.7


def test_an_empty_stage_holds_no_object_and_placing_one_notes_the_ground():
    canvas = whole(SIZE)
    scene = empty_stage(np.random.default_rng(0), canvas)
    assert not scene.region.any()
    assert scene.ground is None
    pose = Pose(0.0, 0.0, 0.3, 0.5)
    u, v = pose.apply(canvas)
    surface = Surface(np.full((SIZE, SIZE, 3), 0.9, np.float32), np.zeros_like(u), 0.4, "wax")
    cover = place(np.random.default_rng(1), scene, pose, np.hypot(u, v) - 1, surface)
    assert cover.mean() * 4 == pytest.approx(np.pi * 0.25, rel=0.03)
    np.testing.assert_array_equal(scene.region, cover)
    assert (scene.material, scene.angle) == ("wax", 0.3)
    assert scene.ground is not None
    assert (scene.albedo[cover == 1] == np.float32(0.9)).all()
    np.testing.assert_array_equal(scene.albedo[cover == 0], scene.ground[0][cover == 0])


@pytest.mark.parametrize(
    "sign",
    [
        lambda rng, canvas, pose, out: glyphs.text_line(rng, canvas, pose, 4.0, out),
        glyphs.emblem,
        glyphs.barcode,
    ],
)
def test_signs_are_drawn_within_their_place(sign):
    canvas = whole(96)
    for seed in range(20):
        out = np.zeros((96, 96), np.float32)
        sign(np.random.default_rng(seed), canvas, Pose(0.1, -0.2, 0.0, 0.2), out)
        assert 0.002 < out.mean() < 0.1
        assert 0 <= out.min() <= out.max() <= 1
        assert not out[(np.abs(canvas.x - 0.1) > 0.6) | (np.abs(canvas.y + 0.2) > 0.4)].any()
