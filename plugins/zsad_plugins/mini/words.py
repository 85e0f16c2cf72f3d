"""The second edition of mini's words: which its training saw, and which were added beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, NamedTuple

TABLE = "words.json"


class Added(NamedTuple):
    """An entry of the table: forms of a word that share one row.

    Attributes:
        forms: The word and its inflections and spellings.
        leans: Words of the first edition; the mean of their rows is where this row begins.
        about: Where the entry stands in the table, such as ``("defects", "scratch", "before")``.
    """

    forms: tuple[str, ...]
    leans: tuple[str, ...]
    about: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """All words of both editions.

    Attributes:
        seen: Words that the first edition was trained on; they read as ever.
        added: Entries of the second edition, in the order of their rows.
        digest: Hash of the table.
    """

    seen: frozenset[str]
    added: tuple[Added, ...]
    digest: str

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Place among the added rows by form."""
        return {form: place for place, entry in enumerate(self.added) for form in entry.forms}

    @cached_property
    def known(self) -> frozenset[str]:
        """Every word of both editions."""
        return self.seen | self.places.keys()


@cache
def read_words() -> Words:
    """Return the shipped table."""
    text = (files("zsad_plugins.mini") / TABLE).read_text(encoding="utf-8")
    table = json.loads(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Words(frozenset(" ".join(table["seen"]).split()), tuple(_entries(table["added"], ())), digest)


def _entries(section: Mapping[str, Any], about: tuple[str, ...]) -> Iterator[Added]:
    for name, value in section.items():
        if isinstance(value, str):
            yield Added(tuple(name.split()), tuple(value.split()), about)
        else:
            yield from _entries(value, (*about, name))
