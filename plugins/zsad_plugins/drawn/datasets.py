"""Read the drawn datasets: samples of what no training has seen, and a set to learn from."""

from __future__ import annotations

from dataclasses import replace

from zsad.data.dataset import Dataset
from zsad_plugins.datasets import manifest
from zsad_plugins.drawn.folders import PROCEDURAL, SAMPLES, DrawnSet, drawn_folder


def read_samples() -> Dataset:
    """Return the samples, drawn on first use into the cache.

    Raises:
        ZsadError: If they cannot be written to the cache.
    """
    return _read(SAMPLES)


def read_procedural() -> Dataset:
    """Return the images to learn from, drawn on first use into the cache.

    Raises:
        ZsadError: If they cannot be written to the cache.
    """
    return _read(PROCEDURAL)


def _read(drawn: DrawnSet) -> Dataset:
    return replace(manifest.read(drawn_folder(drawn)), name=drawn.name, left_out=())
