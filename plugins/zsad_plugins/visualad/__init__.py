"""VisualAD: two learned tokens in a frozen vision tower, without text (CVPR 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the tokens, the layers behind the taps and the scorer."""
    # fmt: off
    yield PartSpec("visualad.tokens", "attention_refiner", ".tokens:StateTokens",
                   "a learned normal and a learned anomaly token that pass the tower beside the class token",
                   requires={"cls_token", "streams"}, provides={"patch_tokens", "injected_tokens"},
                   learnable=True)
    yield PartSpec("visualad.alignment", "feature_adapter", ".alignment:Alignment",
                   "per tap: the injected tokens look at the patches, and the patches pass a small MLP",
                   options=".options:AlignmentOptions",
                   requires={"tokens:raw", "injected_tokens", "square_input"}, learnable=True)
    yield PartSpec("visualad.contrast", "scorer", ".contrast:Contrast",
                   "a patch's cosine with the anomaly token less that with the normal one, without text",
                   requires={"patch_tokens", "injected_tokens"}, provides={"scores:anomaly"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the losses of scores without text."""
    # fmt: off
    yield LossSpec("visualad-maps", ".losses:maps", "focal and dice loss of every tap's contrast map")
    yield LossSpec("visualad-image", ".losses:image",
                   "binary cross entropy of the mean of the largest pixels of the summed map",
                   options=".options:ImageLossOptions", masks=False)
    yield LossSpec("visualad-contrast", ".losses:contrast",
                   "hinge that keeps the two tokens of the last tap apart",
                   options=".options:HingeOptions", masks=False)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method on CLIP."""
    yield RecipeSpec("visualad", ":recipe.yaml", ".convert:convert")
