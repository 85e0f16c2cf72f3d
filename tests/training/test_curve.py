from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from zsad.errors import ZsadError
from zsad.training.curve import curve_svg, write_curve

SVG = "{http://www.w3.org/2000/svg}"


def epochs(*losses: dict[str, float], stage: int = 1, speed: float = 100.0) -> list[dict[str, object]]:
    return [
        {"epoch": number, "stage": stage, "losses": values, "images_per_second": speed}
        for number, values in enumerate(losses, start=1)
    ]


def drawn(svg: str) -> dict[str, list[list[tuple[float, float]]]]:
    """Read the lines back: runs of points in pixels, by loss."""
    root = ElementTree.fromstring(svg)
    return {
        group.findtext(f"{SVG}title"): [
            [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
            for line in group.findall(f"{SVG}polyline")
        ]
        for group in root.findall(f"{SVG}g")
    }


def texts(svg: str) -> dict[str, tuple[float, float]]:
    return {
        element.text: (float(element.attrib["x"]), float(element.attrib["y"]))
        for element in ElementTree.fromstring(svg).iter(f"{SVG}text")
    }


def test_points_stand_on_the_scale_that_is_labelled() -> None:
    """Independently of the code's axes: the pixel of a value follows from two labelled ticks."""
    values = [0.9, 0.7, 0.55, 0.31]
    svg = curve_svg(epochs(*({"dice": value} for value in values)))
    words = texts(svg)
    low, high = words["0.2"][1], words["0.8"][1]
    first, last = words["1"][0], words["4"][0]
    (run,) = drawn(svg)["dice"]
    for number, (value, (x, y)) in enumerate(zip(values, run, strict=True)):
        assert y + 4 == pytest.approx(low + (value - 0.2) / 0.6 * (high - low), abs=0.2)
        assert x == pytest.approx(first + number / 3 * (last - first), abs=0.2)
    assert {"epoch", "loss", "0", "dice 0.31", "100 images per second"} <= set(words)


def test_beyond_a_decade_the_scale_is_logarithmic() -> None:
    values = [2.0, 0.3, 0.05, 0.004]
    svg = curve_svg(epochs(*({"focal": value} for value in values)))
    words = texts(svg)
    assert "loss (logarithmic)" in words and "0" not in words
    bottom, top = words["0.01"][1], words["0.1"][1]
    (run,) = drawn(svg)["focal"]
    for value, (_, y) in zip(values, run, strict=True):
        assert y + 4 == pytest.approx(bottom + (math.log10(value) + 2) * (top - bottom), abs=0.4)


@pytest.mark.parametrize("values", [[1.0, 0.1], [1.0, 0.0], [5.0, -0.01], [3.0, 3.0], [0.0, 0.0]])
def test_otherwise_it_is_linear(values) -> None:
    svg = curve_svg(epochs(*({"a": value} for value in values)))
    assert "loss" in texts(svg) and "nan" not in svg and "inf" not in svg
    ElementTree.fromstring(svg)


def test_a_line_a_loss_and_a_run_a_stage() -> None:
    history = [
        *epochs({"dice": 0.9, "image": 0.5}, {"dice": 0.8, "image": 0.4}),
        *epochs({"dice": 0.7, "prototypes": 0.3}, {"dice": 0.6, "prototypes": 0.2}, stage=2),
    ]
    svg = curve_svg(history)
    lines = drawn(svg)
    assert {name: [len(run) for run in runs] for name, runs in lines.items()} == {
        "dice": [2, 2], "image": [2], "prototypes": [2]
    }  # fmt: skip
    words = texts(svg)
    assert lines["dice"][0][-1][0] < words["stage 2"][0] < lines["dice"][1][0][0]
    assert {"dice 0.6", "image 0.4", "prototypes 0.2"} <= set(words)


def test_labels_keep_apart_and_in_order() -> None:
    svg = curve_svg(epochs({f"loss{n}": 0.5 + n / 1000 for n in range(9)}))
    places = [place[1] for word, place in texts(svg).items() if word.startswith("loss") and " " in word]
    assert len(places) == 9
    assert all(upper - lower >= 15.9 for upper, lower in pairwise(places))
    assert min(places) > 0 and max(places) < 400


def test_values_that_are_not_finite_are_left_out() -> None:
    svg = curve_svg(epochs({"a": 1.0, "b": float("nan")}, {"a": float("inf")}, {"a": 0.5}))
    assert [len(run) for run in drawn(svg)["a"]] == [2] and "b" not in drawn(svg)


def test_one_epoch() -> None:
    svg = curve_svg(epochs({"a": 0.5}))
    ((point,),) = drawn(svg)["a"]
    assert 72 < point[0] < 700 and svg.count("<circle") == 1
    assert "Losses of 1 epoch" in texts(svg)


@pytest.mark.parametrize("history", [[], epochs({}), epochs({"a": float("nan")})])
def test_nothing_to_draw(history) -> None:
    with pytest.raises(ValueError, match="at least one epoch with a finite loss"):
        curve_svg(history)


def test_it_stands_alone_and_speaks() -> None:
    svg = curve_svg(epochs({"a<b&\"c'": 0.5}, {"a<b&\"c'": 0.25}))
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Losses of 2 epochs: a<b&\"c' from 0.5 to 0.25"
    assert root[0].tag == f"{SVG}title" and root[0].text == "Losses of 2 epochs"
    assert "a<b&\"c' 0.25" in texts(svg)
    assert "prefers-color-scheme: dark" in svg and "currentColor" in svg
    assert not re.search(r"href|url\(|<script|@import", svg)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, from #rrggbb."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_labels_can_be_read_on_light_and_dark() -> None:
    svg = curve_svg(epochs({f"l{n}": 0.5 for n in range(6)}))
    pairs = re.findall(r"--light:(#\w{6});--dark:(#\w{6})", svg)
    assert len(set(pairs)) == 6
    for light, dark in pairs:
        assert 1.05 / (luminance(light) + 0.05) >= 4.5
        assert (luminance(dark) + 0.05) / (luminance("#0d1117") + 0.05) >= 4.5


def test_written_atomically(tmp_path, public_path, unprivileged) -> None:
    history = epochs({"a": 0.5}, {"a": 0.4})
    write_curve(tmp_path / "deep" / "curve.svg", history)
    assert (tmp_path / "deep" / "curve.svg").read_text() == curve_svg(history)
    with pytest.raises(ValueError, match="finite"):
        write_curve(tmp_path / "deep" / "curve.svg", [])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["curve.svg"]
    public_path.chmod(0o555)
    with unprivileged(), pytest.raises(ZsadError, match="permission denied"):
        write_curve(public_path / "curve.svg", history)
