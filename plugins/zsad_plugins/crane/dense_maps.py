"""Dense maps of another model, on the grid of the CLIP tower: the side input of D-attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zsad.data.preprocess import input_tensor
from zsad.errors import InputError, ZsadError
from zsad.inputs import InputForm
from zsad.parts import BuildContext
from zsad.values import Sample
from zsad_plugins.crane.options import Dinov2Options, StemOptions

if TYPE_CHECKING:
    from zsad.backbones.dinov2 import DinoV2
    from zsad_plugins.mini.stem import ConvolutionalStem

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's normalisation, which the published code undoes before DINOv2."""


class Dinov2Maps:
    """DINOv2's last patch features after its norm, not normalised per patch.

    The images are as many of DINOv2's patches wide as the tower's are of its own, so both have one grid,
    whichever way images are resized. They
    go through CLIP's normalisation and back, as published: the last digits decide which similarities are cut.
    """

    def __init__(self, options: Dinov2Options, context: BuildContext) -> None:
        self.model, self.device = _dinov2(options.model, context.device), context.device
        side = context.image_size // context.patch_size * self.model.patch_size
        self.form = InputForm(side, CLIP_MEAN, CLIP_STD, context.image_resize)

    @torch.no_grad()
    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return ``dinov2`` [B, h, w, D] float32."""
        from zsad.backbones.dinov2 import imagenet_from_clip

        pixels = input_tensor(samples, self.form, self.model.patch_size).to(self.device)
        return {"dinov2": self.model.patch_tokens(imagenet_from_clip(pixels, CLIP_MEAN, CLIP_STD))}


class StemMaps:
    """Features of ``mini``'s frozen convolutional stem, for where no DINOv2 is at hand."""

    def __init__(self, options: StemOptions, context: BuildContext) -> None:
        from zsad_plugins.mini.stem import MEAN, STD, STRIDE

        self.stem, self.centre, self.device = _stem(context.device), options.centre, context.device
        side, self.stride = context.image_size // context.patch_size * STRIDE, STRIDE
        self.form = InputForm(side, MEAN, STD, context.image_resize)

    @torch.no_grad()
    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return ``stem`` [B, h, w, D] float32."""
        pixels = input_tensor(samples, self.form, self.stride).to(self.device)
        maps = self.stem(pixels).permute(0, 2, 3, 1)
        return {"stem": maps - maps.mean((1, 2), keepdim=True) if self.centre else maps}


@lru_cache(maxsize=2)
def _dinov2(model: str, device: torch.device) -> DinoV2:
    """Load a DINOv2 in float32, as published; detectors of one process share it.

    Raises:
        InputError: No such model, or not a DINOv2.
        ZsadError: The hub cannot be reached.
    """
    from zsad.backbones.dinov2_loading import load_dinov2  # transformers takes seconds to import

    try:
        return load_dinov2(model, device)
    except InputError:
        raise
    except ZsadError as error:
        mend = "--set auxiliary.dinov2.model=FOLDER takes it, and crane-plus@stem does without"
        raise ZsadError(f"{error} ({mend})") from error


@lru_cache(maxsize=2)
def _stem(device: torch.device) -> ConvolutionalStem:
    from zsad_plugins.mini.backbone import read_mini

    return read_mini()[0].stem.to(device)
