"""CLIP's tokenizer over the few rows of the token embedding that ``mini`` holds."""

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

PADDING_ROW = 0
"""CLIP pads with id 0, which is also the exclamation mark."""
UNKNOWN_ROW = 1
START_ID, END_ID = 49406, 49407
"""CLIP's start and end tokens, the two largest ids."""


class UnknownWordsWarning(ZsadWarning):
    """A text holds words that ``mini`` never met: they all read as one unknown vector."""


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

    Attributes:
        context_length: Tokens per text; longer texts are cut.
    """

    def __init__(self, ids: Tensor, context_length: int) -> None:
        """Take CLIP's id of every row, as :func:`row_ids` gives them."""
        self.context_length = context_length
        self._rows = torch.full((END_ID + 1,), UNKNOWN_ROW)
        known = ids >= 0
        self._rows[ids[known]] = torch.arange(len(ids))[known]
        self._reported: set[str] = set()

    @cached_property
    def _clip(self) -> Any:
        return _simple_tokenizer()(context_length=self.context_length)

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Return rows [n, context_length] int64, padded with ``PADDING_ROW``."""
        given = [texts] if isinstance(texts, str) else list(texts)
        rows = self.rows(given)
        unknown = (rows == UNKNOWN_ROW).any(dim=1)
        self._report([text for text, has in zip(given, unknown.tolist(), strict=True) if has])
        return rows

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Return the same without a word about what is not known."""
        return self._rows[self._clip(list(texts))]

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the tokenizer sees them, cleaned and in lower case."""
        found: list[str] = self._clip.pat.findall(self._clip.clean_fn(text))
        return found

    def knows(self, word: str) -> bool:
        """Whether every token of a word has a row."""
        return bool((self._rows[self._clip.encode(word)] != UNKNOWN_ROW).all())

    def _report(self, texts: Sequence[str]) -> None:
        words = {word for text in texts for word in self.words(text) if not self.knows(word)}
        new = sorted(words - self._reported)
        if new:
            self._reported |= words
            names = ", ".join(f"'{word}'" for word in new)
            warnings.warn(
                f"the backbone mini does not know {names}: such words all read as one unknown vector; "
                "use other words, or a CLIP backbone",
                UnknownWordsWarning,
                stacklevel=2,
            )


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
