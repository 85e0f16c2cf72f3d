"""INP-Former's zero-shot mode: prototypes of what is normal, found in the image itself (CVPR 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the scorer and the smoothing behind it."""
    # fmt: off
    yield PartSpec("inp-former.prototypes", "scorer", ".prototypes:IntrinsicPrototypes",
                   "learned queries gather normal prototypes from the image; far from all is anomalous",
                   options=".options:PrototypeOptions", requires={"patch_tokens"},
                   provides={"scores:anomaly"}, learnable=True)
    yield PartSpec("inp-former.smooth", "post_processors", ".smoothing:Smooth",
                   "smooths the map at 256 x 256 pixels, and takes the image score from there",
                   options=".options:SmoothOptions", requires={"anomaly_map"}, provides={"image_score"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the loss that the prototypes learn from."""
    yield LossSpec(
        "inp-coherence", ".losses:coherence", "mean distance of a normal image's patches to the nearest "
        "prototype", masks=False,
    )  # fmt: skip


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the zero-shot mode."""
    yield RecipeSpec("inp-former", ":recipe.yaml", ".convert:convert")
