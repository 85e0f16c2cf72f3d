"""Small draws from a random generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """Return one item, each equally likely."""
    return items[int(rng.integers(len(items)))]


def whole_number(rng: np.random.Generator, low: int, high: int) -> int:
    """Return an integer from ``low`` to ``high``, both included."""
    return int(rng.integers(low, high + 1))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number drawn evenly; a Python float, so that float32 arrays stay float32."""
    return float(rng.uniform(low, high))


def by_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm is drawn evenly: small and large sizes are equally common."""
    return math.exp(float(rng.uniform(math.log(low), math.log(high))))


def turn(rng: np.random.Generator) -> float:
    """Return an angle in radians, 0 to two pi."""
    return float(rng.uniform(0, 2 * math.pi))
