"""E-attention and D-attention (the paper's attention refinement; the published code decides the numbers).

E_l = E_(l-1) + OutProj_l((softmax(q q^T) + softmax(k k^T) + softmax(v v^T)) v), from the ordinary stream.
D_l = OutProj_l(W v), with W from the similarities of another model's patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.streams import BlockState, SelfAttention, Stream, TokenRequest, VisionRequest
from zsad.values import Grid
from zsad_plugins.crane.options import DAttentionOptions, EAttentionOptions


def foreign_weights(features: Tensor, scale: float, margin: float, *, over_batch: bool) -> Tensor:
    """Return W = softmax(scale (S - margin mean(S))), in which logits below 0 get no weight.

    A patch's similarity with itself is never cut. So rows stay finite where the mean exceeds 1 / margin;
    elsewhere the published code keeps it as well.

    Args:
        features: [B, N, D] of the other model's patches; S holds their cosines.
        scale: Factor.
        margin: Multiple of the mean.
        over_batch: Take the mean over all images of the batch instead of each image's own.

    Returns:
        [B, N, N], rows sum to 1.
    """
    features = F.normalize(features, dim=-1)
    similarity = features @ features.transpose(1, 2)
    mean = similarity.mean() if over_batch else similarity.mean((1, 2), keepdim=True)
    logits = (similarity - mean * margin) * scale
    own = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    return torch.softmax(logits.masked_fill((logits < 0) & ~own, -torch.inf), dim=-1)


@dataclass(frozen=True)
class DAttention:
    """The term D_l, without residual and MLP.

    Attributes:
        maps: Side input [B, h, w, D] that the weights come from.
        scale: See :func:`foreign_weights`.
        margin: See :func:`foreign_weights`.
        over_batch: See :func:`foreign_weights`.
        values_from: The ordinary stream after ``attention``, the block's ``input``, or the ``local`` stream
            of the given pairs, which starts in this block.
        pairs: See :class:`SelfAttention`.
    """

    maps: str
    scale: float
    margin: float
    over_batch: bool
    values_from: Literal["attention", "input", "local"]
    pairs: tuple[str, ...]

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, N, D], patches only."""
        block, patches = state.block, state.grid.count
        # Places behind the patches hold injected tokens.
        values = block.v_proj(block.ln_1(self._source(state)))[:, state.leading : state.leading + patches]
        features = on_grid(state.auxiliary[self.maps], state.grid).flatten(1, 2)
        weights = foreign_weights(features, self.scale, self.margin, over_batch=self.over_batch)
        # The weights are those of every head, so that heads need not be told apart.
        mixed: Tensor = block.out_proj(weights.to(values.dtype) @ values)
        return mixed

    def _source(self, state: BlockState) -> Tensor:
        if self.values_from == "local":
            return state.input + SelfAttention(self.pairs)(state)
        return state.after_attention if self.values_from == "attention" else state.input


def on_grid(maps: Tensor, grid: Grid) -> Tensor:
    """Resize maps [B, h0, w0, D] to the tower's grid, [B, h, w, D], where they are not on it."""
    size = (grid.height, grid.width)
    if maps.shape[1:3] == size:
        return maps
    moved = F.interpolate(maps.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
    return moved.permute(0, 2, 3, 1)


def e_set(options: EAttentionOptions, context: BuildContext, tap: int) -> TokenRequest:
    """Return the E-attention set of a tap."""
    stream = Stream(options.start.resolve(context.depth), SelfAttention(options.pairs))
    # Published code stores the stream itself, to which later blocks go on adding: every tap is its end.
    block = context.depth if options.aliased else tap
    return TokenRequest(f"e.{tap}", block, stream, stage=context.stage)


def d_set(options: DAttentionOptions, context: BuildContext, tap: int) -> TokenRequest:
    """Return the D-attention set of a tap."""
    local = options.first_block == "local" and tap == options.start.resolve(context.depth)
    source = "local" if local else options.values_from
    term = DAttention(options.maps, options.scale, options.margin, options.over_batch, source, options.pairs)
    stream = Stream(1, term, cumulative=False, class_token=False)
    return TokenRequest(f"d.{tap}", tap, stream, stage=context.stage)


def e_attention(options: EAttentionOptions, context: BuildContext) -> VisionRequest:
    """Read E at every tap."""
    return VisionRequest(tuple(e_set(options, context, tap) for tap in context.taps))


def d_attention(options: DAttentionOptions, context: BuildContext) -> VisionRequest:
    """Read D and E at every tap, D first."""
    pairs = ((d_set(options, context, tap), e_set(options, context, tap)) for tap in context.taps)
    return VisionRequest(tuple(chain.from_iterable(pairs)))
