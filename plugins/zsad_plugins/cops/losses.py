"""The losses of CoPS: centres of normal and anomalous patches, and those of its VAE (paper, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.training.step import Step
from zsad_plugins.cops.options import ReconstructionOptions
from zsad_plugins.cops.scorer import nearest_distance
from zsad_plugins.cops.tokens import tap_mean


def centre(step: Step, options: None) -> Tensor:
    """Return mean d_n over the batch's normal patches + mean d_a over its anomalous ones, a scalar.

    d is the cosine distance to the nearest prototype of a state. A patch is anomalous where its part of the
    mask has a pixel set. Without patches of a kind their mean counts as 0.
    """
    grid = step.adapted.patch_sets[0].grid
    cells = F.adaptive_max_pool2d(step.mask, (grid.height, grid.width)).flatten(1)
    tokens, share = tap_mean(step.adapted), step.batch.weights[:, None]
    total = share.new_zeros(())
    for state, chosen in (("normal", cells == 0), ("abnormal", cells > 0)):
        distance = nearest_distance(tokens, _intermediate(step, f"prototypes.{state}"))
        total = total + (distance * share * chosen).sum() / chosen.sum().clamp(min=1)
    return total


def kl(step: Step, options: None) -> Tensor:
    """Return KL(q(z | g) || N(0, I)) = -1/2 sum(1 + log variance - mean^2 - variance), [B]."""
    mean, log_variance = (_intermediate(step, f"posterior.{name}") for name in ("mean", "log_variance"))
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)


def reconstruction(step: Step, options: ReconstructionOptions) -> Tensor:
    """Return the mean over the channels of (g - b)^2, [B], b the image's own bias or each of the batch."""
    feature, bias = step.adapted.image_feature, _intermediate(step, "posterior.bias")
    if options.pairs == "own":
        return (feature - bias).square().mean(1)
    return (feature[:, None] - bias).square().mean((1, 2))


def _intermediate(step: Step, name: str) -> Tensor:
    """Return what the prompt conditioner left for the losses, in float32 at least.

    Raises:
        InputError: It left nothing of that name.
    """
    found = step.conditioning.intermediates.get(name)
    if found is None:
        part = "cops.posterior" if name.startswith("posterior") else "cops.synthesis or cops.posterior"
        raise InputError(
            f"a loss of CoPS needs '{name}', which the prompt conditioner {part} gives; add it under "
            "training.parts, or set the loss's weight to 0"
        )
    return found.to(torch.promote_types(found.dtype, torch.float32))
