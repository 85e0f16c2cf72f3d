"""Thresholds from good parts: what split conformal prediction promises holds in simulation."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.detect.regions import find_regions, mask_at
from zsad.detect.threshold_rules import (
    check_count,
    exact,
    good_parts_needed,
    likely_bound,
    promise,
    rank,
    scale,
    threshold,
)
from zsad.errors import InputError

DRAWS = 1000
TWENTIETH = Fraction(1, 20)


@pytest.mark.parametrize(
    ("count", "rate", "wanted"),
    [(19, "0.05", 19), (20, "0.05", 20), (39, "0.05", 38), (75, "0.05", 73), (9, "0.3", 7), (99, "0.07", 93),
     (999, "0.1", 900), (1, "0.5", 1)],
)  # fmt: skip
def test_the_rank_is_that_of_the_formula(count: int, rate: str, wanted: int) -> None:
    assert rank(count, exact(float(rate))) == wanted


@given(st.fractions(min_value=Fraction(1, 500), max_value=Fraction(1, 2)))
def test_the_good_parts_needed_are_the_fewest(rate: Fraction) -> None:
    needed = good_parts_needed(rate)
    assert rank(needed, rate) <= needed
    assert needed == 1 or rank(needed - 1, rate) > needed - 1


def test_too_few_good_parts_are_refused_with_what_they_can_promise() -> None:
    with pytest.raises(InputError) as caught:
        check_count("conformal", 10, TWENTIETH)
    said = str(caught.value)
    assert said.startswith("with 10 good parts a promise of 5 % cannot be made; 19 are needed")
    assert "9.09 %: --false-alarm 0.091)" in said
    check_count("conformal", 10, exact(0.091))
    check_count("conformal", 19, TWENTIETH)
    with pytest.raises(InputError, match="spread of at least 2"):
        check_count("quantile", 1, TWENTIETH)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(InputError, match="a share between 0 and 1"):
        exact(rate)


@pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (75, 0.05), (30, 0.1), (50, 0.2)])
@pytest.mark.parametrize("tied", [False, True])
def test_the_promise_holds_over_draws(count: int, rate: float, tied: bool) -> None:
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(DRAWS):
        values = rng.gamma(2.0, size=count + 200).astype(np.float32)
        values = np.round(values, 0 if tied else 7)  # saturated scores have many ties
        level = threshold("conformal", values[:count].tolist(), exact(rate))
        alarms.append(float((values[count:] >= level).mean()))
    mean, error = np.mean(alarms), np.std(alarms) / np.sqrt(DRAWS)
    assert mean <= rate + 3 * error
    if not tied:  # then the rate is (n + 1 - k) / (n + 1) on average, and no less
        expected = (count + 1 - rank(count, exact(rate))) / (count + 1)
        assert abs(mean - expected) < 4 * error


def test_a_quantile_does_not_keep_the_rate_that_conformal_keeps() -> None:
    rng = np.random.default_rng(3)
    alarms = {"quantile": [], "conformal": []}
    for _ in range(DRAWS):
        values = rng.random(20 + 200)
        for rule, found in alarms.items():
            level = threshold(rule, values[:20].tolist(), TWENTIETH)
            found.append(float((values[20:] >= level).mean()))
    assert np.mean(alarms["quantile"]) > 0.07
    assert np.mean(alarms["conformal"]) < 0.052


def test_a_pixel_threshold_keeps_the_share_of_good_parts_with_any_region() -> None:
    rng = np.random.default_rng(11)
    count, new, shown = 19, 6, []
    for _ in range(DRAWS):
        maps = rng.normal(size=(count + new, 9, 11)).astype(np.float32) * rng.gamma(
            3, size=(count + new, 1, 1)
        )
        maps = maps.astype(np.float32)
        level = threshold("conformal", maps[:count].max((1, 2)).tolist(), TWENTIETH)
        assert not any(find_regions(mask_at(one, level), one) for one in maps[:count])
        shown += [bool(find_regions(mask_at(one, level), one)) for one in maps[count:]]
    assert np.mean(shown) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(shown) * new)


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=19, max_size=60))
def test_a_tie_with_the_bounding_score_is_no_false_alarm(values: list[float]) -> None:
    level = threshold("conformal", values, TWENTIETH)
    bound = sorted(values)[rank(len(values), TWENTIETH) - 1]
    assert level > bound and level == float(np.nextafter(np.float32(bound), np.float32(np.inf)))
    one = np.array([[bound, level]], np.float32)
    assert mask_at(one, level).tolist() == [[False, True]]


def test_a_score_of_double_precision_is_passed_too() -> None:
    values = [0.1 + 1e-12 * place for place in range(19)]
    assert threshold("conformal", values, TWENTIETH) > max(values)


def test_the_other_rules_are_what_they_say() -> None:
    values = np.random.default_rng(0).random(50).tolist()
    assert threshold("quantile", values, TWENTIETH) == pytest.approx(np.quantile(values, 0.95))
    assert threshold("mean-3std", values, None) == pytest.approx(np.mean(values) + 3 * np.std(values, ddof=1))
    assert scale(values, "image score") == pytest.approx(np.std(values, ddof=1))


def test_equal_scores_have_no_scale() -> None:
    with pytest.raises(InputError, match=r"all 19 good parts have the same image score, 0\.5"):
        scale([0.5] * 19, "image score")


def test_what_one_draw_can_come_to_is_the_beta_distribution() -> None:
    # With k of n, the rate is below p where at most n - k of n uniform numbers are above 1 - p.
    for count, rate in ((19, 0.05), (75, 0.05), (40, 0.2)):
        bound, k = likely_bound(count, exact(rate)), rank(count, exact(rate))
        below = sum(comb(count, j) * bound**j * (1 - bound) ** (count - j) for j in range(count - k + 1))
        assert 1 - below == pytest.approx(0.9, abs=1e-9)


def test_only_conformal_promises() -> None:
    values = [float(value) for value in range(75)]
    level = threshold("conformal", values, TWENTIETH)
    said = promise("conformal", values, level, TWENTIETH, "are called anomalous")
    assert "at most 5 % of new ones are called anomalous" in said
    assert "just above the 73rd smallest of 75 values" in said
    assert said.endswith("2 of the 75 measured ones are called anomalous")
    for rule, rate in (("quantile", TWENTIETH), ("mean-3std", None), ("fixed", None)):
        said = promise(rule, values, 70.0, rate, "show a region")  # type: ignore[arg-type]
        assert said.startswith("nothing is promised") and said.endswith(
            "5 of the 75 measured ones show a region"
        )


@pytest.mark.parametrize(
    ("count", "word"), [(19, "19th"), (20, "20th"), (21, "21st"), (22, "22nd"), (111, "107th")]
)
def test_ranks_in_words(count: int, word: str) -> None:
    assert f" {word} smallest of {count} " in promise("conformal", [0.0] * count, 1.0, exact(0.05), "x")
