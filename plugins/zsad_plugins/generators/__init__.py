"""Generators of synthetic anomalies, for training without annotated ones."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import GeneratorSpec

zsad_api = 1


@hookimpl
def zsad_generators() -> Iterator[GeneratorSpec]:
    """Yield the generators."""
    # fmt: off
    yield GeneratorSpec("cutpaste", ".cutpaste:CutPaste",
                        "a rectangle of the image, its colours changed a little, pasted elsewhere",
                        options=".options:CutPasteOptions")
    yield GeneratorSpec("scar", ".cutpaste:Scar",
                        "a thin turned strip of the image, its colours changed a little, pasted elsewhere",
                        options=".options:ScarOptions")
    yield GeneratorSpec("nsa", ".nsa:SeamlessPatches",
                        "resized patches of the image, blended in elsewhere without a seam (Poisson)",
                        options=".options:SeamlessPatchesOptions")
    yield GeneratorSpec("draem", ".draem:Draem",
                        "foreign textures mixed into the image where Perlin noise is high",
                        options=".options:DraemOptions")
    yield GeneratorSpec("feature-noise", ".feature_noise:FeatureNoise",
                        "Gaussian noise on patch features where Perlin noise is high",
                        options=".options:FeatureNoiseOptions", level="features")
    # fmt: on
