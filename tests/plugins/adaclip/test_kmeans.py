"""k-means against scikit-learn, and as a function of each image alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from zsad_plugins.adaclip.kmeans import cluster_means, kmeans_labels


@pytest.mark.parametrize("seed", range(4))
def test_labels_are_those_of_scikit_learn(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(3, 100, 24, generator=generator), dim=-1)
    found = kmeans_labels(points, 20, seed)
    for mine, own in zip(found, points, strict=True):
        theirs = KMeans(20, n_init=1, random_state=seed).fit(own.numpy().astype(np.float64)).labels_
        np.testing.assert_array_equal(mine.numpy(), theirs)


def test_a_set_does_not_depend_on_its_neighbours() -> None:
    points = torch.randn(4, 60, 8, generator=torch.Generator().manual_seed(1))
    points[2] = points[2].round()  # settles at another iteration than the others
    together = kmeans_labels(points, 6, 0)
    for own, expected in zip(points, together, strict=True):
        assert torch.equal(kmeans_labels(own[None], 6, 0)[0], expected)


def test_the_seed_decides() -> None:
    points = torch.randn(1, 100, 8, generator=torch.Generator().manual_seed(2))
    assert torch.equal(kmeans_labels(points, 20, 3), kmeans_labels(points, 20, 3))
    assert not torch.equal(kmeans_labels(points, 20, 3), kmeans_labels(points, 20, 4))


@pytest.mark.parametrize("clusters", [1, 3, 5])
def test_equal_points_and_as_many_clusters_as_points_are_fine(clusters: int) -> None:
    points = torch.ones(2, 5, 4)
    points[1] = torch.arange(5.0)[:, None]
    labels = kmeans_labels(points, clusters, 0)
    assert set(labels[0].tolist()) == {int(labels[0, 0])}
    assert len(set(labels[1].tolist())) == clusters
    means, counts = cluster_means(points, labels, clusters)
    assert means.isfinite().all() and counts.sum(1).tolist() == [5, 5]
