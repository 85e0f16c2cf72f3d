"""Draw the sentences of a training step: captions, states, defect types, materials and nouns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tools.train_mini.pool import Array, Record
from tools.train_mini.words import NOUNS, PLACEHOLDER, POSITIONS, Phrases
from zsad_plugins.drawn.procedural import DEFECTS, FAMILIES, defect_phrases, wording

T = TypeVar("T")

DEFECT_WORDS = wording.DEFECT_WORDS
PLACEHOLDER_CHANCE = 0.15
"""How often placeholders stand before a state sentence, as they do in learned prompts."""
LONGEST_PLACEHOLDER = 16


@dataclass(frozen=True)
class Bank:
    """Names that images are to be told apart by: one sentence each, drawn anew in every step."""

    names: tuple[str, ...]

    def index(self, name: str | None) -> int:
        """Return a name's place, -1 where it is none of them."""
        return self.names.index(name) if name in self.names else -1


class Sentences:
    """The sentences of a step.

    Attributes:
        defects: Bank of the defect types of the pool.
    """

    def __init__(self, phrases: Phrases, records: Sequence[Record], rng: np.random.Generator) -> None:
        self.phrases, self.rng = phrases, rng
        self.defects = Bank(tuple(sorted({name for record in records for name in record.defects})))
        self.nouns = tuple(dict.fromkeys([*NOUNS, *(record.class_name for record in records)]))

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.rng.integers(len(options)))]

    def noun(self, record: Record | None = None) -> str:
        """Return a noun for an image: most often its own, now and then another or a general one.

        States have to read the same whatever the noun, because users name objects that no image showed.
        """
        draw = self.rng.random()
        if record is not None and draw < 0.55:
            return record.class_name
        return "object" if draw < 0.7 else self.pick(self.nouns)

    def framed(self, text: str) -> str:
        """Return the text in a template; sometimes placeholders stand before it."""
        sentence = self.pick(self.phrases.templates).replace("{}", text)
        if self.rng.random() < PLACEHOLDER_CHANCE:
            count = int(self.rng.integers(1, LONGEST_PLACEHOLDER + 1))
            return f"{PLACEHOLDER} " * count + text + "."
        return sentence

    def state(self, abnormal: bool, noun: str) -> str:
        """Return a sentence about the state of an object."""
        states = self.phrases.abnormal if abnormal else self.phrases.normal
        return self.framed(self.pick(states).replace("{}", noun))

    def defect(self, defect: str, noun: str) -> str:
        """Return a sentence about an object with a defect of a type, or the type's word alone."""
        words = DEFECT_WORDS[defect]
        draw = self.rng.random()
        if draw < 0.4:
            return self.framed(f"{self._first_or_any(words.before)} {noun}")
        phrase = self._first_or_any(words.after)
        if draw < 0.75:
            return self.framed(f"{noun} with {phrase}")
        return self.framed(bare(phrase)) if draw < 0.9 else self.framed(f"{phrase} on the {noun}")

    def _first_or_any(self, words: Sequence[str]) -> str:
        return words[0] if self.rng.random() < 0.5 else self.pick(words)

    def material(self, material: str) -> str:
        """Return a sentence about a material."""
        forms = ("{}", "{} surface", "{} object", "object made of {}", "{} texture", "piece of {}")
        return self.framed(self.pick(forms).replace("{}", material))

    def caption(self, record: Record, cover: Array) -> str:
        """Return a caption of an image: the generator's, or one put together here.

        Args:
            record: What the image shows.
            cover: [g, g] share of each patch that is defective.
        """
        if record.caption and self.rng.random() < 0.5:
            return record.caption
        thing = record.class_name
        if self.rng.random() < 0.5 and record.material not in thing:
            thing = f"{record.material} {thing}"
        if not record.defects:
            return self.framed(self.pick(self.phrases.normal).replace("{}", thing))
        phrases = [self.pick(defect_phrases(record.family, name).after) for name in record.defects]
        if len(record.defects) == 1 and self.rng.random() < 0.3:
            return self.framed(
                f"{self.pick(defect_phrases(record.family, record.defects[0]).before)} {thing}"
            )
        where = f" in the {position_of(cover)}" if len(phrases) == 1 and self.rng.random() < 0.5 else ""
        return self.framed(f"{thing} with {' and '.join(phrases)}{where}")


def position_of(cover: Array) -> str:
    """Return the words for where a mask [g, g] has its centre of mass."""
    share = cover.astype(np.float64)
    size = share.shape[0]
    places = (np.arange(size) + 0.5) / size
    row, column = (
        min(2, int(3 * (share.sum(axis=axis) @ places) / max(share.sum(), 1e-9))) for axis in (1, 0)
    )
    return POSITIONS[row][column]


def bare(phrase: str) -> str:
    """Return a phrase without its article."""
    return phrase.removeprefix("an ").removeprefix("a ")


def all_texts(phrases: Phrases, records: Sequence[Record], vocabulary: Sequence[str]) -> list[str]:
    """Return texts that together hold every token that training can draw."""
    named = [defect_phrases(family, defect) for family in FAMILIES for defect in DEFECTS]
    words = dict.fromkeys(word for entry in named for group in entry for word in group)
    return [
        *phrases.templates, *phrases.normal, *phrases.abnormal, *NOUNS, *words, *vocabulary,
        *(position for row in POSITIONS for position in row),
        *{record.caption for record in records},
        *{f"{record.material} {record.class_name} {record.family.replace('_', ' ')}" for record in records},
        f"{PLACEHOLDER}. an a in the with on and made of surface texture piece of object",
    ]  # fmt: skip
