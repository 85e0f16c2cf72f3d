"""Which family and which defect an image gets, and refusals of names that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError, nearest
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE, FAMILIES, TRAINING_FAMILIES
from zsad_plugins.drawn.procedural.repertoire import DEFECTS, TRAINING_DEFECTS


def known_family(name: str) -> str:
    """Return the name of a family, or refuse it."""
    if name not in CATALOGUE:
        raise InputError(f"unknown procedural family {name!r}{nearest(name, FAMILIES)}")
    return name


def known_defect(name: str) -> str:
    """Return the name of a defect, or refuse it."""
    if name not in DEFECTS:
        raise InputError(f"unknown procedural defect {name!r}{nearest(name, DEFECTS)}")
    return name


def plausible_defects(family: str) -> tuple[str, ...]:
    """Return the defects that make sense on a family.

    Raises:
        InputError: If the family does not exist.
    """
    return CATALOGUE[known_family(family)].defects


def choose_family(
    rng: np.random.Generator, families: Sequence[str] | None, defects: Sequence[str] | None
) -> tuple[str, tuple[str, ...]]:
    """Draw a family, and return it with the asked defects that make sense on it.

    Args:
        rng: Source of randomness.
        families: Names to draw from; the training families if None.
        defects: Names of which at least one must make sense; the training defects if None.

    Raises:
        InputError: If a name does not exist or no family suits any defect.
    """
    asked = TRAINING_FAMILIES if families is None else tuple(families)
    wanted = TRAINING_DEFECTS if defects is None else tuple(defects)
    pairs, weights = _plausible(asked, wanted)
    return pairs[int(rng.choice(len(pairs), p=weights))]


@lru_cache(maxsize=512)
def _plausible(
    asked: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[list[tuple[str, tuple[str, ...]]], npt.NDArray[np.float64]]:
    """Return the families that suit some defect, with those defects, and how often each is drawn."""
    for name in asked:
        known_family(name)
    for name in wanted:
        known_defect(name)
    pairs = [(name, tuple(item for item in CATALOGUE[name].defects if item in wanted)) for name in asked]
    pairs = [(name, possible) for name, possible in pairs if possible]
    if not pairs:
        raise InputError(
            f"none of the defects {', '.join(wanted) or '(none)'} makes sense on "
            f"{', '.join(asked) or '(no family)'}; plausible_defects(family) lists what does"
        )
    weights = np.array([CATALOGUE[name].weight for name, _ in pairs])
    return pairs, weights / weights.sum()
