"""A zsad plugin with one part."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the part ``invert.invert``."""
    # fmt: off
    yield PartSpec("invert.invert", "post_processors", ".part:Invert",
                   "Turns the anomaly map upside down: what was normal becomes anomalous.",
                   options=".options:InvertOptions", requires={"anomaly_map"})
    # fmt: on
