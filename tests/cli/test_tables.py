"""Tables of a given width: no word is broken, nothing is lost without a word."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.cli.tables import aligned, cells, field_lines, fitted

COLUMNS = ("method", "image_auroc", "note")
ROWS = [
    {"method": "clip-baseline", "image_auroc": "100.0", "note": "a note of several words that wraps"},
    {"method": "winclip@anomalib", "image_auroc": "undefined", "note": ""},
]


def test_a_table_that_fits_is_aligned():
    assert fitted(COLUMNS, ROWS, 80) == (
        [
            "method            image_auroc  note",
            "clip-baseline     100.0        a note of several words that wraps",
            "winclip@anomalib  undefined",
        ],
        (),
    )
    assert aligned(COLUMNS, ROWS) == fitted(COLUMNS, ROWS, 80).lines


def test_text_wraps_between_words_and_headers_after_underscores():
    assert fitted(COLUMNS, ROWS, 49).lines == [
        "method            image_     note",
        "                  auroc",
        "clip-baseline     100.0      a note of several",
        "                             words that wraps",
        "winclip@anomalib  undefined",
    ]


def test_columns_that_can_be_missed_go_first_and_are_named():
    table = fitted(COLUMNS, ROWS, 40, optional=("note", "method"))
    assert table.left_out == ("note",)
    assert table.lines[-1] == "winclip@anomalib  undefined"


def test_what_fits_nowhere_has_a_field_a_line_and_all_columns():
    assert fitted(COLUMNS, ROWS, 26, optional=("image_auroc",)).left_out == ()
    assert fitted(COLUMNS, ROWS, 26).lines == [
        "method       clip-baseline",
        "image_auroc  100.0",
        "note         a note of",
        "             several words",
        "             that wraps",
        "",
        "method       winclip@anomalib",
        "image_auroc  undefined",
    ]


def test_fields_wrap_with_a_margin():
    assert field_lines({"a": "one two three", "long": "x", "none": ""}, 14) == [
        "a     one two",
        "      three",
        "long  x",
    ]
    assert field_lines({"a": "one two three"}, None) == ["a  one two three"]


def test_wide_letters_take_two_places():
    assert [cells(text) for text in ("ab", "日本", "é", "e\u0301")] == [2, 4, 1, 1]
    lines = fitted(("a", "b"), [{"a": "日本", "b": "x"}, {"a": "abcd", "b": "y"}], 80).lines
    assert lines == ["a     b", "日本  x", "abcd  y"]


words = st.text("abcdef-@.0123456789", min_size=1, max_size=14)
texts = st.lists(words, max_size=6).map(" ".join)


@given(
    st.lists(
        st.fixed_dictionaries({"one": texts, "two_parts": texts, "three": texts}), min_size=1, max_size=4
    ),
    st.integers(1, 90),
)
def test_no_word_is_broken_whatever_the_width(rows, width):
    columns = ("one", "two_parts", "three")
    table = fitted(columns, rows, width, optional=("three",))
    shown = " ".join(table.lines).split()
    kept = [column for column in columns if column not in table.left_out]
    for row in rows:
        for word in " ".join(row[column] for column in kept).split():
            assert word in shown
    if width >= 2 * 20 + 2:  # as wide as the two columns can be that have to stay
        assert max(map(cells, table.lines)) <= width


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize(
    "listing", ["methods", "parts", "metrics", "datasets", "backbones", "plugins", "losses"]
)
def test_listings_fit_a_real_terminal(listing, width):
    """A pseudo-terminal of this width gets no line that is wider, and every word of the piped listing."""
    command = [sys.executable, "-m", "zsad", listing]
    piped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        notes = process.stderr.read().decode()
    os.close(ours)
    lines = shown.decode().replace("\r", "").splitlines()
    assert max(map(cells, lines)) <= width
    assert len(lines) > 1
    left_out = "left out for want of width: " in notes
    missing = {word for word in set(piped.split()) - set(" ".join(lines).split()) if "_" not in word}
    assert left_out or not missing


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
