"""k-means of several sets of points at once, each as if it were alone, from a seed.

Greedy k-means++ (Arthur and Vassilvitskii, SODA 2007) and Lloyd's iterations, with the stopping rule and the
random numbers of scikit-learn's ``KMeans(n_init=1, random_state=seed)``: labels agree, number by number.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 300
TOLERANCE = 1e-4
"""Centres that move less than this share of the points' mean variance (squared distances) are settled."""


def kmeans_labels(points: Tensor, clusters: int, seed: int) -> Tensor:
    """Return the cluster of every point.

    Args:
        points: [B, n, D].
        clusters: Number of clusters, at most n.
        seed: Seed of the first centres; every set gets the same random numbers, whatever the batch.

    Returns:
        [B, n] int64 in 0 ... clusters - 1. A set with fewer distinct points leaves clusters empty.
    """
    if points.device.type != "mps":  # which has no float64
        points = points.double()
    centers = _first_centers(points, clusters, seed)
    limit = TOLERANCE * points.var(dim=1, correction=0).mean(-1)
    moving = torch.ones(len(points), dtype=torch.bool, device=points.device)
    for _ in range(ITERATIONS):
        moved, counts = cluster_means(points, _nearest(points, centers), clusters)
        moved = torch.where(counts[..., None] > 0, moved, centers)  # an emptied cluster stays where it was
        shift = (moved - centers).square().sum((1, 2))
        centers = torch.where(moving[:, None, None], moved, centers)
        moving = moving & (shift > limit)
        if not moving.any():
            break
    return _nearest(points, centers)


def cluster_means(points: Tensor, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Return the mean of every cluster's points, [B, clusters, D] (0 for an empty one), and their number."""
    members = F.one_hot(labels, clusters).to(points.dtype).transpose(1, 2)
    counts = members.sum(-1)
    return members @ points / counts.clamp(min=1)[..., None], counts


def _first_centers(points: Tensor, clusters: int, seed: int) -> Tensor:
    """Draw centres by k-means++; of a few candidates the one that lowers the potential most is taken."""
    random = np.random.RandomState(seed)
    first, trials = random.random_sample(), 2 + int(math.log(clusters))
    shares = torch.from_numpy(random.random_sample((clusters - 1, trials))).to(points)
    batch, count = torch.arange(len(points), device=points.device), points.shape[1]
    distances = _squared_distances(points, points)
    chosen = [torch.full_like(batch, int(first * count))]
    closest = distances[batch, chosen[0]]  # [B, n], squared distance to the nearest centre so far
    for share in shares:
        target = share * closest.sum(-1, keepdim=True)
        candidates = torch.searchsorted(closest.cumsum(-1), target).clamp(max=count - 1)  # [B, trials]
        reduced = torch.minimum(closest[:, None], distances[batch[:, None], candidates])
        best = reduced.sum(-1).argmin(-1)
        chosen.append(candidates[batch, best])
        closest = reduced[batch, best]
    return points[batch[:, None], torch.stack(chosen, dim=1)]


def _nearest(points: Tensor, centers: Tensor) -> Tensor:
    return _squared_distances(points, centers).argmin(-1)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    # The matrix-product form loses digits where distances are small.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
