"""Measure ``mini`` on what it never saw: ``python -m tools.train_mini.figures``.

Prints one table for the shipped backbone and its untrained control: detection by three methods on drawn
images of trained and of held-out families, and naming by words with the figure that guessing would give.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tools.train_mini.measure import Example, detection, drawn_examples, naming, words_choose
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad_plugins.drawn.procedural import HELD_OUT_DEFECTS, HELD_OUT_FAMILIES

METHODS = ("clip-baseline", "winclip", "anomalyclip")
BACKBONES = ("mini", "mini-random")
OF_SCRATCHES_AND_STAINS = (
    "metal_sheet",
    "leather",
    "pill",
    "bracket",
    "circuit_board",
    "smooth_surface",
)
"""Trained families on which words are tried."""
SEED = 1_000_003
"""No pool is drawn from this one, so that no training image comes again."""


def held_out_sets(count: int, seed: int) -> dict[str, list[Example]]:
    """Return drawn images by title: of trained families, of held-out ones, and with held-out defects too."""
    return {
        "trained families": drawn_examples(count, seed),
        "held-out families": drawn_examples(count, seed, families=HELD_OUT_FAMILIES),
        "held-out families and defects": drawn_examples(count, seed, HELD_OUT_FAMILIES, HELD_OUT_DEFECTS),
    }


def figures_of(
    backbone: ClipBackbone,
    count: int,
    seed: int,
    methods: Sequence[str] = METHODS,
    *,
    untrained: bool = False,
) -> dict[str, dict[str, float | None]]:
    """Return figures by the title of a set, and within it by name.

    Args:
        backbone: What is measured.
        count: Images of each set.
        seed: Seed of the images.
        methods: Methods to detect with.
        untrained: Take learned parts as they are drawn.
    """
    found: dict[str, dict[str, float | None]] = {}
    words = {"trained families": OF_SCRATCHES_AND_STAINS, "held-out families": HELD_OUT_FAMILIES}
    for title, examples in held_out_sets(count, seed).items():
        figures: dict[str, float | None] = {}
        for method in methods:
            result = detection(backbone, method, examples, untrained=untrained)
            figures |= {f"{method} {name}": value for name, value in result.items()}
        if title in words:
            figures |= naming(backbone, examples)
            figures |= words_choose(backbone, count, seed, words[title])
        found[title] = figures
    return found


def table(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return a Markdown table of figures by backbone, set and name."""
    backbones = list(figures)
    lines = [["set", "figure", *backbones], ["---", "---", *["---:"] * len(backbones)]]
    for title, named in figures[backbones[0]].items():
        for name in named:
            values = [figures[backbone][title][name] for backbone in backbones]
            lines.append([title, name, *("" if value is None else f"{value:.3f}" for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(given: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tools.train_mini.figures", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="images of each set")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the images")
    parser.add_argument("--threads", type=int, default=2, help="threads on a CPU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(given)
    torch.set_num_threads(options.threads)
    figures = {
        name: figures_of(
            load_backbone(name, "cpu", "float32"), options.count, options.seed, untrained=name != "mini"
        )
        for name in BACKBONES
    }
    print(json.dumps(figures, indent=1) if options.json else table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
