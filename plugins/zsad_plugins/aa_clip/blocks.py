"""The vision tower with adapters in its first blocks, or, while the text side learns, with v-v attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.streams import BlockEdit, BlockState, Injection, VisionRequest, tap_requests
from zsad.values import Features
from zsad_plugins.aa_clip.options import BlockOptions
from zsad_plugins.aa_clip.residual import ResidualAdapter


@dataclass(frozen=True)
class Adapted:
    """Passes a block's output through an adapter."""

    adapter: ResidualAdapter

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, T, D]."""
        found: Tensor = self.adapter(state.output)
        return found


@dataclass(frozen=True)
class ValueAttention:
    """Puts softmax(v v^T / sqrt(d)) v in the place of a block's attention; residuals and MLP stay.

    Attributes:
        over_batch: Attend over the images of the batch at each place, instead of over the places of an image.
    """

    over_batch: bool

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, T, D]."""
        block = state.block
        if self.over_batch:
            values = block.split(block.v_proj(block.ln_1(state.input))).transpose(0, 2)  # [T, heads, B, d]
            heads = F.scaled_dot_product_attention(values, values, values).transpose(0, 2)
        else:
            heads = state.attend("vv")
        attended = state.input + state.project(heads)
        return attended + block.mlp(block.ln_2(attended))


class AdaptedBlocks(nn.Module):
    """Edits blocks of the pass and reads the taps of the edited stream.

    Attributes:
        adapters: One per adapted block, from the first on.
        needs_prepass: Whether a plain pass has to come first: its image feature guides the text side.
    """

    def __init__(self, options: BlockOptions, context: BuildContext) -> None:
        super().__init__()
        count = options.blocks.resolve(context.depth)
        self.adapters = nn.ModuleList(
            ResidualAdapter(context.vision_width, options.weight) for _ in range(count)
        )
        self.needs_prepass = options.attention != "adapted"
        stage = "joint" if self.needs_prepass else context.stage
        self._request = VisionRequest(tap_requests(context.taps, stage, name="adapted"))
        self._attended = range(options.start.resolve(context.depth), context.depth + 1)
        self._over_batch = options.over_batch

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream, as edited."""
        return self._request

    def inject(self, prepass: Features | None) -> Injection:
        """Return the edits, which are the same for every image."""
        if self.needs_prepass:
            attention = ValueAttention(self._over_batch)
            return Injection(edits=dict.fromkeys(self._attended, attention))
        edits: dict[int, BlockEdit] = {}
        for number, adapter in enumerate(self.adapters, start=1):
            assert isinstance(adapter, ResidualAdapter)
            edits[number] = Adapted(adapter)
        return Injection(edits=edits)
