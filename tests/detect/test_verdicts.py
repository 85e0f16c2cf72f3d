"""Verdicts and confidences: they never disagree, wherever floats round."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import expit

from zsad.detect.verdicts import Level, Verdict, confidence_words
from zsad.errors import InputError

finite = st.floats(allow_nan=False, allow_infinity=False)
scales = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)
LARGEST = 1.7976931348623157e308


@given(finite, finite, scales)
@example(0.5, 0.5, 1.0)
@example(math.nextafter(0.5, 0), 0.5, 1.0)  # the sigmoid rounds to 0.5
@example(-5e-324, 0.0, LARGEST)  # the quotient rounds to 0
@example(-LARGEST, LARGEST, 5e-324)  # difference and quotient overflow
@example(LARGEST, -LARGEST, 5e-324)
def test_verdict_and_confidence_never_disagree(value: float, threshold: float, scale: float) -> None:
    verdict = Level(threshold, scale).verdict(value)
    assert verdict.confidence is not None and 0 <= verdict.confidence <= 1
    assert (verdict.decision == "anomalous") == (value >= threshold) == (verdict.confidence >= 0.5)
    assert (float(confidence_words(verdict.confidence)) >= 0.5) == (verdict.decision == "anomalous")


@given(finite, scales)
def test_the_confidence_is_one_half_exactly_at_the_threshold(threshold: float, scale: float) -> None:
    assert Level(threshold, scale).confidence(threshold) == 0.5


@given(st.lists(finite, min_size=2, max_size=2), finite, scales)
def test_a_higher_value_is_never_less_sure(values: list[float], threshold: float, scale: float) -> None:
    level = Level(threshold, scale)
    low, high = (level.confidence(value) for value in sorted(values))
    assert low is not None and high is not None and low <= high


def test_the_confidence_is_the_sigmoid() -> None:
    level = Level(0.3, 0.07)
    for value in np.linspace(-1, 2, 301):
        assert level.confidence(float(value)) == pytest.approx(expit((value - 0.3) / 0.07), abs=1e-15)
    assert Level(0.3, 0.07).confidence(0.37) == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_bare_threshold_has_no_confidence() -> None:
    assert Level(0.5).verdict(0.5) == Verdict("anomalous", None)
    assert Level(0.5).verdict(0.4) == Verdict("normal", None)


@pytest.mark.parametrize(
    ("threshold", "scale", "said"),
    [
        (math.nan, None, "is no number"),
        (math.inf, 1.0, "is no number"),
        (0.5, 0.0, "above 0"),
        (0.5, -1.0, "above 0"),
        (0.5, math.nan, "above 0"),
        (0.5, math.inf, "above 0"),
    ],
)
def test_what_is_no_level_is_refused(threshold: float, scale: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Level(threshold, scale)


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.4999999, "0.499"), (0.5, "0.500"), (1.0, "1.000"), (0, "0.000")]
)
def test_confidences_in_words_are_cut(confidence: float, words: str) -> None:
    assert confidence_words(confidence) == words
