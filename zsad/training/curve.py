"""The learning curve of a training as an SVG picture that stands alone. No torch here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from zsad.files import write_text

WIDTH, HEIGHT = 720, 400
_LEFT, _TOP, _BOTTOM = 72, 44, 52
_LETTER = 7.2
"""Width of a letter of the labels, in pixels, on the safe side."""
_LINE = 16.0
"""Least distance between the baselines of two labels."""
_DECADE = 10.0
_FEW = 40
"""Up to so many epochs, each is marked."""

_STYLE = """
.learning-curve { font: 12px system-ui, sans-serif; color: #1f2328; background: #fff }
.learning-curve text { fill: currentColor } .learning-curve .title { font-size: 14px; font-weight: 600 }
.learning-curve .grid { stroke: currentColor; stroke-opacity: .15 }
.learning-curve .stage { stroke: currentColor; stroke-opacity: .5; stroke-dasharray: 2 4 }
.learning-curve .loss { color: var(--light); stroke: currentColor; fill: none; stroke-width: 2;
  stroke-linejoin: round; stroke-linecap: round }
.learning-curve .loss circle { fill: currentColor; stroke: none }
.learning-curve .loss text { stroke: none }
.learning-curve .loss .leader { stroke-width: 1; stroke-opacity: .6; stroke-dasharray: none }
@media (prefers-color-scheme: dark) {
  .learning-curve { color: #e6edf3; background: #0d1117 }
  .learning-curve .loss { color: var(--dark) }
}
"""
# On white and on black: each text colour keeps a contrast of at least 4.5 to its ground.
_COLOURS = (("#0060a8", "#6cb8ff"), ("#b34700", "#ff9d5c"), ("#007a55", "#4fd1a5"), ("#9a3c7a", "#f0a3d0"),
            ("#6b5b00", "#e0d060"), ("#555555", "#bbbbbb"))  # fmt: skip
_DASHES = ("none", "7 4", "2 4", "9 3 2 3")


@dataclass(frozen=True)
class _Axis:
    """A scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return round values on the axis, about ``most`` of them at the most."""
        if not self.logarithmic:
            step = _round_step((self.high - self.low) / most)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [number * step for number in range(first, last + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            found = [digit * 10.0**decade for decade in decades for digit in digits]
            found = [tick for tick in found if self.low <= tick <= self.high]
            if len(found) <= most:
                return found
        return found[:: math.ceil(len(found) / most)]


@dataclass(frozen=True)
class _Curve:
    """A loss: its finite values, as runs of (place in the history, value), one run a stage."""

    name: str
    runs: list[list[tuple[int, float]]]

    @property
    def points(self) -> list[tuple[int, float]]:
        return [point for run in self.runs for point in run]


def curve_svg(history: Sequence[Mapping[str, Any]]) -> str:
    """Return the learning curve: one labelled line per loss, stages one after another.

    The scale is logarithmic where the losses range over more than a decade and are above 0. Values that are
    not finite are left out. Colours follow the viewer's light or dark scheme.

    Args:
        history: For every epoch, in order: ``epoch`` and ``stage``, both counted from 1, ``losses`` by name,
            and ``images_per_second``.

    Returns:
        An SVG document without references to anything outside.

    Raises:
        ValueError: No epoch, or no finite loss.
    """
    curves = list(_curves(history))
    values = [value for curve in curves for _, value in curve.points]
    if not values:
        raise ValueError("a learning curve needs at least one epoch with a finite loss")
    labels = [f"{curve.name} {curve.points[-1][1]:.3g}" for curve in curves]
    right = WIDTH - min(max(len(label) for label in labels) * _LETTER + 34, WIDTH / 2)
    across = _Axis(0.5 if len(history) == 1 else 1, max(len(history), 1.5), _LEFT, right)
    up = _loss_axis(values)
    title = f"Losses of {len(history)} epoch{'s' if len(history) > 1 else ''}"
    told = "; ".join(
        f"{curve.name} from {curve.points[0][1]:.3g} to {curve.points[-1][1]:.3g}" for curve in curves
    )
    speed = sum(epoch["images_per_second"] for epoch in history) / len(history)
    body = [
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(told)}</desc>",
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 22, title, 'class="title"'),
        _text(right, 22, f"{speed:.3g} images per second", 'text-anchor="end"'),
        *_grid(across, up),
        *_stages(history, across),
        *_lines(curves, labels, across, up),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="learning-curve" role="img" '
        f'aria-label="{escape(title)}: {escape(told)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}">\n' + "\n".join(body) + "\n</svg>\n"
    )


def write_curve(path: str | os.PathLike[str], history: Sequence[Mapping[str, Any]]) -> None:
    """Write the learning curve atomically.

    Raises:
        ValueError: As :func:`curve_svg`.
        ZsadError: The file cannot be written.
    """
    write_text(path, curve_svg(history))


def _curves(history: Sequence[Mapping[str, Any]]) -> Iterator[_Curve]:
    for name in dict.fromkeys(name for epoch in history for name in epoch["losses"]):
        runs: dict[int, list[tuple[int, float]]] = {}
        for place, epoch in enumerate(history, start=1):
            value = epoch["losses"].get(name, math.nan)
            if math.isfinite(value):
                runs.setdefault(epoch["stage"], []).append((place, value))
        if runs:
            yield _Curve(name, list(runs.values()))


def _loss_axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    start, end = HEIGHT - _BOTTOM, _TOP
    if low > 0 and high / low > _DECADE:
        return _Axis(low / 1.2, high * 1.2, start, end, logarithmic=True)
    # A line that starts far from 0 would make little of a loss look like much.
    low, high = min(low, 0.0), max(high, 0.0)
    spread = (high - low) or 1.0
    return _Axis(low - 0.05 * spread if low < 0 else 0.0, high + 0.05 * spread, start, end)


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for tick in up.ticks(8):
        y = up(tick)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{across.end:.1f}"/>'
        yield _text(_LEFT - 8, y + 4, f"{tick:.4g}", 'text-anchor="end"')
    for tick in (tick for tick in across.ticks(10) if tick >= 1 and tick == round(tick)):
        yield _text(across(tick), up.start + 18, f"{tick:.0f}", 'text-anchor="middle"')
    middle = (up.start + up.end) / 2
    scale = "loss (logarithmic)" if up.logarithmic else "loss"
    yield _text((across.start + across.end) / 2, HEIGHT - 12, "epoch", 'text-anchor="middle"')
    yield _text(18, middle, scale, f'text-anchor="middle" transform="rotate(-90 18 {middle:.1f})"')


def _stages(history: Sequence[Mapping[str, Any]], across: _Axis) -> Iterator[str]:
    for place, (former, epoch) in enumerate(pairwise(history), start=1):
        if former["stage"] != epoch["stage"]:
            x = across(place + 0.5)
            yield f'<path class="stage" d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>'
            yield _text(x + 4, _TOP + 10, f"stage {epoch['stage']}")


def _lines(curves: Sequence[_Curve], labels: Sequence[str], across: _Axis, up: _Axis) -> Iterator[str]:
    places = _apart([up(curve.points[-1][1]) for curve in curves], up.end, up.start)
    for number, (curve, label, y) in enumerate(zip(curves, labels, places, strict=True)):
        light, dark = _COLOURS[number % len(_COLOURS)]
        dashes = _DASHES[number // len(_COLOURS) % len(_DASHES)]
        yield (
            f'<g class="loss" style="--light:{light};--dark:{dark}" stroke-dasharray="{dashes}">'
            f"<title>{escape(curve.name)}</title>"
        )
        for run in curve.runs:
            drawn = [(across(place), up(value)) for place, value in run]
            yield f'<polyline points="{" ".join(f"{x:.1f},{at:.1f}" for x, at in drawn)}"/>'
            if len(drawn) <= _FEW:
                yield "".join(f'<circle cx="{x:.1f}" cy="{at:.1f}" r="2.5"/>' for x, at in drawn)
        end, last = curve.points[-1]
        yield (
            f'<path class="leader" d="M{across(end) + 5:.1f} {up(last):.1f}L{across.end + 8:.1f} '
            f'{up(last):.1f}L{across.end + 18:.1f} {y:.1f}"/>'
        )
        yield f"{_text(across.end + 22, y + 4, label)}</g>"


def _apart(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Return places near the wanted ones, in the same order, a line apart as far as they fit."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    gap = min(_LINE, (bottom - top) / max(len(wanted) - 1, 1))
    places = [0.0] * len(wanted)
    edge = top
    for number in order:
        places[number] = edge = max(wanted[number], edge)
        edge += gap
    edge = bottom
    for number in reversed(order):
        places[number] = edge = min(places[number], edge)
        edge -= gap
    return places


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " if more else ""}{more}>{escape(text)}</text>'
