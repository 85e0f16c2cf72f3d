"""What visitors type: the object noun, sentences of their own, the image size."""

from __future__ import annotations

import json
from dataclasses import dataclass

from zsad.errors import InputError

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
    def parse(cls, normal: str | None, abnormal: str | None) -> Words:
        """Return the sentences of two texts, one a line.

        Raises:
            InputError: Too many, or a too long one.
        """
        return cls(_sentences(normal, "normal"), _sentences(abnormal, "abnormal"))

    def __bool__(self) -> bool:
        return bool(self.normal or self.abnormal)

    def overrides(self) -> list[str]:
        """Return them as overrides of the prompt learner."""
        given = {"normal_prompts": self.normal, "abnormal_prompts": self.abnormal}
        return [f"prompt_learner.{name}={json.dumps(own)}" for name, own in given.items() if own]


OWN_WORDS = Words()
"""The method's own."""


def parse_noun(text: str | None) -> str:
    """Return the object noun, ``object`` where there is none.

    Raises:
        InputError: It is too long.
    """
    noun = " ".join((text or "").split()) or DEFAULT_NOUN
    if len(noun) > MAX_NOUN:
        raise InputError(f"the object noun has {len(noun)} characters; at most {MAX_NOUN} are taken")
    return noun


def parse_image_size(value: float | None, default: int) -> int:
    """Return the side of the square input in pixels.

    Args:
        value: What was typed; None or 0 for the default.
        default: The method's own.

    Raises:
        InputError: Not a whole number, or too large.
    """
    if not value:
        return default
    if value != int(value) or not 0 < value <= MAX_IMAGE_SIZE:
        raise InputError(f"the image size has to be a whole number up to {MAX_IMAGE_SIZE}, not {value:g}")
    return int(value)


def _sentences(text: str | None, state: str) -> tuple[str, ...]:
    found = tuple(line for raw in (text or "").splitlines() if (line := raw.strip()))
    if len(found) > MAX_SENTENCES:
        raise InputError(f"{len(found)} {state} sentences were given; at most {MAX_SENTENCES} are taken")
    for sentence in found:
        if len(sentence) > MAX_SENTENCE:
            raise InputError(f"a {state} sentence has more than {MAX_SENTENCE} characters; shorten it")
    return found
