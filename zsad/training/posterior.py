"""Weights of made anomalies by how much there is to learn from them (Expected Anomaly Posterior).

After Perini et al., 2024. An anomaly that no normal image is anywhere near is not realistic, and one that
cannot be told from normal images is none: both count less than one that is close to them and still different.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from zsad.errors import InputError
from zsad.plugin.options import Options

Array = npt.NDArray[np.float64]


class PosteriorOptions(Options):
    """Options of :func:`anomaly_posterior`."""

    prior: float = Field(default=0.1, gt=0, lt=1)
    """Posterior of an anomaly that no normal image is near: the expected share of anomalies."""
    neighbours: int = Field(default=5, ge=1)
    """A normal image reaches as far as this many others; the more, the more anomalies count as realistic."""
    subsets: int = Field(default=100, ge=1)
    """Number of random subsets that are averaged over."""
    size: int = Field(default=256, ge=4)
    """Largest number of normal images, and of anomalies, in a subset; a subset holds half of them at most."""


def anomaly_posterior(
    normal: npt.ArrayLike, made: npt.ArrayLike, options: PosteriorOptions | None = None, seed: int = 0
) -> Array:
    """Return the expected posterior of made anomalies.

    In each random subset of n normal images, with (b0, b1) = (1 - prior, prior),

        phi(x) = (b1 + n s(x) d(x)) / (b0 + b1 + n d(x)),

    averaged over subsets. Every normal image is the centre of a ball that reaches its k-th neighbour; the
    rarity r(x) is the radius of the smallest ball that holds x, infinite outside all of them; and d(x) is
    1 / r(x) divided by the sum of the inverse rarities of x and of all normal images. s(x) is the probability
    that x is anomalous for a classifier of the subset, here the share of anomalies among the k images nearest
    to x, x itself left out. The published classifier learns real anomalies; where there are none, it has to
    learn the made ones, and prior and k are set by hand.

    What it needs: a feature vector per image that moves with the defect, such as CLIP's image feature, or the
    mean of its patch tokens. Only ratios of distances count, so the features' scale does not.

    Args:
        normal: Features of normal images [n, C], n above ``neighbours``.
        made: Features of made anomalies [m, C].
        options: Prior, neighbours and subsets.
        seed: Seed of the subsets.

    Returns:
        [m], 0 to 1; exactly the prior for what lies outside all balls of every subset.

    Raises:
        InputError: There are too few normal images for the number of neighbours.
    """
    options = options or PosteriorOptions()
    first, second = np.asarray(normal, np.float64), np.asarray(made, np.float64)
    count = min(max(len(first) // 2, options.neighbours + 1), options.size)
    if len(first) < count or count <= options.neighbours:
        raise InputError(
            f"weights of made anomalies: {len(first)} normal images in subsets of {options.size} are too few "
            f"for {options.neighbours} neighbours"
        )
    random = np.random.default_rng(seed)
    total = np.zeros(len(second))
    for _ in range(options.subsets):
        own = first[random.choice(len(first), count, replace=False)]
        others = random.choice(len(second), min(max(1, len(second) // 2), count), replace=False)
        away = _distances(second, own)
        density = count * _density(away, _distances(own, own), options.neighbours)
        anomalous = _share_of_anomalies(away, second, others, options.neighbours)
        total += (options.prior + anomalous * density) / (1 + density)
    posterior: Array = total / options.subsets
    return posterior


def anomaly_weights(
    features: npt.ArrayLike,
    anomalous: npt.ArrayLike,
    options: PosteriorOptions | None = None,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Return the weights of training images of which the anomalous ones were made.

    Args:
        features: One vector per image [n, C], normal and anomalous.
        anomalous: [n] bool.
        options: Of the posterior.
        seed: Seed of its subsets.

    Returns:
        [n]: 1 for normal images; the posterior of the others, divided by its mean, so that they keep their
        share in the losses.

    Raises:
        InputError: There are too few normal images.
    """
    vectors, labels = np.asarray(features), np.asarray(anomalous, np.bool_)
    weights = np.ones(len(labels), np.float32)
    if labels.any():
        posterior = anomaly_posterior(vectors[~labels], vectors[labels], options, seed)
        weights[labels] = posterior / posterior.mean()
    return weights


def _distances(first: Array, second: Array) -> Array:
    """Return Euclidean distances [len(first), len(second)]."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2 * first @ second.T
    distances: Array = np.sqrt(np.maximum(squares, 0))
    return distances


def _density(away: Array, among: Array, neighbours: int) -> Array:
    """Return d [m] from distances to normal images [m, n] and among those [n, n]."""
    # The nearest of all is the image itself. Equal images would have balls of no size, rarer than anything.
    radius = np.partition(among, neighbours, axis=1)[:, neighbours]
    radius = np.maximum(radius, 1e-6 * np.median(radius) + 1e-12)
    own = 1 / np.where(among <= radius, radius, np.inf).min(axis=1)
    inverse = 1 / np.where(away <= radius, radius, np.inf).min(axis=1)
    density: Array = inverse / (own.sum() + inverse)
    return density


def _share_of_anomalies(away: Array, made: Array, others: npt.NDArray[np.intp], neighbours: int) -> Array:
    """Return s [m]: how many of an anomaly's nearest images are anomalies, itself left out."""
    beside = _distances(made, made[others])
    beside[others, np.arange(len(others))] = np.inf
    joined = np.concatenate([away, beside], axis=1)
    nearest = np.argpartition(joined, neighbours - 1, axis=1)[:, :neighbours]
    share: Array = (nearest >= away.shape[1]).mean(axis=1)
    return share
