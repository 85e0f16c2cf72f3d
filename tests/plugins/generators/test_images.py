"""What every generator of images owes, and the statistics that each declares."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.plugins.generators.images import generator, make, material, thing
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad_plugins.drawn.options import DEFECTS
from zsad_plugins.drawn.procedural import HELD_OUT_DEFECTS, TRAINING_DEFECTS
from zsad_plugins.generators.region import foreground_of

NAMES = ("procedural", "cutpaste", "scar", "nsa", "draem")
FAINT = {"procedural": 12}
"""Largest change outside a mask, of 255, where it is not 0."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(64, 64), (40, 96), (96, 40)])
def test_the_mask_is_what_has_changed(name, shape) -> None:
    image = material(*shape)
    before, marked = image.copy(), 0
    for seed in range(8):
        changed, mask = make(name, image, seed)
        assert changed.shape == image.shape and changed.dtype == np.uint8
        assert mask.shape == shape and mask.dtype == np.bool_
        assert np.array_equal(image, before)
        difference = np.abs(changed.astype(int) - image).max(axis=-1)
        assert difference[~mask].max(initial=0) <= FAINT.get(name, 0)
        if not mask.any():
            assert np.array_equal(changed, image)
            continue
        marked += 1
        assert (difference[mask] > 0).mean() > 0.9
    assert marked >= 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 3), (7, 1), (5, 90)])
