"""Which known word an unknown one is, where spelling leaves no doubt: a form, British or American, a slip."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

SHORTEST_BASE = 4
"""Letters of a word whose inflections are looked for: "news" is no plural of "new"."""
SHORTEST_SLIP = 5
"""Letters of words that a slip of one letter is looked for in: shorter ones have too many neighbours."""

AMERICAN = tuple(
    (re.compile(pattern), american)
    for pattern, american in (
        (r"our(?=(s|ed|ing|less|ful|ation)?$)", "or"),
        (r"is(?=(e|es|ed|er|ing|ation|ations)$)", "iz"),
        (r"ys(?=(e|es|ed|er|ing)$)", "yz"),
        (r"(?<=[aeiou])ll(?=(ed|ing|er|ers)$)", "l"),
        (r"(?<=[tb])re(s?)$", r"er\1"),
        (r"ence(?=s?$)", "ense"),
        (r"ogue(?=s?$)", "og"),
        (r"ae|oe", "e"),
        (r"mould", "mold"),
        (r"grey", "gray"),
        (r"tyre", "tire"),
        (r"minium$", "minum"),
        (r"sulph", "sulf"),
    )
)
"""Endings and letters by which British spelling becomes American."""


def nearest_known(word: str, known: Collection[str], *, established: bool) -> str | None:
    """Return the known word that an unknown one can be taken for, or None where that is not safe.

    In this order: the same word inflected otherwise or in the other spelling; a word of
    ``SHORTEST_SLIP`` letters or more that differs by one letter left out, put in, changed, or swapped with
    the next. Several such words are a doubt, unless they are forms of one.

    Args:
        word: The unknown word, in lower case.
        known: The words to choose from.
        established: Whether the word is in common use, so that it is no slip of another one: "house" is not
            "mouse".
    """
    spellings: dict[str, str] = {}
    for other in sorted(known):
        spellings.setdefault(american(other), other)
    for form in inflections(american(word)):
        if form in spellings:
            return spellings[form]
    if established or len(word) < SHORTEST_SLIP:
        return None
    near = [other for other in known if len(other) >= SHORTEST_SLIP and one_slip(word, other)]
    if not near:
        return None
    longest = min(near, key=lambda other: (-len(other), other))
    related = set(inflections(american(longest)))
    return longest if all(american(other) in related for other in near) else None


def american(word: str) -> str:
    """Return a word in American spelling; one that has no other is given back."""
    for pattern, replacement in AMERICAN:
        word = pattern.sub(replacement, word)
    return word


def inflections(word: str) -> Iterator[str]:
    """Yield a word and those that share a base with it by -s, -es, -ed and -ing, the base first."""
    yield word
    for base in _bases(word):
        forms = tuple(_forms(base))
        if word in forms:
            yield from forms


def _bases(word: str) -> Iterator[str]:
    """Yield what a word may be a form of, itself included."""
    found = [word]
    for ending in ("s", "es", "ed", "ing"):
        if not word.endswith(ending):
            continue
        stem = word.removesuffix(ending)
        found += [stem, stem + "e"]
        if stem.endswith("i"):
            found.append(stem[:-1] + "y")
        if stem[-2:-1] == stem[-1:]:
            found.append(stem[:-1])
    return (base for base in found if len(base) >= SHORTEST_BASE)


def _forms(base: str) -> Iterator[str]:
    """Yield the forms of a base by the rules of regular words."""
    yield base
    if base.endswith("e"):
        yield from (base + "d", base + "s", base[:-1] + "ing")
        return
    if base.endswith("y"):
        yield from (base[:-1] + "ied", base[:-1] + "ies")
    yield from (base + "ed", base + "s", base + "es", base + "ing")
    yield from (base + base[-1] + "ed", base + base[-1] + "ing")


def one_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter left out, put in or changed, or by two neighbours swapped."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if same is None:
        return True  # one is the beginning of the other
    first, second = one[same:], other[same:]
    swapped = first[:2] == second[:2][::-1] and first[2:] == second[2:]
    return swapped or first[1:] == second[1:] or first[1:] == second or first == second[1:]
