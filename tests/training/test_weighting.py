"""Weights of made anomalies reach the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.memory import MemoryBatches
from zsad.errors import InputError
from zsad.recipe.settings import Settings
from zsad.training.opening import open_weighting
from zsad.training.posterior import PosteriorOptions, anomaly_weights
from zsad.training.weighting import PosteriorWeights

OPTIONS = PosteriorOptions(neighbours=2, subsets=5)


def test_batches_carry_the_weights_of_their_images(load, dataset) -> None:
    plain = MemoryBatches(load(), dataset)
    weighted = PosteriorWeights(plain, OPTIONS, seed=3)
    wanted = anomaly_weights(plain.features.image_feature.numpy(), plain.anomalous.numpy(), OPTIONS, 3)
    batch = weighted.batch([5, 0, 7], torch.device("cpu"))
    np.testing.assert_array_equal(batch.weights.numpy(), wanted[[5, 0, 7]])
    assert len(weighted) == len(plain)
    assert bool((weighted.weights[~plain.anomalous] == 1).all())
    assert float(weighted.weights[plain.anomalous].mean()) == pytest.approx(1, rel=1e-5)
    assert torch.equal(batch.masks, plain.masks[[5, 0, 7]])


def test_too_few_normal_images(load, dataset) -> None:
    with pytest.raises(InputError, match="too few for 5 neighbours"):
        PosteriorWeights(MemoryBatches(load(), dataset), PosteriorOptions(), seed=0)


def test_options_say_how() -> None:
    words = Settings.parse(["examples.weight=posterior", "examples.posterior={neighbours: 2}"])
    assert open_weighting("draem", words) == PosteriorOptions(neighbours=2)
    assert open_weighting("draem") is None and open_weighting(None) is None
    with pytest.raises(InputError, match="name a --generator"):
        open_weighting(None, words)
