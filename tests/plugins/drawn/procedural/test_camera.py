"""Light, lens and sensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zsad_plugins.drawn.procedural.camera import MARGIN, develop, draw_camera, photograph
from zsad_plugins.drawn.procedural.canvas import whole
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE

SIZE = 64


@pytest.fixture(scope="module", params=["bolt", "leather", "brain"])
def scene(request):
    return CATALOGUE[request.param].draw(np.random.default_rng(0), whole(SIZE))


def still(camera, **changes):
    return replace(camera, noise=0.0, block_step=0.0, **changes)


def test_cameras_are_drawn_within_their_ranges(scene):
    for seed in range(60):
        camera = draw_camera(np.random.default_rng(seed), scene)
        assert np.linalg.norm(camera.light) == pytest.approx(1)
        assert camera.light[2] > 0.5, "the light comes from above"
        assert camera.illumination.shape == (SIZE, SIZE)
        assert camera.illumination.min() > 0.2
        assert camera.illumination.mean() == pytest.approx(1, abs=0.35)
        assert camera.balance.shape == (3,)
        assert 0 < camera.softness < 0.25
        assert camera.passes + 1 <= MARGIN
        assert 0 < camera.noise < 0.03
        assert camera.exposure == 1 or not scene.flat


def test_words_are_true_of_the_camera(scene):
    camera = draw_camera(np.random.default_rng(0), scene)
    neutral = still(camera, exposure=1.0, passes=1)
    assert neutral.words() == set()
    assert replace(neutral, exposure=0.7).words() == {"dark"}
    assert replace(neutral, exposure=1.2).words() == {"bright"}
    assert replace(neutral, passes=3, block_step=0.1).words() == {"blurry", "jpeg corrupted"}


def test_a_photograph_has_numbers_from_zero_to_one(scene):
    for seed in range(8):
        picture = photograph(scene, draw_camera(np.random.default_rng(seed), scene))
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert 0 <= picture.min() < picture.max() <= 1


def test_a_window_shows_what_the_whole_shows(scene):
    camera = draw_camera(np.random.default_rng(1), scene)
    picture = photograph(scene, camera)
    window = photograph(scene, camera, slice(10, 50), slice(4, 60))
    inner = (slice(10 + MARGIN, 50 - MARGIN), slice(4 + MARGIN, 60 - MARGIN))
    np.testing.assert_allclose(window[MARGIN:-MARGIN, MARGIN:-MARGIN], picture[inner], atol=1e-6)


def test_exposure_contrast_and_blur_do_what_they_are_called(scene):
    camera = still(draw_camera(np.random.default_rng(2), scene), contrast=1.0, exposure=0.5, passes=1)
    dark, less_dark = photograph(scene, camera), photograph(scene, replace(camera, exposure=0.6))
    assert less_dark.mean() > dark.mean()
    soft = photograph(scene, replace(camera, passes=5, softness=0.2))
    assert np.abs(np.diff(soft, axis=1)).mean() < np.abs(np.diff(dark, axis=1)).mean()
    assert soft.mean() == pytest.approx(dark.mean(), abs=1e-3)


def test_grey_scenes_give_grey_pictures():
    scene = CATALOGUE["brain"].draw(np.random.default_rng(0), whole(SIZE))
    camera = draw_camera(np.random.default_rng(3), scene)
    image = develop(photograph(scene, camera), replace(camera, coloured_noise=True), grey=True)
    assert (image == image[..., :1]).all()


def test_flat_scenes_do_not_see_the_light():
    scene = CATALOGUE["brain"].draw(np.random.default_rng(0), whole(SIZE))
    camera = draw_camera(np.random.default_rng(3), scene)
    turned = replace(camera, light=(0.6, 0.0, 0.8))
    np.testing.assert_array_equal(photograph(scene, camera), photograph(scene, turned))


def test_relief_is_lit_from_the_side_of_the_light():
    scene = CATALOGUE["leather"].draw(np.random.default_rng(0), whole(SIZE))
    canvas = scene.canvas
    scene = replace(scene, albedo=np.full((SIZE, SIZE, 3), 0.5, np.float32), gloss=scene.gloss * 0)
    scene = replace(scene, height=np.exp(-(canvas.x**2 + canvas.y**2) * 8) * np.float32(0.2))
    camera = draw_camera(np.random.default_rng(0), scene)
    camera = still(camera, illumination=np.ones_like(canvas.x), light=(0.6, 0.0, 0.8))
    picture = photograph(scene, camera)[..., 0]
    right, left = picture[SIZE // 2, SIZE // 2 + 8], picture[SIZE // 2, SIZE // 2 - 8]
    assert right > left + 0.05


def test_developing_adds_the_noise_that_is_asked_for(scene):
    camera = still(draw_camera(np.random.default_rng(4), scene))
    picture = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    assert (develop(picture, camera) == 128).all()
    noisy = replace(camera, noise=0.02, coloured_noise=True)
    image = develop(picture, noisy)
    assert image.dtype == np.uint8
    assert image.std() == pytest.approx(0.02 * 255, rel=0.05)
    np.testing.assert_array_equal(image, develop(picture, noisy))
    assert (image != develop(picture, replace(noisy, seed=noisy.seed ^ 1))).mean() > 0.5
    assert (image[..., 0] != image[..., 1]).any()
    mono = develop(picture, replace(noisy, coloured_noise=False))
    assert (mono[..., 0] == mono[..., 1]).all()


def test_compression_leaves_plain_areas_and_loses_detail(scene):
    camera = replace(still(draw_camera(np.random.default_rng(5), scene)), block_step=0.1)
    rng = np.random.default_rng(0)
    for size in (64, 61):
        picture = rng.uniform(0.3, 0.7, (size, size, 1)).astype(np.float32).repeat(3, axis=2)
        image = develop(picture, camera)
        assert image.shape == (size, size, 3)
        assert image.std() < 0.8 * 255 * picture.std()
        assert image.mean() == pytest.approx(255 * picture.mean(), abs=2)
