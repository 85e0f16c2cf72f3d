"""A zsad plugin with one part."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the part ``invert.invert``."""
    yield PartSpec(
        name="invert.invert",
        kind="post_processors",
        factory="zsad_invert.part:build",
        options="zsad_invert.options:InvertOptions",
        requires=frozenset({"anomaly_map"}),
        summary="Turns the anomaly map upside down: what was normal becomes anomalous.",
    )
