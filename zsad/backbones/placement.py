"""Where loaded weights go: views of them where device and dtype already agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.recipe.profiles import Activation


class Placement:
    """Puts loaded parameters into frozen layers of a device and dtype."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    def tensor(self, value: Tensor) -> Tensor:
        """Return the tensor there; the same storage where it is there already."""
        return value.detach().to(self.device, self.dtype)

    def linear(self, weight: Tensor, bias: Tensor | None) -> nn.Linear:
        """Return a layer over weight [out, in] and bias [out]."""
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        layer.weight = self._frozen(weight)
        if bias is not None:
            layer.bias = self._frozen(bias)
        return layer

    def split(self, source: nn.Linear, parts: int) -> list[nn.Linear]:
        """Return a layer for each of the equal runs of rows that a joint projection is made of."""
        weights = source.weight.chunk(parts)
        biases = [None] * parts if source.bias is None else source.bias.chunk(parts)
        return [self.linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)]

    def patches(self, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
        """Return a patch embedding over weight [D, 3, p, p] and bias [D]; patches do not overlap."""
        width, channels, *side = weight.shape
        size = (side[0], side[1])
        layer = nn.Conv2d(channels, width, size, size, bias=bias is not None, device="meta")
        layer.weight = self._frozen(weight)
        if bias is not None:
            layer.bias = self._frozen(bias)
        return layer

    def norm(self, source: nn.Module) -> nn.Module:
        """Return a LayerNorm of the source's eps, or an identity for anything else."""
        return self.layer_norm(source) if isinstance(source, nn.LayerNorm) else nn.Identity()

    def layer_norm(self, source: nn.LayerNorm) -> nn.LayerNorm:
        """Return a LayerNorm of the source's eps."""
        layer = nn.LayerNorm(source.normalized_shape, eps=source.eps, device="meta")
        layer.weight = self._frozen(source.weight)
        layer.bias = self._frozen(source.bias)
        return layer

    def _frozen(self, value: Tensor) -> nn.Parameter:
        return nn.Parameter(self.tensor(value), requires_grad=False)


def activation_of(module: nn.Module) -> Activation:
    """Return the name of an MLP's activation.

    Raises:
        InputError: Neither GELU, its tanh approximation, nor QuickGELU.
    """
    kind = type(module).__name__  # timm and open_clip have classes of their own for the same function
    if kind == "QuickGELU":
        return "quick_gelu"
    if kind == "GELUTanh" or (kind == "GELU" and getattr(module, "approximate", "none") == "tanh"):
        return "gelu_tanh"
    if kind == "GELU":
        return "gelu"
    raise InputError(
        f"zsad does not know the activation {kind} of this model; use a model with GELU or QuickGELU"
    )
