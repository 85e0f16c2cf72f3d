"""What visitors type: the object noun, sentences of their own, the image size."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TypeGuard

from zsad.errors import InputError
from zsad.recipe.settings import Settings

MAX_NOUN = 100
MAX_SENTENCES = 20
MAX_SENTENCE = 300
"""Longest inputs, in characters; a text tower reads fewer."""
MAX_IMAGE_SIZE = 1024
DEFAULT_NOUN = "object"


@dataclass(frozen=True)
class Words:
    """Sentences in the place of a method's own; ``{}`` stands for the object.

    Attributes:
        normal: For the normal state, or empty for the method's own.
        abnormal: For the abnormal state, or empty for the method's own.
    """

    normal: tuple[str, ...] = ()
    abnormal: tuple[str, ...] = ()

    @classmethod
    def parse(cls, normal: object, abnormal: object) -> Words:
        """Return the sentences of two texts, one a line.

        Raises:
            InputError: No text, too many sentences, or a too long one.
        """
        return cls(_sentences(normal, "normal"), _sentences(abnormal, "abnormal"))

    def __bool__(self) -> bool:
        return bool(self.normal or self.abnormal)

    def settings(self) -> Settings:
        """Return them as settings of the prompt learner."""
        given = {"normal_prompts": self.normal, "abnormal_prompts": self.abnormal}
        return Settings.parse(
            f"prompt_learner.{name}={json.dumps(own)}" for name, own in given.items() if own
        )


OWN_WORDS = Words()
"""The method's own."""


def printable(text: str) -> str:
    """Return a text on one line that can be encoded, shown and written anywhere."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def shortened(value: object) -> str:
    """Return what stands in a sentence for a value that a visitor made up."""
    return printable(str(value)[:MAX_NOUN])


def parse_noun(text: object) -> str:
    """Return the object noun, ``object`` where there is none.

    Raises:
        InputError: It is no text, or too long.
    """
    noun = printable(" ".join(_text(text, "object noun").split())) or DEFAULT_NOUN
    if len(noun) > MAX_NOUN:
        raise InputError(f"the object noun has {len(noun)} characters; at most {MAX_NOUN} are taken")
    return noun


def parse_image_size(value: object, default: int) -> int:
    """Return the side of the square input in pixels.

    Args:
        value: What was typed; None or 0 for the default.
        default: The method's own.

    Raises:
        InputError: Not a whole number, or too large.
    """
    if value is None or value == 0:
        return default
    if not _is_number(value) or not 0 < value <= MAX_IMAGE_SIZE or value != int(value):
        raise InputError(
            f"the image size has to be a whole number up to {MAX_IMAGE_SIZE}, not {shortened(value)}"
        )
    return int(value)


def parse_threshold(value: object) -> float:
    """Return the threshold of a map, in the map's own values.

    Raises:
        InputError: Not a finite number.
    """
    if not _is_number(value) or not math.isfinite(value):
        raise InputError(f"the threshold has to be a number, not {shortened(value)}")
    return float(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object, what: str) -> str:
    if value is not None and not isinstance(value, str):
        raise InputError(f"the {what} has to be text, not {shortened(value)}")
    return value or ""


def _sentences(text: object, state: str) -> tuple[str, ...]:
    lines = _text(text, f"list of {state} sentences").splitlines()
    found = tuple(printable(line) for raw in lines if (line := raw.strip()))
    if len(found) > MAX_SENTENCES:
        raise InputError(f"{len(found)} {state} sentences were given; at most {MAX_SENTENCES} are taken")
    for sentence in found:
        if len(sentence) > MAX_SENTENCE:
            raise InputError(f"a {state} sentence has more than {MAX_SENTENCE} characters; shorten it")
    return found
