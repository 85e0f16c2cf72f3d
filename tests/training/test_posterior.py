"""Weights of made anomalies: realistic and different ones count most."""

from __future__ import annotations

import numpy as np
import pytest

from zsad.errors import InputError
from zsad.training.posterior import PosteriorOptions, anomaly_posterior, anomaly_weights


def clusters(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Normal images, and anomalies: close to those, copies of those, and far away."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(240, 6))
    beside = np.array([1.7, 0, 0, 0, 0, 0]) + 0.35 * rng.normal(size=(50, 6))
    copies = normal[rng.choice(240, 50, replace=False)] + 0.02 * rng.normal(size=(50, 6))
    far = 30 + 6 * rng.normal(size=(50, 6))
    return normal, {"beside": beside, "copies": copies, "far": far}


def slow_posterior(normal, made, prior, k, subsets, size, seed) -> np.ndarray:
    """The definition, image by image."""
    random, count = np.random.default_rng(seed), min(max(len(normal) // 2, k + 1), size)
    total = np.zeros(len(made))
    for _ in range(subsets):
        own = normal[random.choice(len(normal), count, replace=False)]
        others = random.choice(len(made), min(max(1, len(made) // 2), count), replace=False)
        reach = [sorted(np.linalg.norm(own - centre, axis=1))[k] for centre in own]

        def inverse(x, own=own, reach=reach):
            holding = [
                r
                for centre, r in zip(own, reach, strict=True)
                if np.linalg.norm(x - centre) <= r * (1 + 1e-9)
            ]
            return 1 / min(holding) if holding else 0.0

        known = sum(map(inverse, own))
        for place, x in enumerate(made):
            d = inverse(x) / (known + inverse(x))
            near = [(np.linalg.norm(x - n), 0) for n in own]
            near += [(np.linalg.norm(x - made[o]), 1) for o in others if o != place]
            s = np.mean([label for _, label in sorted(near)[:k]])
            total[place] += (prior + count * s * d) / (1 + count * d)
    return total / subsets


def test_against_the_definition() -> None:
    normal, kinds = clusters()
    normal, made = normal[:30], np.concatenate([kind[:4] for kind in kinds.values()])
    options = PosteriorOptions(prior=0.2, neighbours=3, subsets=4)
    found = anomaly_posterior(normal, made, options, seed=5)
    assert np.abs(found - slow_posterior(normal, made, 0.2, 3, 4, 256, 5)).max() < 1e-9


def test_the_order_of_three_kinds() -> None:
    normal, kinds = clusters()
    found = anomaly_posterior(normal, np.concatenate([*kinds.values()]))
    beside, copies, far = found.reshape(3, 50)
    assert beside.mean() > 2 * copies.mean() and beside.mean() > 3 * far.mean()
    assert np.allclose(far, 0.1, atol=1e-12)  # exactly the prior
    assert found.min() >= 0 and found.max() <= 1


def test_the_scale_of_features_does_not_count() -> None:
    normal, kinds = clusters(1)
    made = np.concatenate([*kinds.values()])
    assert np.allclose(anomaly_posterior(normal, made), anomaly_posterior(normal * 50, made * 50), atol=1e-9)


def test_equal_normal_images_do_no_harm() -> None:
    normal, kinds = clusters(2)
    found = anomaly_posterior(np.repeat(normal[:20], 12, axis=0), kinds["beside"])
    assert np.isfinite(found).all()


def test_weights() -> None:
    normal, kinds = clusters()
    features = np.concatenate([kinds["far"], normal, kinds["beside"]])
    anomalous = np.r_[np.ones(50, bool), np.zeros(240, bool), np.ones(50, bool)]
    weights = anomaly_weights(features, anomalous, seed=3)
    assert weights.dtype == np.float32 and (weights[50:290] == 1).all()
    assert weights[anomalous].mean() == pytest.approx(1, abs=1e-5)
    assert weights[290:].min() > weights[:50].max()
    assert np.array_equal(weights, anomaly_weights(features, anomalous, seed=3))
    assert (anomaly_weights(normal, np.zeros(240, bool)) == 1).all()


def test_too_few_normal_images() -> None:
    with pytest.raises(InputError, match="5 normal images in subsets of 256 are too few for 5 neighbours"):
        anomaly_posterior(np.zeros((5, 2)), np.ones((3, 2)))
    with pytest.raises(InputError, match="subsets of 4 are too few"):
        anomaly_posterior(np.zeros((50, 2)), np.ones((3, 2)), PosteriorOptions(size=4))
