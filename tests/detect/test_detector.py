from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host, get_host
from zsad.values import Sample
from zsad.weights.card import WeightsCard
from zsad.weights.loading import save_weights

CLOSE = {"atol": 1e-5, "rtol": 1e-5}

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    def step(name, factory, **words):
        return PartSpec(f"acme.{name}", "post_processors", f"acme_parts:{factory}", "A step.", **words)
    yield step("gain", "Gain", learnable=True)
    yield step("shift", "Gain", learnable=True)
    yield step("no_module", "function", learnable=True)
    yield step("one_phase", "function", two_phase=True)
    yield step("both_phases", "TwoPhases")
    yield step("picky", "picky")
"""

PARTS = """
from dataclasses import replace
import torch
from zsad.errors import InputError

class Gain(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.rand(()))

    def forward(self, scores, features):
        return replace(scores, map=scores.map * self.gain)

def function(options, context):
    return lambda scores, features: scores

class TwoPhases:
    def __init__(self, options, context): ...
    def collect(self, scores, features): ...
    def finalize(self, scope): ...

def picky(options, context):
    raise InputError(f"depth {context.depth} is odd")
"""


@pytest.fixture
def host(site: Any) -> Host:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})
    return get_host()


@pytest.fixture
def load(host: Host, tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def run(method: str, *overrides: str, **options: Any) -> Detector:
        return load_detector(method, backbone=tiny_backbone, overrides=overrides, host=host, **options)

    return run


@pytest.fixture
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 9 * n, 60, 3), dtype=np.uint8) for n in range(3)]


def test_encode_once_ask_often(load: Callable[..., Detector], images: list[np.ndarray]) -> None:
    found = load("clip-baseline")
    features = found.encode(images, ["gear", "tile", "gear"])
    found.tower.counts.clear()
    mixed, gear = found.score(features), found.score(features, "gear")
    assert not found.tower.counts  # no pass was needed
    assert mixed.score.shape == (3,) and mixed.anomaly_map.shape == (3, 64, 64)
    assert mixed.class_names == ("gear", "tile", "gear")
    torch.testing.assert_close(mixed.score[[0, 2]], gear.score[[0, 2]])
    assert (mixed.score[1] - gear.score[1]).abs() > 1e-4
    torch.testing.assert_close(gear.anomaly_map, found.predict(images, "gear").anomaly_map, **CLOSE)


@pytest.mark.parametrize("method", ["clip-baseline@vv", "winclip", "anomalyclip"])
def test_a_batch_is_its_images(load: Callable[..., Detector], images: list[np.ndarray], method: str) -> None:
    found = load(method, untrained=True)
    together = found.predict(images, "gear")
    for place, image in enumerate(images):
        alone = found.predict([image], "gear")
        torch.testing.assert_close(together.anomaly_map[place], alone.anomaly_map[0], **CLOSE)
        torch.testing.assert_close(together.score[place], alone.score[0], **CLOSE)


def test_every_kind_of_image(load: Callable[..., Detector], images: list[np.ndarray], tmp_path: Path) -> None:
    found, path = load("clip-baseline"), tmp_path / "image.png"
    Image.fromarray(images[0]).save(path)
    given = [images[0], Image.fromarray(images[0]), path, str(path), Sample(images[0], "tile")]
    samples = found.samples(given, "gear")
    assert [sample.class_name for sample in samples] == ["gear"] * 4 + ["tile"]
    assert all(torch.equal(tensor, found.tensor(samples)[0]) for tensor in found.tensor(samples))


def test_wrong_images_and_names_are_refused(load: Callable[..., Detector], images: list[np.ndarray]) -> None:
    found = load("clip-baseline")
    for wrong in (images[0].astype(np.float32), images[0][..., 0]):
        with pytest.raises(InputError, match="RGB uint8"):
            found.predict([wrong])
    with pytest.raises(InputError, match="3 images were given with 2 class names"):
        found.encode(images, ["gear", "tile"])
    with pytest.raises(InputError, match="3 images were given with 1 class names"):
        found.score(found.encode(images), ["gear"])
    with pytest.raises(InputError, match="image size 60 is not a multiple"):
        load("clip-baseline", image_size=60)


def test_parts_are_drawn_from_the_seed_alone(load: Callable[..., Detector]) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (load("anomalyclip", untrained=True, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    states = [found.state_dict()["parts.prompt_learner.context"] for found in (one, same, other)]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    assert set(one.state_dict()) == {"parts.prompt_learner.context", "parts.prompt_learner.deep"}


def test_learned_parts_of_a_list_have_weights_of_their_own(
    load: Callable[..., Detector], images: list[np.ndarray], tmp_path: Path
) -> None:
    steps = ("post_processors+=acme.gain", "post_processors+=acme.shift")
    with pytest.raises(InputError, match="post_processors:acme/gain, post_processors:acme/shift"):
        load("clip-baseline", *steps)
    plain, untrained = load("clip-baseline"), load("clip-baseline", *steps, untrained=True)
    keys = ["post_processors:acme/gain", "post_processors:acme/shift"]
    file = tmp_path / "weights.safetensors"
    card = WeightsCard(
        method="clip-baseline",
        parts=dict(zip(keys, ("acme.gain", "acme.shift"), strict=True)),
        profile=plain.recipe.profile.binding(),
        origin="own",
    )
    save_weights(file, {f"{keys[0]}.gain": torch.tensor(2.0), f"{keys[1]}.gain": torch.tensor(4.0)}, card)
    found = load("clip-baseline", *steps, weights=file)
    torch.testing.assert_close(found.predict(images).anomaly_map, 8 * plain.predict(images).anomaly_map)
    assert found.trained and "auxiliary-trained" in found.setting
    assert not untrained.trained and "training-free" in untrained.setting
    partly = load("clip-baseline", *steps, weights={keys[0]: file}, untrained=True)
    assert list(partly.cards) == [keys[0]]


@pytest.mark.parametrize(
    ("part", "error", "sentence"),
    [
        ("no_module", ZsadError, "'acme.no_module' is declared learnable, but is no torch module"),
        ("one_phase", ZsadError, "'acme.one_phase' lacks collect and finalize, but declares two_phase=True"),
        ("both_phases", ZsadError, "'acme.both_phases' has collect and finalize, but declares"),
        ("picky", InputError, "part 'acme.picky': depth 4 is odd"),
    ],
)
def test_a_part_that_is_not_what_it_declares(
    load: Callable[..., Detector], part: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        load("clip-baseline", f"post_processors+=acme.{part}", untrained=True)
