"""What goes into a vision tower when it is made, and what comes out of its passes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from zsad.backbones.attention_pool import AttentionPool
from zsad.backbones.average_pool import AveragePool
from zsad.backbones.block import Block
from zsad.backbones.rotation import Rotary
from zsad.errors import InputError
from zsad.values import TokenSet


@dataclass(frozen=True)
class VisionOutput:
    """What one request gets from a pass.

    Attributes:
        token_sets: In the order of the request.
        image_feature: [B, C] joint feature of the class token or of the pool, not normalised.
    """

    token_sets: tuple[TokenSet, ...]
    image_feature: Tensor


@dataclass(frozen=True)
class VisionWeights:
    """The loaded weights of a tower, shared by the towers of every profile.

    Attributes:
        patch_embedding: Maps [B, 3, H, W] to [B, D, h, w].
        class_embedding: [D], or None for a tower without a class token.
        position_embedding: [1 + h0 * w0, D], or [h0 * w0, D] without a class token; None where positions are
            rotations alone.
        native_grid: (h0, w0).
        ln_pre: Norm before the first block, or identity.
        blocks: The transformer blocks.
        ln_post: Norm after the last block.
        projection: [D, C]; None where the pool leads to the joint space, or where there is no joint space
            beside the tower's own.
        patch_size: Side of a patch in pixels.
        pool: What the image feature is read with where that is not the class token.
        registers: [R, D] tokens without a position between class token and patches, or None.
        rotary: Turns queries and keys of the patches, or None.
    """

    patch_embedding: nn.Module
    class_embedding: Tensor | None
    position_embedding: Tensor | None
    native_grid: tuple[int, int]
    ln_pre: nn.Module
    blocks: tuple[Block, ...]
    ln_post: nn.Module
    projection: Tensor | None
    patch_size: int
    pool: AttentionPool | AveragePool | None = None
    registers: Tensor | None = None
    rotary: Rotary | None = None


def check_side(size: int, patch_size: int) -> None:
    """Raise InputError unless a side of ``size`` pixels is a whole number of patches."""
    if size < patch_size or size % patch_size:
        low = max(patch_size, size - size % patch_size)
        raise InputError(
            f"image size {size} is not a multiple of the backbone's patch size {patch_size}; "
            f"use --image-size {low} or {low + patch_size}"
        )
