"""Which patches show the object: those with a large first principal component."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError, ZsadWarning
from zsad.parts import BuildContext
from zsad.values import Features, Grid
from zsad_plugins.anomaly_dino.options import ForegroundOptions

THRESHOLD = 10.0
"""Of the first component of DINOv2's tokens behind its last norm, in the authors' code."""
DINOV2_PATCH = 14

BORDER, LEAST = 0.2, 0.35
"""Share of each side that is no part of the centre, and share of the centre that the object has to exceed."""


class Foreground:
    """The mask of the patches that count, by the last token set of a batch.

    Raises:
        InputError: The threshold is left to DINOv2's, and the tower is of another kind.
    """

    def __init__(self, options: ForegroundOptions, context: BuildContext) -> None:
        self.active = options.foreground == "first-component"
        self.threshold = THRESHOLD if options.threshold is None else options.threshold
        like_dinov2 = (
            context.text_view is None and context.patch_size == DINOV2_PATCH and context.stage == "ln_post"
        )
        if self.active and options.threshold is None and not like_dinov2:
            raise InputError(
                f"foreground=first-component compares with {THRESHOLD:g}, which is on the scale of DINOv2's "
                "tokens behind its last norm, and this tower is none; use --backbone "
                "timm:vit_small_patch14_dinov2, give a threshold of its own by .threshold=VALUE, or "
                ".foreground=everything"
            )

    def __call__(self, features: Features) -> Tensor | None:
        """Return [B, N] bool, or None where all patches count.

        An image of which no patch would be left counts as a whole, with a warning that names it.
        """
        if not self.active:
            return None
        kept = object_patches(features.patch_sets[-1].tokens, features.grid, self.threshold)
        for place in (~kept.any(1)).nonzero().flatten().tolist():
            name = features.names[place] if features.names else f"image {place + 1} of a batch"
            warnings.warn(
                f"the foreground mask keeps no patch of {name}, so all of them count; a threshold below "
                f"{self.threshold:g} may fit this tower",
                ZsadWarning,
                stacklevel=2,
            )
            kept[place] = True
        return kept


def object_patches(tokens: Tensor, grid: Grid, threshold: float) -> Tensor:
    """Return which patches show the object of each image.

    Where at most 35 % of the centre exceed the threshold, the component is taken the other way round. The
    mask is then dilated and closed by three neighbours along the row-major order of the patches, across the
    ends of rows, as the authors' code does, which hands OpenCV a column.

    Args:
        tokens: [B, h * w, D], not normalised.
        grid: Where they lie.
        threshold: Of the first principal component.

    Returns:
        [B, h * w] bool on the device of ``tokens``.
    """
    component = first_component(tokens).to(tokens)
    kept = component > threshold
    centre = kept.reshape(-1, grid.height, grid.width)[:, _centre(grid.height), _centre(grid.width)]
    turned = centre.float().mean((1, 2)) <= LEAST
    kept = torch.where(turned[:, None], -component > threshold, kept)
    return _erode(_dilate(_dilate(kept.float()))) > 0


def first_component(tokens: Tensor) -> Tensor:
    """Return the first principal component of each image's tokens [B, N, D]: [B, N] float64 on the CPU.

    The entry of largest magnitude of its axis is positive, which is scikit-learn's choice of the sign.
    """
    wide = tokens.cpu().double()
    wide = wide - wide.mean(1, keepdim=True)
    axis: Tensor = torch.linalg.eigh(wide.mT @ wide).eigenvectors[..., -1]
    sign = axis.gather(1, axis.abs().argmax(1, keepdim=True)).sign()
    return (wide @ (axis * sign)[..., None]).squeeze(-1)


def _centre(side: int) -> slice:
    first = int(BORDER * side)
    return slice(first, max(first + 1, int((1 - BORDER) * side)))


def _dilate(masks: Tensor) -> Tensor:
    return F.max_pool1d(masks[:, None], 3, stride=1, padding=1)[:, 0]


def _erode(masks: Tensor) -> Tensor:
    return -_dilate(-masks)
