"""Options of Crane's parts; the prompt learner has AnomalyCLIP's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue

Place = Literal["pad_suffix", "pad_prefix", "replace_suffix", "replace_prefix"]
"""Behind or before the context, or in place of the last or first context token."""


class Dinov2Options(Options):
    """Options of ``crane.dinov2``."""

    model: str = Field("facebook/dinov2-with-registers-base", min_length=1)
    """Hub name, folder, or file under the official key names."""


class StemOptions(Options):
    """Options of ``crane.stem``."""

    centre: bool = True
    """Subtract an image's mean feature, which all its patches share and which hides their differences."""


class EAttentionOptions(Options):
    """Options of ``crane.e_attn``."""

    pairs: tuple[Literal["qq", "kk", "vv"], ...] = Field(("qq", "kk", "vv"), min_length=1)
    """Projections whose self-similarities are summed (not averaged)."""
    start: DepthValue = Depth(fraction="1/4", at={24: 6})
    """First refined block; the published "20 layers" are the last 19 of 24."""
    aliased: bool = True
    """Read the stream at its end whatever the tap, as the published code does; false reads it at the tap."""


class DAttentionOptions(EAttentionOptions):
    """Options of ``crane.d_attn``."""

    maps: str = Field("dinov2", min_length=1)
    """Side input whose similarities weigh the values: ``dinov2``, ``stem``, or another part's maps."""
    scale: float = Field(3.0, gt=0)
    """Factor of the similarities before the softmax."""
    margin: float = Field(1.2, gt=0)
    """Similarities below this multiple of their mean get no weight."""
    over_batch: bool = False
    """Take that mean over the whole batch, as the published code does, instead of over each image."""
    values_from: Literal["attention", "input"] = "attention"
    """State that the values come from: after the block's attention (published code), or its input."""
    first_block: Literal["local", "same"] = "local"
    """At block ``start`` the published code takes the values from E-attention's stream; ``same`` does not."""


class ImageTokenOptions(Options):
    """Options of ``crane.image_token``."""

    place: Place = "pad_suffix"
    """Insert the token behind or before the context, or let it replace the last or first context token."""


class LocalToGlobalOptions(Options):
    """Options of ``crane.local_to_global``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines of patches and image."""
    share: float = Field(0.5, ge=0, le=1)
    """Share of the pooled patch features in the image feature; 0 leaves them out."""


class FuseOptions(Options):
    """Options of ``crane.fuse``."""

    soft_mean: bool = True
    """Mean of the token sets' probabilities; false takes the probability of their mean logits."""
