"""Generators of synthetic anomalies, for training without annotated ones."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import GeneratorSpec

zsad_api = 1

_HERE = "zsad_plugins.generators"


@hookimpl
def zsad_generators() -> Iterator[GeneratorSpec]:
    """Yield the generators."""
    yield GeneratorSpec(
        name="cutpaste",
        factory=f"{_HERE}.cutpaste:CutPaste",
        options=f"{_HERE}.options:CutPasteOptions",
        summary="a rectangle of the image, its colours changed a little, pasted elsewhere",
    )
    yield GeneratorSpec(
        name="scar",
        factory=f"{_HERE}.cutpaste:Scar",
        options=f"{_HERE}.options:ScarOptions",
        summary="a thin turned strip of the image, its colours changed a little, pasted elsewhere",
    )
    yield GeneratorSpec(
        name="nsa",
        factory=f"{_HERE}.nsa:SeamlessPatches",
        options=f"{_HERE}.options:SeamlessPatchesOptions",
        summary="resized patches of the image, blended in elsewhere without a seam (Poisson)",
    )
    yield GeneratorSpec(
        name="draem",
        factory=f"{_HERE}.draem:Draem",
        options=f"{_HERE}.options:DraemOptions",
        summary="foreign textures mixed into the image where Perlin noise is high",
    )
    yield GeneratorSpec(
        name="feature-noise",
        factory=f"{_HERE}.feature_noise:FeatureNoise",
        options=f"{_HERE}.options:FeatureNoiseOptions",
        summary="Gaussian noise on patch features where Perlin noise is high",
        level="features",
    )
