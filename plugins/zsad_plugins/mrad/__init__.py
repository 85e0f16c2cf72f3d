"""MRAD: a memory of an annotated auxiliary set that votes on patches and images (Xu et al., ICLR 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield neighbourhoods, both memories and the image score."""
    # fmt: off
    yield PartSpec("mrad.neighbours", "feature_adapter", ".neighbours:NeighbourMean",
                   "every patch token becomes the mean of its box averages of several sizes",
                   options=".options:NeighbourOptions", requires={"patch_tokens"})
    yield PartSpec("mrad.memory", "scorer", ".memory:Memory",
                   "states of remembered patches and images, weighted by a softmax of similarities",
                   options=".options:MemoryOptions", requires={"patch_tokens"},
                   provides={"scores:probabilities", "image_score"}, learnable=True)
    yield PartSpec("mrad.projected", "scorer", ".projected:ProjectedMemory",
                   "mrad.memory with learned linear maps of queries and keys",
                   options=".options:ProjectedOptions", requires={"patch_tokens"},
                   provides={"scores:probabilities", "image_score"}, learnable=True)
    yield PartSpec("mrad.image_score", "post_processors", ".image_score:ImageScore",
                   "mixes the image score with the mean of the map's largest pixels",
                   options=".options:ImageScoreOptions", requires={"anomaly_map", "image_score"},
                   provides={"image_score"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the loss of the image memory."""
    yield LossSpec("mrad-image", ".losses:image", "cross entropy of the image memory's probabilities",
                   options=".options:ImageLossOptions", masks=False)  # fmt: skip


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the training-free and the fine-tuned method."""
    banks = ("image memory", "patch memory")
    yield RecipeSpec("mrad", ":recipe.yaml", ".convert:convert", checkpoint=banks)
    yield RecipeSpec("mrad@ft", ":finetuned.yaml", ".convert:convert_finetuned",
                     checkpoint=("linear maps", *banks))  # fmt: skip
