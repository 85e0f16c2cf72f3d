"""Position embeddings at any grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.recipe.profiles import PositionResize

OFFSET = 0.1
"""How much larger than it is ``bicubic_offset`` takes a grid to be."""


def resize_position_embedding(
    embedding: Tensor, native: tuple[int, int], grid: tuple[int, int], how: PositionResize, leading: int = 1
) -> Tensor:
    """Interpolate a learned position embedding to another patch grid; leading rows are kept.

    Always starts from the loaded embedding. (Published code that overwrites its parameter
    interpolates twice when it meets a second image size.)

    Args:
        embedding: [leading + h0 * w0, D], class token first.
        native: Grid (h0, w0) that the embedding was learned on.
        grid: Grid (h, w) of the image.
        how: Interpolation; align_corners is False throughout. ``bicubic_offset`` is the rule of torch.hub's
            DINOv2 without registers (github.com/facebookresearch/dinov2, ``interpolate_offset``): scale
            factors of (h + 0.1) / h0 and (w + 0.1) / w0 are handed over instead of the size, so that the
            sampling points are those of a slightly larger grid.
        leading: Rows of no patch: 1, or 0 for a tower without a class token.

    Returns:
        [leading + h * w, D] in the dtype of ``embedding``.

    Raises:
        InputError: ``own``, which is for opaque towers.
    """
    if how == "own":
        raise InputError(
            "profile.position_embedding 'own' is for towers that zsad only calls; name an interpolation"
        )
    if grid == native:
        return embedding
    # Half precision would round the interpolation weights; float64 stays float64.
    work = embedding if embedding.dtype == torch.float64 else embedding.float()
    patches = work[leading:].reshape(1, *native, -1).permute(0, 3, 1, 2)
    offset = how == "bicubic_offset"
    factors = tuple((side + OFFSET) / side0 for side, side0 in zip(grid, native, strict=True))
    resized = F.interpolate(
        patches,
        size=None if offset else grid,
        scale_factor=factors if offset else None,
        mode="bilinear" if how == "bilinear" else "bicubic",
        align_corners=False,
        antialias=how == "bicubic_antialias",
    )
    rows = resized.permute(0, 2, 3, 1).reshape(grid[0] * grid[1], -1)
    return torch.cat([work[:leading], rows]).to(embedding.dtype)
