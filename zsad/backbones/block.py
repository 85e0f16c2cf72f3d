"""A transformer block over weights that are loaded already: plain Linears, fused attention, no hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.rotation import Rotation
from zsad.errors import InputError
from zsad.recipe.profiles import Activation
from zsad.streams import BlockEdit
from zsad.values import Grid


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x * sigmoid(1.702 x)``, the activation of OpenAI's CLIP."""
    return x * torch.sigmoid(1.702 * x)


def swiglu(x: Tensor) -> Tensor:
    """Return ``silu(a) * b`` for x = [a, b] in its last dimension: half as many channels."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "swiglu": swiglu,
}


class Block(nn.Module):
    """Pre-LN residual attention block with separate projections, so that adapters have names to target.

    Attributes:
        heads: Number of attention heads.
        activation: Activation of the MLP.
    """

    def __init__(
        self,
        *,
        ln_1: nn.LayerNorm,
        q_proj: nn.Linear,
        k_proj: nn.Linear,
        v_proj: nn.Linear,
        out_proj: nn.Linear,
        ln_2: nn.LayerNorm,
        fc1: nn.Linear,
        fc2: nn.Linear,
        heads: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = ln_1, ln_2
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = q_proj, k_proj, v_proj, out_proj
        self.fc1, self.fc2 = fc1, fc2
        self.heads = heads
        self.activation = activation

    def with_activation(self, activation: Activation) -> Block:
        """Return a block over the same parameters with another activation.

        Raises:
            InputError: Its weights do not fit the activation.
        """
        if activation not in ACTIVATIONS or (
            "swiglu" in (activation, self.activation) and activation != self.activation
        ):
            raise InputError(
                f"profile.activation '{activation}' does not fit this backbone, whose blocks have "
                f"'{self.activation}'; leave it out"
            )
        return Block(
            ln_1=self.ln_1, q_proj=self.q_proj, k_proj=self.k_proj, v_proj=self.v_proj,
            out_proj=self.out_proj, ln_2=self.ln_2, fc1=self.fc1, fc2=self.fc2,
            heads=self.heads, activation=activation,
        )  # fmt: skip

    def split(self, x: Tensor) -> Tensor:
        """Split [B, T, D] into heads [B, heads, T, D / heads]."""
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        """Join heads [B, heads, T, d] to [B, T, heads * d]."""
        return x.transpose(1, 2).flatten(-2)

    def mlp(self, x: Tensor) -> Tensor:
        """Return the MLP's output for [B, T, D], without the residual."""
        return self.fc2(ACTIVATIONS[self.activation](self.fc1(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """Return the block's output for [B, T, D], in a tower without rotations."""
        y = self.ln_1(x)
        q, k, v = (self.split(proj(y)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        x = x + self.out_proj(self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=causal)))
        return x + self.mlp(self.ln_2(x))


class BlockRun:
    """One block of one pass, a :class:`zsad.streams.BlockState`.

    What is read is computed, and at most once: an edit that puts layers of its own in the place of the
    block's does not pay for the block's.

    Attributes:
        block: The block.
        input: Ordinary stream before the block, [B, T, D].
        grid: Grid of the patches, which stand behind the leading places and before injected tokens.
        leading: Places before the patches.
        auxiliary: Side inputs of the pass by name.
    """

    def __init__(
        self,
        block: Block,
        x: Tensor,
        grid: Grid,
        auxiliary: Mapping[str, Tensor],
        counts: Counter[str],
        *,
        edit: BlockEdit | None = None,
        leading: int = 1,
        rotation: Rotation | None = None,
    ) -> None:
        self.block = block
        self.grid = grid
        self.leading = leading
        self.auxiliary = auxiliary
        self.input = x
        self._counts = counts
        self._rotation = rotation
        self._attended: dict[str, Tensor] = {}
        self._edited: Tensor | None = None
        if edit is not None:
            self._edited = edit(self)

    @cached_property
    def after_attention(self) -> Tensor:
        """Ordinary stream after attention, before the MLP, [B, T, D]."""
        return self.input + self.project(self.attend("qk"))

    @property
    def output(self) -> Tensor:
        """Ordinary stream after the block, and after its edit where it has one, [B, T, D]."""
        return self._plain_output if self._edited is None else self._edited

    @cached_property
    def _plain_output(self) -> Tensor:
        return self.after_attention + self.block.mlp(self.block.ln_2(self.after_attention))

    @cached_property
    def _projected(self) -> dict[str, Tensor]:
        """Queries, keys and values by their letter, [B, heads, T, d]."""
        block, normed = self.block, self.block.ln_1(self.input)
        return {
            "q": self.turn(block.split(block.q_proj(normed))),
            "k": self.turn(block.split(block.k_proj(normed))),
            "v": block.split(block.v_proj(normed)),
        }

    def turn(self, heads: Tensor) -> Tensor:
        """Turn queries or keys [B, heads, T, d] by their places, in a tower with rotations."""
        if self._rotation is None:
            return heads
        return self._rotation.turn(heads, slice(self.leading, self.leading + self.grid.count))

    def attend(self, pair: str) -> Tensor:
        """Return softmax(a b^T / sqrt(d)) v per head, [B, heads, T, d], for a pair such as ``"vv"``."""
        if pair not in self._attended:
            self._counts[f"attention:{pair}"] += 1
            a, b = (self._projected[letter] for letter in pair)
            self._attended[pair] = F.scaled_dot_product_attention(a, b, self._projected["v"])
        return self._attended[pair]

    def project(self, heads: Tensor) -> Tensor:
        """Merge heads [B, heads, T, d] and apply the out-projection: [B, T, D]."""
        return self.block.out_proj(self.block.merge(heads))  # type: ignore[no-any-return]
