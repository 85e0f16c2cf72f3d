"""Words that a backbone does not know: where its tokenizer can tell, the page says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Vocabulary(Protocol):
    """A tokenizer with a closed list of words."""

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the tokenizer sees them."""

    def knows(self, word: str) -> bool:
        """Whether a word has a vector of its own."""


def unknown_words(tokenizer: object, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of texts that a tokenizer does not know, in the order of the alphabet.

    Args:
        tokenizer: Of the backbone; one that knows all words has no :class:`Vocabulary`.
        texts: What a visitor typed; ``{}`` in them stands for the object.
    """
    if not isinstance(tokenizer, Vocabulary):
        return ()
    words = {word for text in texts for word in tokenizer.words(text.replace("{}", " "))}
    return tuple(sorted(word for word in words if not tokenizer.knows(word)))
