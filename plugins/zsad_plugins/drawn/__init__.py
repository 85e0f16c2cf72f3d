"""Drawn images: samples to try things out, a set to learn from, and drawn defects for normal photographs."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import DatasetSpec, GeneratorSpec

zsad_api = 1


@hookimpl
def zsad_datasets() -> Iterator[DatasetSpec]:
    """Yield the drawn datasets."""
    # fmt: off
    yield DatasetSpec("samples", ".datasets:read_samples",
                      "drawn images of objects and defects that no training here has seen; needs no path",
                      example=True)
    yield DatasetSpec("procedural", ".datasets:read_procedural",
                      "drawn images of the objects and defects that mini was trained on, to learn from; "
                      "needs no path")
    # fmt: on


@hookimpl
def zsad_generators() -> Iterator[GeneratorSpec]:
    """Yield the painter of drawn defects."""
    # fmt: off
    yield GeneratorSpec("procedural", ".painting:PaintedDefects",
                        "scratches, cracks, stains, dents and other drawn defects painted on the image",
                        options=".options:PaintedDefectsOptions")
    # fmt: on
