"""Sentences with words of the second edition, for learning and for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from zsad_plugins.mini.words import Added

BEFORE = ("{word} {noun}", "a {word} {noun}", "a photo of a {word} {noun}.", "a photo of the {word} {noun}.")
AFTER = (
    "{noun} with {word}",
    "{noun} with a {word}",
    "a photo of a {noun} with {word}.",
    "a photo of a {noun} with a {word}.",
    "{word} on the {noun}",
    "{word}",
    "a photo of {word}.",
)


class Meaning(NamedTuple):
    """What a word of the table says of an image.

    Attributes:
        state: ``abnormal`` or ``normal``.
        before: Whether it stands before the noun.
        defect: Type of the defect that it names, or None for any.
        family: The family that it says so of, or None for all.
    """

    state: str
    before: bool
    defect: str | None = None
    family: str | None = None

    @property
    def templates(self) -> Sequence[str]:
        """Sentences around ``{word}`` and ``{noun}``."""
        return BEFORE if self.before else AFTER


def meaning(entry: Added) -> Meaning | None:
    """Return what an entry says of an image, or None for one that says nothing of its state."""
    match entry.about:
        case ("defects", defect, place):
            return Meaning("abnormal", place == "before", defect)
        case ("defects on a family", family, defect, place):
            return Meaning("abnormal", place == "before", defect, family)
        case ("states", state, place):
            return Meaning(state, place == "before")
    return None
