"""Images to try without having any: a few of zsad's drawn samples."""

from __future__ import annotations

import csv
from pathlib import Path

from zsad_plugins.drawn.folders import MANIFEST, SAMPLES, drawn_folder

FAMILIES = 3


def examples() -> list[tuple[Path, str]]:
    """Return an anomalous and a normal image of a few families, with their object nouns."""
    folder = drawn_folder(SAMPLES)
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        first.setdefault((row["class_name"], row["label"]), row)
    families = sorted({name for name, _ in first})[:FAMILIES]
    chosen = [first[family, label] for family in families for label in ("1", "0")]
    return [(folder / row["image"], row["noun"]) for row in chosen]
