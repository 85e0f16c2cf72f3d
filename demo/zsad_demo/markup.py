"""The few pieces of HTML that Gradio has no component for; every text in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from zsad.detect.provenance import DetectorInfo, decision
from zsad.recipe.recipes import Display
from zsad_demo.answers import Answer
from zsad_demo.drawing import css_difference_gradient, css_gradient
from zsad_demo.vocabulary import UnknownWord

CSS = """
.zsad-score { font-size: 2.2rem; font-weight: 600; line-height: 1.1; }
.zsad-note { color: var(--body-text-color-subdued); }
.zsad-facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .75rem 0 0; }
.zsad-facts dt { color: var(--body-text-color-subdued); }
.zsad-facts dd { margin: 0; overflow-wrap: anywhere; }
.zsad-bar { height: .9rem; border-radius: 3px; border: 1px solid var(--border-color-primary); }
.zsad-ticks { display: flex; justify-content: space-between; gap: 1rem; font-size: .8rem;
  color: var(--body-text-color-subdued); }
.zsad-curve { max-width: 26rem; width: 100%; height: auto; color: var(--body-text-color); }
.zsad-limited img { max-height: 26rem; object-fit: contain; }
.zsad-gallery { min-height: 0 !important; }
.zsad-gallery .grid-wrap { min-height: 0 !important; max-height: none !important; }
.zsad-gallery .caption-label { max-width: 100%; right: 0; bottom: 0; }
progress { accent-color: var(--color-accent); width: 100%; }
.zsad-head h1 { font-size: 1.6rem; margin: 0; }
.zsad-head p { margin: .25rem 0 0; }
@media (max-width: 640px) {
  .zsad-facts { grid-template-columns: 1fr; gap: 0; }
  .zsad-facts dd { margin-bottom: .5rem; }
  .zsad-gallery .grid-container { grid-template-columns: 1fr 1fr !important; }
}
"""


def head(logout: bool = False) -> str:
    """Return the page's heading.

    Args:
        logout: Whether there is a login to leave.
    """
    leave = '<form method="post" action="logout"><button>Log out</button></form>' if logout else ""
    return (
        '<header class="zsad-head"><h1>zsad</h1><p class="zsad-note">Zero-shot anomaly detection: name the '
        f"object, and see where it looks damaged.</p>{leave}</header>"
    )


def unknown(words: Sequence[UnknownWord]) -> str:
    """Return which words the backbone does not know and reads as others or not at all, or nothing."""
    read = [f"The backbone does not know '{word}'; it reads '{known}'." for word, known in words if known]
    ignored = ", ".join(f"'{word}'" for word, known in words if not known)
    if ignored:
        read.append(f"The backbone does not know {ignored}: such words say nothing to it. Use other words.")
    return note(" ".join(read)) if read else ""


def colour_bar(display: Display, name: str = "anomaly map") -> str:
    """Return the fixed colour scale of a map."""
    return _bar(css_gradient(), display.low, display.high, name)


def difference_bar(first: str, second: str) -> str:
    """Return the colour scale of a difference of two methods."""
    ends = f"{escape(second)} higher (−1)", "equal", f"{escape(first)} higher (+1)"
    ticks = "".join(f"<span>{end}</span>" for end in ends)
    return (
        f'<div role="img" aria-label="colour scale of the difference from -1 to 1"><div class="zsad-bar" '
        f'style="background: {css_difference_gradient()}"></div><div class="zsad-ticks">{ticks}</div></div>'
    )


def _bar(gradient: str, low: float, high: float, name: str) -> str:
    values = (low, low + (high - low) / 4, (low + high) / 2, low + 3 * (high - low) / 4, high)
    ticks = "".join(f"<span>{value:g}</span>" for value in values)
    label = escape(f"fixed colour scale of the {name} from {low:g} to {high:g}", quote=True)
    return (
        f'<div role="img" aria-label="{label}"><div class="zsad-bar" style="background: {gradient}"></div>'
        f'<div class="zsad-ticks">{ticks}</div></div>'
    )


def summary(answer: Answer, passes: int, seconds: float) -> str:
    """Return an answer's score and what stands behind it.

    Args:
        answer: The answer.
        passes: Passes through the backbone that it took.
        seconds: What these took.
    """
    took = (
        f"{1000 * seconds:.0f} ms for {passes} backbone pass{'es' * (passes != 1)}, "
        f"{1000 * answer.seconds:.0f} ms for the method"
    )
    listed = definitions(standing(answer.info, answer.trace) | {"Took": took})
    return (
        f'<div><span class="zsad-score">{answer.score:.4f}</span> <span class="zsad-note">image score; '
        f"higher is more anomalous; {escape(decision(answer.score, None))}</span></div>{listed}"
    )


def standing(info: DetectorInfo, trace: Sequence[str] = ()) -> dict[str, str]:
    """Return what stands behind an answer, by its name for people.

    Args:
        info: What is known of the detector.
        trace: Which stages set the image score.
    """
    learned = "; ".join(
        f"{part} ({found.origin}), trained on {found.trained_on}"
        for part, found in info.weights.parts.items()
    )
    return {
        "Method": f"{info.method} at {info.image_size} px, recipe {info.recipe_hash}",
        "Setting": info.setting,
        "Fidelity": info.fidelity,
        "Score from": ", ".join(trace),
        "Backbone": f"{info.backbone.name}, trained on {info.backbone.trained_on}",
        "Weights": learned or "nothing learned",
    }


def definitions(entries: Mapping[str, str]) -> str:
    """Return named texts as a definition list, without those that are empty."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items() if text
    )
    return f'<dl class="zsad-facts">{rows}</dl>'


