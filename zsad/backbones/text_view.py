"""What parts see of a text tower: tokens, embeddings and widths, as copies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from zsad.backbones.text import TextTower
from zsad.parts import Sentences

KEPT_TEXTS = 64
"""Lists of texts whose token ids are kept: tokenising takes longer than a small tower."""


class TowerText:
    """A :class:`zsad.parts.TextView` of a tower.

    It is no module, so that a part that keeps it as an attribute does not own the tower's weights.
    """

    def __init__(self, tower: TextTower) -> None:
        self._tower = tower
        self._ids = lru_cache(maxsize=KEPT_TEXTS)(tower.tokenize)

    def __deepcopy__(self, memo: object) -> TowerText:
        """Return itself: a copy of a part is no copy of the tower."""
        return self

    @property
    def width(self) -> int:
        """Channels D of token embeddings."""
        return self._tower.width

    @property
    def depth(self) -> int:
        """Blocks of the text tower."""
        return self._tower.depth

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return self._tower.profile.context_length

    @property
    def rounds_deep_prompts(self) -> bool:
        """Whether this run rounds deep prompts to float16, as published code does."""
        return self._tower.profile.deep_prompt_cast == "float16"

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids [n, context_length] int64 on the tower's device."""
        return self._ids(tuple(texts)).clone()

    def embed(self, ids: Tensor) -> Tensor:
        """Return the token embeddings [..., D] of ids [...], without position embedding."""
        # The embedding of a single id would be a view of the table.
        return self._tower.embed(ids).detach().clone()

    def end_positions(self, ids: Tensor) -> Tensor:
        """Return [n], where the feature of each sequence of ids [n, L] is read."""
        return self._tower.end_positions(ids)

    def sentences(self, texts: Sequence[str], slots: int = 0) -> Sentences:
        """Return the embeddings of texts, with places for learned tokens before their words.

        Args:
            texts: The texts.
            slots: Number of places, held by a word of one token until something learned replaces it.

        Raises:
            InputError: A text is longer than the tower reads.
        """
        ids = self.tokenize(["X " * slots + text for text in texts])
        end = self.end_positions(ids)
        return Sentences(self.embed(ids[:, : int(end.max()) + 1]), end, slice(1, 1 + slots))

    def projection(self) -> Tensor | None:
        """Return the matrix [D, C] from the tower's channels to the joint space, if it has one."""
        found = self._tower.projection
        return None if found is None else found.detach().clone()
