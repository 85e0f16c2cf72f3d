"""The losses of AF-CLIP: focal losses of image score and grid map, L1, and the alignment of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.training.step import Step
from zsad.values import ABNORMAL
from zsad_plugins.af_clip.options import MapLossOptions

POWER = 4
"""Of 1 - p_t in the focal loss."""


def focal(probability: Tensor, target: Tensor) -> Tensor:
    """Return BCE(p, t) (1 - p_t)^4 place by place, where p_t = p t + (1 - p)(1 - t)."""
    error = F.binary_cross_entropy(probability, target, reduction="none")
    return error * (1 - _chance(probability, target)) ** POWER


def _chance(probability: Tensor, target: Tensor) -> Tensor:
    return probability * target + (1 - probability) * (1 - target)


def overwritten_slope(probability: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of :func:`focal` by p that published code uses in normal cells, target 0.

    There the target is -1 when autograd multiplies with it: BCE' = (p + 1) / (p (1 - p)) and p_t' = -2, while
    BCE and p_t keep the values of the forward pass.
    """
    error = F.binary_cross_entropy(probability, target, reduction="none")
    away = 1 - _chance(probability, target)
    steep = (probability + 1) / (probability * (1 - probability)).clamp(min=1e-12)
    return steep * away**POWER + error * POWER * away ** (POWER - 1) * 2


def image(step: Step, options: None) -> Tensor:
    """Return the focal loss of the image scores, [B].

    Raises:
        InputError: The scorer gives none.
    """
    if step.scores.image_score is None:
        raise InputError("this method's scorer gives no image score that a loss could learn from")
    score = step.scores.image_score.float()
    return focal(score, step.batch.anomalous.to(score.dtype))


def maps(step: Step, options: MapLossOptions) -> Tensor:
    """Return focal loss and mean |p - g| of the map on the grid, [B].

    Raises:
        InputError: The scorer gives no single set of scores with two states.
    """
    probability = _map(step)
    cells = grid_mask(step, probability.shape[-2:])
    error = focal(probability, cells)
    if options.gradient == "as-published":
        slope = overwritten_slope(probability, cells).detach()
        error = torch.where(cells == 0, error.detach() + slope * (probability - probability.detach()), error)
    return (error + (probability - cells).abs()).flatten(1).mean(1)


def alignment(step: Step, options: None) -> Tensor:
    """Return the mean over the sets of max(0, cos of mixed pairs - cos of equal pairs), a scalar.

    Pairs are of patches of one image, a patch with itself included, and the means are over the batch. Cells
    of which the mask covers exactly half are of no state. Without a mixed pair it is 0.
    """
    sets = step.adapted.patch_sets
    grid = step.adapted.grid
    cells = grid_mask(step, (grid.height, grid.width)).flatten(1)
    sign = (cells == 1).float() - (cells == 0).float()
    pairs = sign[:, :, None] * sign[:, None]
    mixed, equal = (pairs < 0).float(), (pairs > 0).float()
    if not mixed.any():
        return step.mask.new_zeros(())
    contrast = mixed / mixed.sum() - equal / equal.sum()
    found = []
    for entry in sets:
        unit = F.normalize(entry.tokens.float(), dim=-1)
        found.append((unit @ unit.transpose(1, 2) * contrast).sum().clamp(min=0))
    return torch.stack(found).mean()


def grid_mask(step: Step, size: tuple[int, ...]) -> Tensor:
    """Return the mask on the grid, [B, h, w]: 0, 1, or 0.5 where half of a cell's sample is marked."""
    sampled = F.interpolate(step.mask[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return torch.where(sampled > 0.5, 1.0, torch.where(sampled < 0.5, 0.0, sampled))


def _map(step: Step) -> Tensor:
    if len(step.scores.sets) != 1 or step.scores.sets[0].kind == "anomaly":
        raise InputError(
            "the loss af-clip-map reads one set of scores with two states; choose the scorer af-clip.sum"
        )
    (entry,) = step.scores.sets
    values = entry.values.float()
    return (torch.softmax(values, dim=1) if entry.kind == "logits" else values)[:, ABNORMAL]
