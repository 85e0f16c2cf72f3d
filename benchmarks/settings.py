"""What the GPU script runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Settings:
    """What is run; the defaults are those of a GPU.

    Attributes:
        device: ``cuda``, ``cuda:1``, ``cpu`` or ``auto``.
        backbone: Large backbone that is timed, with random weights.
        image_size: Its side of the square input in pixels.
        small_size: Side for the default backbone, whose numbers are compared; 0 for its own.
        images: Largest batch.
        repeats: Timed rounds, of which the median counts.
        timed: Methods that are timed.
        methods: Methods whose numbers are compared; empty for all.
        goldens: Files of tests/parity that run, separated by commas; empty for all.
        epochs: Of the training that is killed and resumed.
    """

    device: str = "auto"
    backbone: str = "ViT-L-14-336@random:0"
    image_size: int = 518
    small_size: int = 0
    images: int = 8
    repeats: int = 5
    timed: str = "clip-baseline,anomalyclip,cops,crane,aprilgan"
    methods: str = ""
    goldens: str = ""
    epochs: int = 2


QUICK = Settings(
    backbone=f"{ROOT / 'tests' / 'assets' / 'tiny-clip.json'}@random:0",
    image_size=64,
    small_size=160,
    images=3,
    repeats=1,
    methods="clip-baseline,anomalyclip",
    goldens="test_clip_plain.py",
)
"""A few minutes' run on a CPU: it shows that every section works, and times nothing worth knowing."""
