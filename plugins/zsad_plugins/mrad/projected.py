"""The fine-tuned memory: learned linear maps of queries and keys before they are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.mrad.memory import Memory
from zsad_plugins.mrad.options import ProjectedOptions


class ProjectedMemory(Memory):
    """P = softmax(W_q q (W_k K)^T) V with biases; what W maps is not normalised again.

    A fresh one maps by the identity, so that it begins as the memory alone.

    Attributes:
        queries: W_q of ``image`` and ``patch``, to the joint space.
        mapped_keys: W_k, likewise.
    """

    def __init__(self, options: ProjectedOptions, context: BuildContext) -> None:
        super().__init__(options, context)
        self.hidden = {"image": options.hidden_images, "patch": options.hidden_patches}
        self.queries, self.mapped_keys = (
            nn.ModuleDict({name: _identity(width, context.embed_dim) for name, width in self.widths.items()})
            for _ in range(2)
        )

    def similarities(self, name: str, queries: Tensor, keys: Tensor) -> Tensor:
        """Return [..., n]; what is hidden from a query is minus infinity."""
        found: Tensor = self.queries[name](queries) @ self.mapped_keys[name](keys).mT
        share = self.hidden[name]
        if not share:
            return found
        plain = queries @ keys.mT
        bound = torch.quantile(plain, 1 - share, dim=-1, keepdim=True)
        return found.masked_fill(plain > bound, float("-inf"))


def _identity(inputs: int, outputs: int) -> PreciseLinear:
    layer = PreciseLinear(inputs, outputs)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