def note(text: str) -> str:
    """Return a sentence in a quieter colour."""
    return f'<p class="zsad-note">{escape(text)}</p>'


def curve(title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw curves over the unit square, told apart by colour and dashes.

    Args:
        title: What they are, also for screen readers.
        across: Name of the horizontal axis.
        up: Name of the vertical axis.
        lines: Points (x, y) in 0..1 by name.
    """
    side, left, bottom = 300, 44, 40
    styles = [("#0072b2", ""), ("#d55e00", "7 3"), ("#009e73", "2 3"), ("#cc79a7", "9 3 2 3")]
    drawn, legend = [], []
    for place, (name, points) in enumerate(lines.items()):
        colour, dashes = styles[place % len(styles)]
        path = " ".join(f"{left + side * x:.1f},{side * (1 - y) + 8:.1f}" for x, y in points)
        stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}" fill="none"'
        drawn.append(f'<polyline points="{path}" {stroke}/>')
        at = side + bottom + 12 + 18 * place
        legend.append(
            f'<line x1="{left}" x2="{left + 26}" y1="{at}" y2="{at}" {stroke}/>'
            f'<text x="{left + 34}" y="{at + 4}">{escape(name)}</text>'
        )
    ticks = "".join(
        f'<text x="{left + side * value}" y="{side + 24}" text-anchor="middle">{value:g}</text>'
        f'<text x="{left - 6}" y="{side * (1 - value) + 12}" text-anchor="end">{value:g}</text>'
        for value in (0, 0.5, 1)
    )
    height = side + bottom + 18 * len(lines) + 8
    return (
        f'<svg class="zsad-curve" role="img" aria-label="{escape(title, quote=True)}" '
        f'viewBox="0 0 {left + side + 16} {height}" font-size="12" fill="currentColor">'
        f'<rect x="{left}" y="8" width="{side}" height="{side}" fill="none" stroke="currentColor" '
        f'stroke-opacity=".4"/>{ticks}'
        f'<text x="{left + side / 2}" y="{side + 38}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="12" y="{side / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {side / 2})">{escape(up)}</text>{"".join(drawn)}{"".join(legend)}</svg>'
    )
