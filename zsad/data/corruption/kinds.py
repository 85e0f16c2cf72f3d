"""Corruptions by name, and what strengths they take. Imports no numpy: help texts read it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsad.errors import InputError, nearest

if TYPE_CHECKING:
    from zsad.data.corruption.geometric import Mask, Pixels

FORM = "KIND:STRENGTH"
CLEAN = "none"
"""What the images as they are, are called beside corrupted ones."""


@dataclass(frozen=True)
class Kind:
    """A kind of corruption.

    Attributes:
        meaning: What its strength is, in a few words.
        low: Least strength.
        high: Most.
        neutral: The strength that changes nothing and is refused, or None.
        whole: Whether a strength is a whole number.
    """

    meaning: str
    low: float
    high: float
    neutral: float | None = None
    whole: bool = False


PHOTOMETRIC = {
    "brightness": Kind("share of white that is added", -1, 1, 0),
    "contrast": Kind("factor of distances from the mean grey", 0, 4, 1),
    "gaussian-noise": Kind("deviation as a share of white", 0, 1, 0),
    "blur": Kind("sigma of a Gaussian in pixels", 0, 50, 0),
    "jpeg": Kind("quality", 1, 95, whole=True),
}
"""What changes pixel values; masks stay as they are."""
GEOMETRIC = {
    "rotate": Kind("angle in degrees, counter-clockwise", -180, 180, 0),
    "translate": Kind("share of both sides, to the right and down", -0.5, 0.5, 0),
    "scale": Kind("factor about the centre", 0.5, 2, 1),
}
"""What moves pixels; masks move along."""
KINDS = PHOTOMETRIC | GEOMETRIC


@dataclass(frozen=True)
class Corruption:
    """One kind at one strength.

    Attributes:
        kind: One of ``KINDS``.
        strength: Within the kind's range.

    Raises:
        InputError: An unknown kind, or a strength that is out of range or changes nothing.
    """

    kind: str
    strength: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            names = (*KINDS, CLEAN)
            raise InputError(
                f"unknown corruption '{self.kind}' (known: {', '.join(names)}){nearest(self.kind, names)}"
            )
        kind = KINDS[self.kind]
        inside = math.isfinite(self.strength) and kind.low <= self.strength <= kind.high
        if not inside or self.strength == kind.neutral or (kind.whole and self.strength % 1):
            but = f", but not {kind.neutral:g}, which changes nothing" if kind.neutral is not None else ""
            number = "a whole number from" if kind.whole else "from"
            raise InputError(
                f"corruption '{self}': the strength of {self.kind} is the {kind.meaning}, {number} "
                f"{kind.low:g} to {kind.high:g}{but}"
            )

    def __str__(self) -> str:
        return f"{self.kind}:{str(float(self.strength)).removesuffix('.0')}"

    def __call__(self, pixels: Pixels, mask: Mask | None, seed: int = 0) -> tuple[Pixels, Mask | None]:
        """Return the corrupted image and the mask that belongs to it.

        What is random follows from the image's pixels, the corruption and the seed: not from the order of
        images, nor from where they lie.

        Args:
            pixels: [H, W, 3] uint8.
            mask: [H, W], or None.
            seed: Seed of what is random.
        """
        from zsad.data.corruption import geometric, photometric

        if self.kind in PHOTOMETRIC:
            change = photometric.CHANGES[self.kind]
            return change(pixels, self.strength, photometric.generator(pixels, f"{seed} {self}")), mask
        places = geometric.MOVEMENTS[self.kind](pixels.shape[0], pixels.shape[1], self.strength)
        moved = None if mask is None else geometric.moved_mask(mask, places)
        return geometric.moved_image(pixels, places), moved


def parse_corruption(text: str) -> Corruption | None:
    """Return the corruption that ``KIND:STRENGTH`` names; None for ``none``, the images as they are.

    Raises:
        InputError: No such kind, or a strength that is no number, out of range, or changes nothing.
    """
    if text == CLEAN:
        return None
    kind, _, strength = text.partition(":")
    if kind not in KINDS:
        return Corruption(kind, math.nan)  # refuses it
    try:
        return Corruption(kind, float(strength))
    except ValueError:
        raise InputError(
            f"corruption '{text}' has no number behind its kind: write {kind}:STRENGTH, the "
            f"{KINDS[kind].meaning}"
        ) from None


def corruption_words() -> str:
    """Return the kinds with their ranges, for help texts."""
    return ", ".join(f"{name} ({kind.low:g} to {kind.high:g})" for name, kind in KINDS.items())
