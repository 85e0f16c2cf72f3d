"""Rules that make a threshold of what good parts score, and what each of them promises. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from zsad.errors import InputError

Rule = Literal["conformal", "quantile", "mean-3std", "fixed"]

RULES: tuple[Rule, ...] = get_args(Rule)

RATED: frozenset[Rule] = frozenset({"conformal", "quantile"})
"""Rules that a rate of false alarms is given to."""

DEFAULT_RATE = 0.05


def exact(rate: float) -> Fraction:
    """Return a rate as its decimal digits say it: 0.05 is a twentieth, which no binary number is.

    Raises:
        InputError: It is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise InputError(f"--false-alarm {rate}: give a share between 0 and 1, for example {DEFAULT_RATE}")
    return Fraction(repr(float(rate)))


def good_parts_needed(rate: Fraction) -> int:
    """Return how many good parts a promise takes: the smallest n with 1 / (n + 1) <= rate."""
    return math.ceil(1 / rate) - 1


def check_count(rule: Rule, count: int, rate: Fraction | None) -> None:
    """Refuse too few good parts.

    Args:
        rule: The rule.
        count: How many good parts there are.
        rate: The rate of false alarms, for the rules that take one.

    Raises:
        InputError: There are too few to promise the rate, or too few to know their spread.
    """
    if rule == "conformal" and rate is not None and count < (needed := good_parts_needed(rate)):
        raise InputError(
            f"with {count} good {parts(count)} a promise of {percent(rate)} cannot be made; {needed} are "
            f"needed (the smallest rate that {count} can promise is {percent(Fraction(1, count + 1))}: "
            f"--false-alarm {_upwards(Fraction(1, count + 1))})"
        )
    if count < 2:
        raise InputError("a confidence needs the spread of at least 2 good parts, and there is 1")


def rank(count: int, rate: Fraction) -> int:
    """Return which of the sorted scores bounds the normal ones: ceil((n + 1)(1 - rate)), counted from 1."""
    return math.ceil((count + 1) * (1 - rate))


def threshold(rule: Rule, values: Sequence[float], rate: Fraction | None) -> float:
    """Return the value from which something counts as anomalous.

    Split conformal prediction (Vovk et al., Algorithmic Learning in a Random World, 2005; Lei et al., JASA
    2018): of n scores and a new one, all drawn alike, the new one is above the k-th smallest of the n with
    probability at most rate, where k = ceil((n + 1)(1 - rate)). A score at a threshold counts as anomalous,
    so that the threshold is the next float32 above that score: a tie is no false alarm.

    Args:
        rule: Any but ``fixed``.
        values: One per good part.
        rate: The rate of false alarms, for the rules that take one.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if rule == "mean-3std":
        return float(ordered.mean() + 3 * ordered.std(ddof=1))
    assert rate is not None and rule in RATED
    if rule == "quantile":
        return float(np.quantile(ordered, float(1 - rate)))
    bound = np.float32(ordered[rank(len(ordered), rate) - 1])
    return float(np.nextafter(bound, np.float32(np.inf)))


def scale(values: Sequence[float], what: str) -> float:
    """Return the scale of the confidence: the standard deviation over good parts.

    Args:
        values: One per good part, at least two.
        what: What they are, for the sentence.

    Raises:
        InputError: They are all the same.
    """
    found = float(np.std(np.asarray(values, np.float64), ddof=1))
    if not found > 0:
        raise InputError(
            f"all {len(values)} good parts have the same {what}, {values[0]:.6g}: this method does not tell "
            "them apart, so that no confidence has a scale; choose another method or other images"
        )
    return found


def promise(rule: Rule, values: Sequence[float], level: float, rate: Fraction | None, event: str) -> str:
    """Return in words what a threshold promises, or that it promises nothing.

    Args:
        rule: The rule.
        values: What it was made of.
        level: The threshold.
        rate: The rate of false alarms, for the rules that take one.
        event: What a false alarm is, with the good parts before it: "are called anomalous".
    """
    count = len(values)
    measured = f"{sum(value >= level for value in values)} of the {count} measured ones {event}"
    if rule == "conformal":
        assert rate is not None
        return (
            f"on average over draws of good parts, at most {percent(rate)} of new ones {event}, as long as "
            f"they are drawn as these {count} were (split conformal: the threshold lies just above the "
            f"{_ordinal(rank(count, rate))} smallest of {count} values); with these {count} the rate is, "
            f"with 90 % certainty, below {percent(likely_bound(count, rate))}; {measured}"
        )
    made = {
        "quantile": f"the threshold is the quantile {1 - float(rate or 0):g} of {count} values",
        "mean-3std": f"the threshold is the mean of {count} values plus three standard deviations",
        "fixed": "the threshold was given",
    }
    return f"nothing is promised of new good parts: {made[rule]}, and {measured}"


def likely_bound(count: int, rate: Fraction, certainty: float = 0.9) -> float:
    """Return what the false alarm rate of one draw of good parts stays below, with a certainty.

    Given the n calibrating scores, the rate at which new ones pass the k-th smallest is distributed as
    Beta(n + 1 - k, k) where scores have no ties (Vovk, ACML 2012).
    """
    from scipy.special import betaincinv  # takes a while to import

    k = rank(count, rate)
    return float(betaincinv(count + 1 - k, k, certainty))


def parts(count: int) -> str:
    """Return "part" or "parts"."""
    return "part" if count == 1 else "parts"


def percent(share: Fraction | float) -> str:
    """Return a share as a percentage of at most three digits: ``5 %``, ``9.09 %``."""
    return f"{float(share) * 100:.3g} %"


def _upwards(share: Fraction) -> str:
    """Return a share with four decimals, rounded up so that it can still be promised."""
    return f"{math.ceil(share * 10_000) / 10_000:g}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
