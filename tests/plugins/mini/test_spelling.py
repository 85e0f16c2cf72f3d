"""Which known word an unknown one is taken for, and when nobody can say."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad_plugins.mini.spelling import SHORTEST_SLIP, american, inflections, nearest_known, one_slip

KNOWN = frozenset(
    {"gouged", "scratch", "scratched", "scratches", "colour", "fiber", "mold", "gray", "label", "crease"}
    | {"dent", "dents", "discolored", "hole", "holes", "undamaged", "damaged", "new", "broken", "brown"}
    | {"mouse", "oxidation", "oxidized", "rust", "rusty", "spot", "puncture", "metal", "fray"}
)


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("gougd", "gouged"),
        ("scrached", "scratched"),
        ("scrathced", "scratched"),
        ("scracthes", "scratches"),
        ("damagged", "damaged"),
        ("undamged", "undamaged"),
        ("metall", "metal"),
        ("denting", "dent"),
        ("creasing", "crease"),
        ("creased", "crease"),
        ("spotted", "spot"),
        ("spotting", "spot"),
        ("punctured", "puncture"),
        ("frayed", "fray"),
        ("color", "colour"),
        ("colors", "colour"),
        ("fibre", "fiber"),
        ("fibres", "fiber"),
        ("mould", "mold"),
        ("moulds", "mold"),
        ("grey", "gray"),
        ("labelled", "label"),
        ("discoloured", "discolored"),
        ("oxidised", "oxidized"),
        ("oxidisation", None),
        ("rusted", "rust"),
    ],
)
def test_inflection_spelling_and_slips(word: str, read: str | None) -> None:
    assert nearest_known(word, KNOWN, established=False) == read


def test_a_word_in_use_is_no_slip() -> None:
    assert nearest_known("house", KNOWN, established=False) == "mouse"
    assert nearest_known("house", KNOWN, established=True) is None
    assert nearest_known("holed", KNOWN, established=True) == "hole"  # a form of it, however common


@pytest.mark.parametrize(
    "word",
    [
        "brokn",  # broken, or brown
        "news",  # no plural of "new"
        "dnet",  # too short for a slip
        "goughde",  # two slips
        "scratchless",
        "zyzzyva",
        "",
    ],
)
def test_no_guess_where_it_is_not_safe(word: str) -> None:
    assert nearest_known(word, KNOWN, established=False) is None


def test_slips_near_two_forms_of_one_word_read_the_longest() -> None:
    assert nearest_known("scratche", KNOWN - {"scratches"}, established=False) == "scratched"
    assert nearest_known("crackd", {"cracks", "cracked"}, established=False) == "cracked"
    assert nearest_known("crackd", {"cracks", "cracked", "cracky"}, established=False) is None


def test_the_order_of_the_known_words_is_of_no_account() -> None:
    known = ("cracks", "cracked", "crack")
    for word in ("crackd", "crackes", "crackin", "cracking"):
        found = {nearest_known(word, order, established=False) for order in itertools.permutations(known)}
        assert len(found) == 1


@pytest.mark.parametrize(
    ("british", "spelling"),
    [
        ("discolouration", "discoloration"),
        ("colouring", "coloring"),
        ("centre", "center"),
        ("aluminium", "aluminum"),
        ("oedema", "edema"),
        ("haemorrhage", "hemorrhage"),
        ("tyres", "tires"),
        ("labelled", "labeled"),
        ("defence", "defense"),
    ],
)
def test_american(british: str, spelling: str) -> None:
    assert american(british) == spelling
    assert american(spelling) == spelling


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("stain", {"stained", "stains", "staining"}),
        ("smudges", {"smudge", "smudged", "smudging"}),
        ("cavities", {"cavity"}),
        ("chipped", {"chip", "chips", "chipping"}),
    ],
)
def test_inflections(word: str, others: set[str]) -> None:
    assert others | {word} <= set(inflections(word))


def distance(one: str, other: str) -> int:
    """Return the optimal string alignment distance by its textbook table."""
    table = [[i + j if 0 in (i, j) else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i, j in itertools.product(range(1, len(one) + 1), range(1, len(other) + 1)):
        table[i][j] = min(
            table[i - 1][j] + 1,
            table[i][j - 1] + 1,
            table[i - 1][j - 1] + (one[i - 1] != other[j - 1]),
        )
        if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
            table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_one_slip_is_a_distance_of_one(one: str, other: str) -> None:
    assert one_slip(one, other) == (distance(one, other) == 1)


@given(st.text("acdeghmnorstu", min_size=1, max_size=10), st.booleans())
def test_what_is_read_is_known_and_near(word: str, established: bool) -> None:
    read = nearest_known(word, KNOWN, established=established)
    if read is None:
        return
    assert read in KNOWN
    if american(read) not in set(inflections(american(word))):
        assert not established and len(word) >= SHORTEST_SLIP and distance(word, read) == 1
