"""What a method computes stays on the device of its backbone, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.devices.conftest import SECOND
from tests.devices.pretended import MixedDevices, device_of
from tests.loading import load_detector, with_references
from tests.training.drawing import draw_set
from tests.training.stages import trainer_of
from zsad.backbones.clip import ClipBackbone
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.training.cache.build import frozen_image_side
from zsad.training.learner import carry, learned_parameters, stage_detector
from zsad.training.live import LiveFeatures
from zsad.training.opening import open_feature_generator
from zsad.training.sources import DatasetExamples
from zsad.training.trainer import Trainer
from zsad.values import Sample

METHODS = sorted(name for name, claim in get_host().recipes.items() if claim.distribution == "zsad")
TRAINED = ("anomalyclip", "adaclip", "filo", "cops", "crane", "aprilgan")
SIZE = 160

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.ramp", "post_processors", "acme_parts:Ramp", "A step.",
                   requires=frozenset({"anomaly_map"}), provides=frozenset({"anomaly_map"}))
    yield PartSpec("acme.shift", "feature_adapter", "acme_parts:Shift", "An adapter.", learnable=True)
"""

PARTS = """
from dataclasses import replace
import torch

class Ramp:
    def __init__(self, options, context):
        self.ramp = torch.linspace(0, 1, context.image_size)
    def __call__(self, scores, features):
        return replace(scores, map=scores.map * self.ramp)

class Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tokens, shift):
        return tokens + shift
    @staticmethod
    def backward(ctx, gradient):
        return None, gradient.sum(0) * torch.ones(gradient.shape[-1])

class Shift(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(context.embed_dim))
    def forward(self, features):
        return replace(features, image_feature=Add.apply(features.image_feature, self.shift))
"""


@pytest.fixture
def acme(site: Any) -> None:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})


@pytest.fixture
def load(elsewhere: ClipBackbone) -> Callable[..., Detector]:
    def run(method: str, *overrides: str) -> Detector:
        return load_detector(
            method, backbone=elsewhere, image_size=SIZE, untrained=True, overrides=overrides, host=get_host()
        )

    return run


@pytest.mark.parametrize("method", METHODS)
def test_encode_and_score_stay_there(
    gpus: None, load: Callable[..., Detector], mini: ClipBackbone, samples: list[Sample], method: str
) -> None:
    here = with_references(load_detector(method, backbone=mini, image_size=SIZE, untrained=True)).predict(
        samples
    )
    detector = with_references(load(method))
    features = detector.encode(samples)
    prediction = detector.score(features)
    found = [features.image_feature, *(entry.tokens for entry in features.token_sets)]
    assert {device_of(tensor) for tensor in (*found, prediction.score, prediction.anomaly_map)} == {SECOND}
    torch.testing.assert_close(prediction.anomaly_map.cpu(), here.anomaly_map)
    torch.testing.assert_close(prediction.score.cpu(), here.score)


def source_in(folder: Path) -> DatasetExamples:
    return DatasetExamples([open_dataset(f"folder={draw_set(folder / 'leather', 2, 2)}", get_host())])


@pytest.mark.parametrize("method", TRAINED)
def test_every_stage_of_training_stays_there(
    gpus: None,
    generators: tuple[torch.Generator, ...],
    load: Callable[..., Detector],
    tmp_path: Path,
    method: str,
) -> None:
    states = [generator.get_state() for generator in generators]
    detector, source = load(method), source_in(tmp_path)
    former = detector
    for number, stage in enumerate(detector.recipe.recipe.training.stages, 1):
        plan = stage.model_copy(update={"epochs": 1, "batch_size": 2})
        learning = stage_detector(detector, plan, get_host())
        carry(former, learning)
        parameters = learned_parameters(learning, plan.learn)
        before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        batches = LiveFeatures(learning, source, grad=not frozen_image_side(learning))
        list(trainer_of(learning, plan, batches, number=number).epochs())
        for name, parameter in parameters.items():
            assert device_of(parameter) == SECOND, name
            assert parameter.grad is None or device_of(parameter.grad) == SECOND, name
        assert any(not torch.equal(parameter, before[name]) for name, parameter in parameters.items())
        former = learning
    assert all(
        torch.equal(generator.get_state(), state) for generator, state in zip(generators, states, strict=True)
    )


def test_made_features_stay_there(gpus: None, load: Callable[..., Detector], tmp_path: Path) -> None:
    detector = load("aprilgan")
    plan = detector.recipe.recipe.training.stages[0].model_copy(update={"epochs": 1, "batch_size": 2})
    trainer = Trainer(
        detector,
        plan,
        LiveFeatures(detector, source_in(tmp_path)),
        learned_parameters(detector, plan.learn),
        host=get_host(),
        seed=0,
        generator=open_feature_generator(get_host(), "feature-noise"),
    )
    (epoch,) = trainer.epochs()
    assert all(loss > 0 for loss in epoch.losses.values())


def test_a_step_with_a_constant_of_the_cpu_is_found(
    acme: None, gpus: None, load: Callable[..., Detector], mini: ClipBackbone, samples: list[Sample]
) -> None:
    words = "post_processors+=acme.ramp"
    load_detector("anomalyclip", backbone=mini, image_size=SIZE, untrained=True, overrides=[words]).predict(
        samples
    )
    with pytest.raises(MixedDevices, match=r"aten.mul.Tensor mixes cpu and cuda:1"):
        load("anomalyclip", words).predict(samples)


def test_a_backward_pass_with_one_is_found(
    acme: None, gpus: None, load: Callable[..., Detector], tmp_path: Path
) -> None:
    detector = load("anomalyclip", "feature_adapter=acme.shift")
    plan = detector.recipe.recipe.training.stages[0].model_copy(update={"epochs": 1, "batch_size": 2})
    with pytest.raises(MixedDevices, match=r"aten.mul.Tensor mixes cpu and cuda:1"):
        list(trainer_of(detector, plan, LiveFeatures(detector, source_in(tmp_path))).epochs())