@pytest.mark.parametrize("foreground", [False, True])
def test_tiny_and_slim_images(name, shape, foreground) -> None:
    for seed in range(4):
        changed, mask = make(name, material(*shape), seed, foreground=foreground)
        assert changed.shape == (*shape, 3) and mask.shape == shape
        assert mask.any() or np.array_equal(changed, material(*shape))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides(name) -> None:
    image = thing(64, 80)[0]
    made = generator(name)
    first, second = (made(image, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    sent = pickle.loads(pickle.dumps(made))(image, np.random.default_rng(4))
    assert np.array_equal(first[0], sent[0])
    others = [made(image, np.random.default_rng(seed))[0] for seed in range(5, 9)]
    assert len({other.tobytes() for other in others}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_the_foreground_option_stays_on_the_foreground(name) -> None:
    image, inside = thing(72, 96)
    near = ndimage.binary_dilation(inside, iterations=2)
    marked = 0
    for seed in range(12):
        changed, mask = make(name, image, seed, foreground=True)
        different = (changed != image).any(axis=-1)
        assert not (mask & ~near).any() and not (different & ~near).any()
        marked += bool(mask.any())
    assert marked >= 8
    # Without the option it does leave it, or the test above would show nothing.
    assert any((make(name, image, seed)[1] & ~near).any() for seed in range(12))


def test_foreground_of_an_object_is_the_object_and_of_a_material_everything() -> None:
    image, inside = thing(72, 96)
    found = foreground_of(image)
    assert (found & inside).sum() / (found | inside).sum() > 0.95
    assert foreground_of(material(50, 60)).all()
    assert foreground_of(np.full((20, 30, 3), 77, np.uint8)).all()


def test_areas_and_sides_of_cutpaste() -> None:
    image, made = material(64, 96), generator("cutpaste")
    shares, ratios = [], []
    for seed in range(1000):
        mask = made(image, np.random.default_rng(seed))[1]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns)  # a rectangle
        shares.append(mask.mean())
        ratios.append(len(columns) / len(rows))
    assert min(shares) >= 0.02 and max(shares) <= 0.15
    # Evenly drawn: every tenth of the range has about a tenth of the draws.
    counts, _ = np.histogram(shares, 10, (0.02, 0.15))
    assert counts.min() > 60 and counts.max() < 150
    assert 0.27 < min(ratios) < 0.4 and 2.9 < max(ratios) < 3.7
    assert 0.42 < np.mean(np.array(ratios) < 1) < 0.58


def test_cutpaste_takes_colours_from_the_image() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 2, (64, 64, 1), dtype=np.uint8) * np.array([0, 200, 90], np.uint8)
    changed, mask = make("cutpaste", image, 3, jitter=0)
    there = {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
    assert {tuple(pixel) for pixel in changed[mask].tolist()} <= there
    jittered = make("cutpaste", image, 3, jitter=0.1)[0]
    assert not {tuple(pixel) for pixel in jittered[mask].tolist()} <= there
    # By up to a tenth each, no colour comes out very different.
    assert np.abs(np.sort(jittered[mask], 0).astype(int) - np.sort(changed[mask], 0)).mean() < 40


def test_sizes_and_angles_of_scars() -> None:
    image, made = material(256, 320), generator("scar")
    areas, angles = [], []
    for seed in range(1000):
        mask = made(image, np.random.default_rng(seed))[1]
        areas.append(mask.sum())
        rows, columns = np.nonzero(mask)
        spread = np.cov(np.stack([columns, rows]))
        values, vectors = np.linalg.eigh(spread)
        if values[1] > 4 * values[0]:  # slim enough to have a direction
            angles.append(np.degrees(np.arctan2(*vectors[:, 1])))
    assert min(areas) > 2 * 10 * 0.6 and max(areas) < 16 * 25 * 1.15
    assert abs(np.mean(areas) - 9 * 17.5) < 15
    bent = (np.array(angles) + 90) % 180 - 90  # to the vertical
    assert np.abs(bent).max() < 52 and np.abs(bent).max() > 35 and abs(bent.mean()) < 4


def test_scars_grow_with_the_image() -> None:
    small, large = (
        np.mean([make("scar", material(side, side), seed)[1].sum() for seed in range(60)])
        for side in (256, 512)
    )
    assert large / small == pytest.approx(4, rel=0.1)


def test_shares_of_draem() -> None:
    image, made = material(48, 48), generator("draem")
    shares = np.array([made(image, np.random.default_rng(seed))[1].mean() for seed in range(1000)])
    assert 0.03 < shares.mean() < 0.09 and shares.max() < 0.6
    assert 0 < (shares == 0).mean() < 0.15


def test_draem_mixes_texture_and_image_in_one_ratio(tmp_path) -> None:
    Image.new("RGB", (20, 20), (10, 200, 100)).save(tmp_path / "plain.png")
    image = material(64, 64)
    opacities = []
    for seed in range(40):
        changed, mask = make("draem", image, seed, textures=str(tmp_path), augmentations=0)
        if not mask.any():
            continue
        # I' = (1 - b) A + b I, so b is the slope over I.
        first = image[mask].astype(float)
        slope = np.polyfit(first[:, 0], changed[mask][:, 0], 1)[0] if len(first) > 20 else None
        if slope is not None:
            opacities.append(slope)
            wanted = np.rint((1 - slope) * np.array([10, 200, 100]) + slope * first)
            assert np.abs(wanted - changed[mask]).max() <= 1.5
    assert min(opacities) > -0.02 and max(opacities) < 0.82 and max(opacities) - min(opacities) > 0.5


def test_a_folder_of_textures_has_to_be_there(tmp_path) -> None:
    with pytest.raises(InputError, match=r"option 'textures' of generator 'draem': cannot read"):
        generator("draem", textures=str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"option 'textures' of generator 'draem': no image in folder"):
        generator("draem", textures=str(tmp_path))


def test_textures_count_in_the_fingerprint(tmp_path) -> None:
    Image.new("RGB", (20, 20), (10, 200, 100)).save(tmp_path / "plain.png")
    first = generator("draem", textures=str(tmp_path)).fingerprint
    assert first == generator("draem", textures=str(tmp_path)).fingerprint
    Image.new("RGB", (20, 20), (10, 200, 101)).save(tmp_path / "plain.png")
    assert (
        len({first, generator("draem", textures=str(tmp_path)).fingerprint, generator("draem").fingerprint})
        == 3
    )


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_painted_defect_can_be_seen(defect) -> None:
    image, _ = thing(96, 128)
    changed, mask = make("procedural", image, 1, defects=[defect], foreground=True)
    difference = np.abs(changed.astype(int) - image).max(axis=-1)
    assert mask.any() and difference[mask].mean() > 12


def test_painting_enlarges_the_change_only() -> None:
    image = material(300, 420)
    marked = 0
    for seed in range(6):
        changed, mask = make("procedural", image, seed, resolution=64)
        difference = np.abs(changed.astype(int) - image).max(axis=-1)
        assert difference[~mask].max() <= 12
        marked += bool(mask.any())
    assert marked >= 5


def test_a_grey_picture_stays_grey() -> None:
    grey = np.repeat(material(64, 64)[..., :1], 3, axis=-1)
    for seed in range(10):
        assert np.ptp(make("procedural", grey, seed)[0], axis=-1).max() <= 1


def test_defects_kept_out_of_training_are_not_offered() -> None:
    assert set(DEFECTS) <= set(TRAINING_DEFECTS)
    for name in HELD_OUT_DEFECTS:
        with pytest.raises(InputError, match=f"there is no '{name}'"):
            generator("procedural", defects=[name])


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("cutpaste", "area", [0.3, 0.1]),
        ("cutpaste", "aspect", 0),
        ("scar", "width", [-1, 3]),
        ("nsa", "resize", [1.3, 0.7]),
        ("draem", "opacity", [0, 1.2]),
        ("draem", "augmentations", 11),
        ("procedural", "defects", []),
    ],
)
def test_wrong_values_are_named(name, option, value) -> None:
    with pytest.raises(InputError, match=f"option of generator '{name}': '{option}"):
        generator(name, **{option: value})


def test_every_generator_is_tested() -> None:
    own = [claim.spec for _, claim in get_host().generators.items() if claim.distribution == "zsad"]
    assert [spec.name for spec in own if spec.level == "image"] == list(NAMES)
    assert [spec.name for spec in own if spec.level == "features"] == ["feature-noise"]
