"""Words that a backbone does not know: where its tokenizer can tell, the page says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable


@runtime_checkable
class Vocabulary(Protocol):
    """A tokenizer with a closed list of words."""

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the tokenizer sees them."""

    def knows(self, word: str) -> bool:
        """Whether a word has a vector of its own."""

    def reading(self, word: str) -> str | None:
        """Return the known word that a word reads as, or None where it reads as none."""


class UnknownWord(NamedTuple):
    """A word that a backbone does not know.

    Attributes:
        word: The word.
        read: The known word that it is read as, or None where the backbone makes nothing of it.
    """

    word: str
    read: str | None


def unknown_words(tokenizer: object, texts: Iterable[str]) -> tuple[UnknownWord, ...]:
    """Return the words of texts that a tokenizer does not know, in the order of the alphabet.

    Args:
        tokenizer: Of the backbone; one that knows all words has no :class:`Vocabulary`.
        texts: What a visitor typed; ``{}`` in them stands for the object.
    """
    if not isinstance(tokenizer, Vocabulary):
        return ()
    words = {word for text in texts for word in tokenizer.words(text.replace("{}", " "))}
    unknown = sorted(word for word in words if not tokenizer.knows(word))
    return tuple(UnknownWord(word, tokenizer.reading(word)) for word in unknown)


def vocabulary_facts(unknown: Sequence[UnknownWord]) -> dict[str, Any]:
    """Return unknown words as plain data: all of them, and what some are read as."""
    return {
        "unknown_words": [entry.word for entry in unknown],
        "words_read_as": {entry.word: entry.read for entry in unknown if entry.read is not None},
    }
