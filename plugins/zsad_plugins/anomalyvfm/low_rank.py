"""The vision tower with low-rank updates of its queries, values and output projections, in every block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.streams import BlockEdit, BlockState, Injection, VisionRequest, tap_requests
from zsad.values import Features
from zsad_plugins.anomalyvfm.options import LowRankOptions


class LowRank(nn.Module):
    """V = W + s B A in the place of a frozen W; with magnitudes, row i is m_i V_i / |V_i| (DoRA, eq. 5).

    Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", ICML 2024. The bias stays.

    Attributes:
        down: A, [r, D].
        up: B, [D, r]; starts at 0.
        magnitude: m, [D], or None. It starts at 1, because the part does not see W when it is built.
    """

    def __init__(self, options: LowRankOptions, width: int) -> None:
        super().__init__()
        self.scale = options.scale
        self.down = nn.Parameter(torch.randn(options.rank, width) * width**-0.5)
        self.up = nn.Parameter(torch.zeros(width, options.rank))
        self.magnitude = nn.Parameter(torch.ones(width)) if options.magnitude else None

    def forward(self, x: Tensor, layer: nn.Linear) -> Tensor:
        """Return [..., D] for [..., D] and the frozen layer, in the layer's precision."""
        precision = torch.promote_types(layer.weight.dtype, torch.float32)
        weight = layer.weight.to(precision) + self.scale * (self.up @ self.down).to(precision)
        if self.magnitude is not None:
            length = weight.norm(dim=1).clamp_min(torch.finfo(precision).tiny)
            weight = weight * (self.magnitude.to(precision) / length)[:, None]
        return F.linear(x, weight.to(x.dtype), layer.bias)


class BlockUpdates(nn.Module):
    """The updates of one block: of queries, values and the output projection; keys stay."""

    def __init__(self, options: LowRankOptions, width: int) -> None:
        super().__init__()
        self.q_proj, self.v_proj, self.out_proj = (LowRank(options, width) for _ in range(3))


@dataclass(frozen=True)
class Updated:
    """A block whose attention runs with the updates."""

    updates: BlockUpdates

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, T, D]."""
        block, updates = state.block, self.updates
        normed = block.ln_1(state.input)
        q = state.turn(block.split(updates.q_proj(normed, block.q_proj)))
        k = state.turn(block.split(block.k_proj(normed)))
        v = block.split(updates.v_proj(normed, block.v_proj))
        heads = F.scaled_dot_product_attention(q, k, v)
        attended: Tensor = state.input + updates.out_proj(block.merge(heads), block.out_proj)
        return attended + block.mlp(block.ln_2(attended))


class LowRankBlocks(nn.Module):
    """Updates every block of the pass and reads the taps of the updated stream.

    Attributes:
        blocks: The updates, from the first block on.
    """

    needs_prepass = False

    def __init__(self, options: LowRankOptions, context: BuildContext) -> None:
        super().__init__()
        width = context.vision_width
        self.blocks = nn.ModuleList(BlockUpdates(options, width) for _ in range(context.depth))
        self._request = VisionRequest(tap_requests(context.taps, context.stage, name="updated"))

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream, as updated."""
        return self._request

    def inject(self, prepass: Features | None) -> Injection:
        """Return the updates, which are the same for every image."""
        edits: dict[int, BlockEdit] = {}
        for number, updates in enumerate(self.blocks, start=1):
            assert isinstance(updates, BlockUpdates)
            edits[number] = Updated(updates)
        return Injection(edits=edits)
