"""Texts that a tokenizer cuts without a word: which they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def cut_texts(tokenize: Callable[[Sequence[str]], Tensor], texts: Sequence[str], ids: Tensor) -> list[str]:
    """Return the texts whose end is not among their tokens.

    A text was cut where a shorter one has the same tokens, which needs no knowledge of the tokenizer.

    Args:
        tokenize: Texts to ids [n, L].
        texts: The texts.
        ids: [n, L], their ids.
    """
    length = ids.shape[1]
    # A token is a letter at least, and two places hold its start and end.
    long = [place for place, text in enumerate(texts) if len(text.strip()) > length - 2]
    found = []
    for place in long:
        text = texts[place].strip()
        words = text.rpartition(" ")[0].rstrip()
        shorter = tokenize([words or text[:-1], text[:-1]])
        if (shorter == ids[place]).all(dim=1).any():
            found.append(text)
    return found
