"""Materials, colours and small draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad_plugins.drawn.procedural import chance, colours
from zsad_plugins.drawn.procedural.canvas import whole
from zsad_plugins.drawn.procedural.captions import MATERIALS
from zsad_plugins.drawn.procedural.materials import hard, metal, soft

DRAWN = [
    hard.wood, hard.marble, hard.terrazzo, hard.concrete, hard.asphalt, hard.paint_coat, hard.baked,
    hard.dull, metal.brushed, metal.rolled, metal.ground, metal.cast, metal.rubber,
    soft.leather, soft.skin, soft.carpet, soft.woven, soft.felt,
]  # fmt: skip
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("size", [32, 97])
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_materials_are_finite_and_of_one_size(draw, size):
    for seed in range(3):
        surface = draw(np.random.default_rng(seed), whole(size))
        assert surface.albedo.shape == (size, size, 3)
        assert surface.albedo.flags.writeable
        assert surface.height.shape == (size, size)
        assert np.isfinite(surface.albedo).all()
        assert np.isfinite(surface.height).all()
        assert 0 < surface.albedo.mean() < 1
        assert np.abs(surface.height).max() < 0.2
        assert 0 <= surface.gloss <= 1
        assert surface.material in ("", *MATERIALS)
        again = draw(np.random.default_rng(seed), whole(size))
        np.testing.assert_array_equal(surface.albedo, again.albedo)


@pytest.mark.parametrize("draw", [draw for draw in DRAWN if draw is not hard.dull], ids=lambda d: d.__name__)
def test_materials_have_a_structure_and_vary(draw):
    first, second = (draw(np.random.default_rng(seed), whole(64)) for seed in (0, 1))
    assert first.albedo.std(axis=(0, 1)).max() > 1e-4
    assert np.abs(first.albedo.mean(axis=(0, 1)) - second.albedo.mean(axis=(0, 1))).max() > 1e-3


@given(st.floats(-3, 3), st.floats(-1, 2), st.floats(-1, 2))
def test_colours_stay_in_range(hue, saturation, value):
    found = colours.colour(hue, saturation, value)
    assert found.dtype == np.float32
    assert found.shape == (3,)
    assert 0 <= found.min() <= found.max() <= 1
    assert found.max() == pytest.approx(min(max(value, 0), 1), abs=1e-6)


@pytest.mark.parametrize("least", [0.16, 0.25, 0.35])
def test_contrasting_colours_contrast_but_for_tints_that_clip(least):
    rng = np.random.default_rng(0)
    contrasts = []
    for _ in range(500):
        base = rng.uniform(0, 1, 3).astype(np.float32)
        found = colours.contrasting(rng, base, least)
        assert found.dtype == np.float32
        assert 0 <= found.min() <= found.max() <= 1
        contrasts.append(abs(float(found.mean() - base.mean())))
    assert np.mean(np.array(contrasts) > least - 0.02) > 0.85


@given(SEEDS, st.floats(0.01, 0.2))
def test_near_colours_are_near(seed, spread):
    base = np.full(3, 0.5, np.float32)
    found = colours.near(np.random.default_rng(seed), base, spread)
    assert found.dtype == np.float32
    assert np.abs(found - base).max() <= spread * 2.6


def test_mixing_goes_from_the_first_to_the_second():
    first, second = colours.grey(0.2), colours.colour(0.0, 1.0, 0.8)
    mixed = colours.mixed(first, second, np.array([[0.0, 0.5, 1.0]], np.float32))
    np.testing.assert_allclose(mixed[0], [first, (first + second) / 2, second], atol=1e-6)
    plain = colours.plain(4, second)
    assert plain.shape == (4, 4, 3)
    assert plain.flags.writeable
    assert (plain == second).all()


@given(SEEDS, st.floats(0.01, 1), st.floats(1, 5))
def test_draws_stay_in_their_ranges(seed, low, factor):
    rng = np.random.default_rng(seed)
    assert low <= chance.between(rng, low, low * factor) <= low * factor
    assert low * (1 - 1e-9) <= chance.by_ratio(rng, low, low * factor) <= low * factor * (1 + 1e-9)
    assert 0 <= chance.turn(rng) <= 2 * np.pi
    assert chance.whole_number(rng, 2, 3) in (2, 3)
    assert chance.pick(rng, ("a", "b")) in ("a", "b")
    assert type(chance.between(rng, 0, 1)) is float


def test_draws_are_spread_as_they_say():
    rng = np.random.default_rng(0)
    assert np.mean([chance.chance(rng, 0.3) for _ in range(2000)]) == pytest.approx(0.3, abs=0.04)
    assert {chance.whole_number(rng, 1, 3) for _ in range(100)} == {1, 2, 3}
    assert np.median([chance.by_ratio(rng, 0.01, 1) for _ in range(2000)]) == pytest.approx(0.1, rel=0.2)
