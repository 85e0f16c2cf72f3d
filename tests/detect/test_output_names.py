"""Names of output files: none twice, whatever the images are called."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.detect.output_names import OutputNames

OUT = Path("out")


def names(*paths: str) -> list[str]:
    found = OutputNames(OUT, [Path(path) for path in paths])
    return [found.base(Path(path)) for path in paths]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.png", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png", "sub/a.png"], ["a", "a-2", "a-3"]),
        (["a-2.png", "a.png", "sub/a.png"], ["a-2", "a", "a-3"]),
        (["a.png", "sub/a.png", "a-2.png"], ["a", "a-3", "a-2"]),
        (["a.png", "sub/a.png", "A-2.png"], ["a", "a-3", "A-2"]),
        (["Part.png", "part.png", "PART.jpg"], ["Part", "part-2", "PART-3"]),
        (["stra\u00dfe.png", "STRASSE.png"], ["stra\u00dfe", "STRASSE-2"]),
        (["caf\u00e9.png", "cafe\u0301.png"], ["caf\u00e9", "cafe\u0301-2"]),
        (["b\udce4d.png", "a\nb.png"], ["b%e4d", "a%0ab"]),
        (["b\udce4d.png", "b%e4d.png"], ["b%e4d", "b%e4d-2"]),
    ],
)
def test_a_stem_with_a_number_where_others_have_it(paths, expected) -> None:
    assert names(*paths) == expected


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\U0001f529"])
def test_long_names_are_cut_and_stay_apart(letter, tmp_path) -> None:
    long = letter * (242 // len(letter.encode()))
    found = names(f"{long}.png", f"{long[:-1]}y.png", f"sub/{long}.png")
    assert len({name.casefold() for name in found}) == 3
    for name in found:
        assert name.startswith(letter * 10)
        (tmp_path / f"{name}_overlay.png").touch()
        assert len(f"{name}_overlay.png".encode()) <= 143


STEMS = st.text(st.sampled_from("aAb-23\u00df\u00e9e\u0301\udcff\n%"), min_size=1, max_size=4)


@given(st.lists(STEMS, unique=True, max_size=12), st.data())
def test_no_two_images_share_a_name_on_any_file_system(stems, data) -> None:
    paths = [Path(folder, f"{stem}.png") for stem in stems for folder in ("x", "y")]
    paths = data.draw(st.permutations(paths))
    found = OutputNames(OUT, paths)
    keys = [unicodedata.normalize("NFC", found.base(path)).casefold() for path in paths]
    assert len(set(keys)) == len(paths)
    assert all(found.base(path).encode() and found.base(path).isprintable() for path in paths)
    again = OutputNames(OUT, paths)
    assert [again.base(path) for path in paths] == [found.base(path) for path in paths]
