"""CLIP's tokenizer over the rows of the token embedding that ``mini`` holds, and over its added words."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.errors import ZsadError, ZsadWarning
from zsad_plugins.mini.spelling import nearest_known
from zsad_plugins.mini.words import Words

PADDING_ROW = 0
"""CLIP pads with id 0, which is also the exclamation mark."""
UNKNOWN_ROW = 1
START_ID, END_ID = 49406, 49407
"""CLIP's start and end tokens, the two largest ids."""


class UnknownWordsWarning(ZsadWarning):
    """A text holds words that ``mini`` never met: they read as a known word, or say nothing."""


def row_ids(ids: Sequence[int]) -> Tensor:
    """Return CLIP's id of every row, -1 for the unknown one: [rows] int64.

    Rows ascend with the ids, so that the end token keeps the largest one: text towers find it by argmax.

    Args:
        ids: CLIP ids in any order; padding, start and end are added.
    """
    kept = sorted({*ids, START_ID, END_ID} - {PADDING_ROW})
    return torch.tensor([PADDING_ROW, -1, *kept])


class RowTokenizer:
    """Maps texts to rows of a small embedding; warns once of every word that has none.

    A word of the second edition is one row, whatever CLIP's tokens for it; these rows stand behind those
    of tokens, and before start and end. An unknown word that is spelled nearly like a known one reads as
    that; of any other, the tokens that have a row are read.

    Attributes:
        context_length: Tokens per text; longer texts are cut.
    """

    def __init__(self, ids: Tensor, context_length: int, words: Words | None = None) -> None:
        """Take CLIP's id of every row, as :func:`row_ids` gives them.

        Args:
            ids: [rows] int64.
            context_length: Tokens per text.
            words: The words that are known; without them, every word whose tokens all have rows.
        """
        self.context_length = context_length
        self._words = words
        self._rows = torch.full((END_ID + 1,), UNKNOWN_ROW)
        known = ids >= 0
        self._rows[ids[known]] = torch.arange(len(ids))[known]
        self._first_added = len(ids) - 2
        self._rows[[START_ID, END_ID]] += len(words.added) if words else 0
        self._reported: set[str] = set()
        self._readings: dict[str, str | None] = {}
        self._rows_of: dict[str, list[int]] = {}

    @cached_property
    def _clip(self) -> Any:
        return _simple_tokenizer()(context_length=self.context_length)

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Return rows [n, context_length] int64, padded with ``PADDING_ROW``."""
        given = [texts] if isinstance(texts, str) else list(texts)
        self._report(given)
        return self.rows(given)

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Return the same without a word about what is not known."""
        found = torch.full((len(texts), self.context_length), PADDING_ROW)
        start, end = self._rows[[START_ID, END_ID]].tolist()
        for place, text in enumerate(texts):
            inner = [row for word in self.words(text) for row in self.rows_of(word)]
            row = [start, *inner[: self.context_length - 2], end]
            found[place, : len(row)] = torch.tensor(row)
        return found

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the tokenizer sees them, cleaned and in lower case."""
        found: list[str] = self._clip.pat.findall(self._clip.clean_fn(text))
        return found

    def rows_of(self, word: str) -> list[int]:
        """Return the rows that a word is read by."""
        if word not in self._rows_of:
            read = self.reading(word) or word
            place = None if self._words is None else self._words.places.get(read)
            tokens = self._rows[self._clip.encode(read)].tolist()
            self._rows_of[word] = tokens if place is None else [self._first_added + place]
        return self._rows_of[word]

    def knows(self, word: str) -> bool:
        """Whether a word was learned, or stands in the table of added ones."""
        if self._words is not None and word.isalpha():
            return word in self._words.known
        return bool((self._rows[self._clip.encode(word)] != UNKNOWN_ROW).all())

    def reading(self, word: str) -> str | None:
        """Return the known word that a word reads as: itself, one that is spelled nearly so, or None."""
        if word not in self._readings:
            self._readings[word] = word if self.knows(word) else self._nearest(word)
        return self._readings[word]

    def _nearest(self, word: str) -> str | None:
        if self._words is None or not word.isalpha():
            return None
        established = len(self._clip.encode(word)) == 1  # CLIP has one token for what is written often
        return nearest_known(word, self._words.known, established=established)

    def _report(self, texts: Sequence[str]) -> None:
        words = {word for text in texts for word in self.words(text) if not self.knows(word)}
        new = sorted(words - self._reported)
        self._reported |= words
        read = {word: self.reading(word) for word in new}
        nothing = [word for word in new if read[word] is None]
        if near := [word for word in new if read[word] is not None]:
            instead = ", ".join(f"'{read[word]}'" for word in near)
            self._warn(near, f"; it reads {instead}")
        if nothing:
            self._warn(nothing, ": such words say nothing to it; use other words, or a CLIP backbone")

    def _warn(self, words: Sequence[str], what: str) -> None:
        names = ", ".join(f"'{word}'" for word in words)
        warnings.warn(f"the backbone mini does not know {names}{what}", UnknownWordsWarning, stacklevel=4)


@cache
def _simple_tokenizer() -> Any:
    """Return open_clip's ``SimpleTokenizer``, from its file alone.

    Importing it by name would run the package too: models, transformers, torchvision and timm, which take
    seconds, for a tokenizer that needs none of them.
    """
    package = find_spec("open_clip")  # finds, and does not import
    if package is None or package.origin is None:
        raise ZsadError("open_clip is not installed; 'pip install open_clip_torch' mends it")
    spec = spec_from_file_location(f"{__name__}.open_clip", Path(package.origin).with_name("tokenizer.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer
