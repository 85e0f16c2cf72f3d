"""The losses that teach ``mini``: captions, states of patches, windows and images, names of defects."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STATE_SCALE = 40.0
"""Cosines times this are logits. Between CLIP's 100 and AnomalyCLIP's 1 / 0.07, so that neither saturates."""
FULL_COVER = 0.12
"""Share of a patch from which on it counts as fully abnormal: thin cracks cover little of a patch."""
FOCAL_POWER = 2.0


def contrastive(images: Tensor, texts: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss (Radford et al., ICML 2021) with several positives.

    Args:
        images: [B, C], normalised.
        texts: [B, C], normalised.
        same: [B, B] bool, pairs that say the same; the diagonal is set.
        scale: Factor of the cosines.
    """
    logits = scale * images @ texts.T
    target = same.float() / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def patch_targets(cover: Tensor) -> Tensor:
    """Return soft targets [..., N] for the cover [..., g, g] of the patches."""
    return (cover.flatten(-2) / FULL_COVER).clamp(max=1)


def state_logits(tokens: Tensor, normal: Tensor, abnormal: Tensor) -> Tensor:
    """Return the log odds of the abnormal state.

    Args:
        tokens: [B, N, C].
        normal: [B, C], normalised.
        abnormal: [B, C], normalised.

    Returns:
        [B, N] float32.
    """
    direction = (abnormal - normal).float()
    return STATE_SCALE * torch.einsum("bnc,bc->bn", F.normalize(tokens.float(), dim=-1), direction)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return the binary focal loss (Lin et al., ICCV 2017), abnormal and normal patches weighing the same.

    Args:
        logits: [B, N] log odds.
        target: [B, N] in 0..1.
    """
    error = (torch.sigmoid(logits) - target).abs().detach() ** FOCAL_POWER
    loss = error * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside = (loss * target).sum() / target.sum().clamp(min=1)
    outside = (loss * (1 - target)).sum() / (1 - target).sum().clamp(min=1)
    return inside + outside


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """Return the dice loss over the images that have a defect.

    Args:
        logits: [B, N] log odds.
        target: [B, N] in 0..1.
    """
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum(dim=1) + 1
    total = probability.sum(dim=1) + target.sum(dim=1) + 1
    defective = (target.sum(dim=1) > 0).float()
    return ((1 - overlap / total) * defective).sum() / defective.sum().clamp(min=1)


def naming(features: Tensor, names: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy of telling features apart by the names of a bank.

    Args:
        features: [B, C].
        names: [K, C], normalised.
        target: [B] int64, -1 where the loss leaves the image out.
    """
    logits = STATE_SCALE * F.normalize(features.float(), dim=-1) @ names.float().T
    if not bool((target >= 0).any()):
        return logits.sum() * 0
    return F.cross_entropy(logits, target, ignore_index=-1)


def type_maps(tokens: Tensor, normal: Tensor, names: Tensor, cover: Tensor, kind: Tensor) -> Tensor:
    """Return the cross entropy of every patch between the normal state and the defect types.

    So the map of a type's words peaks on defects of that type and not on others.

    Args:
        tokens: [B, N, C].
        normal: [B, C], normalised.
        names: [K, C], normalised.
        cover: [B, S, N] soft targets of each defect of the image.
        kind: [B, S] int64 place of each defect's type, -1 for none.
    """
    tokens = F.normalize(tokens.float(), dim=-1)
    own = STATE_SCALE * torch.einsum("bnc,bc->bn", tokens, normal.float())[..., None]
    logits = torch.cat([own, STATE_SCALE * tokens @ names.float().T], dim=-1)
    share = torch.log_softmax(logits, dim=-1).transpose(1, 2)  # [B, 1 + K, N]
    at_type = share.gather(1, (kind.clamp(min=0) + 1)[..., None].expand(-1, -1, share.shape[-1]))
    anywhere = cover.amax(dim=1)
    inside = -(at_type * cover).sum() / cover.sum().clamp(min=1)
    outside = -(share[:, 0] * (1 - anywhere)).sum() / (1 - anywhere).sum().clamp(min=1)
    return inside + outside


def region_features(tokens: Tensor, cover: Tensor) -> Tensor:
    """Return the mean token over each defect's patches: [B * S, C] of [B, N, C] and [B, S, N]."""
    weights = cover / cover.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.einsum("bnc,bsn->bsc", tokens.float(), weights).flatten(0, 1)
