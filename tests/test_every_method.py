"""What every built-in method owes its user, whoever wrote it: the methods come from the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch

from tests.loading import load_detector, with_references
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector, backbone_facts
from zsad.detect.passes import encode_together, group_by_pass
from zsad.errors import InputError, ZsadError
from zsad.parts import ReferenceViews
from zsad.plugin.host import get_host
from zsad.recipe.resolution import resolve
from zsad.values import Features, Prediction, Sample
from zsad_plugins.drawn.procedural import generate

METHODS = sorted(name for name, claim in get_host().recipes.items() if claim.distribution == "zsad")

TOLERANCE = 1e-5
"""Largest difference in units of the largest value of the map."""

SIZE = 160
"""Side in pixels at which batches are compared: 10 x 10 patches of mini."""

LARGE, LARGE_SIZE = "ViT-L-14-336@random:0", 518


@pytest.fixture(scope="module")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module", params=METHODS)
def detector(request: pytest.FixtureRequest, mini: ClipBackbone) -> Detector:
    return with_references(load_detector(request.param, backbone=mini, image_size=SIZE, untrained=True))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Four images of two classes in turn, with and without a defect; one is of another size."""
    families = ["leather", "gear", "leather", "gear"]
    return [
        Sample(generate(0, index, size=200 + 56 * (index < 3), families=[family]).image, family)
        for index, family in enumerate(families)
    ]


@pytest.fixture(scope="module")
def mixed(detector: Detector, samples: list[Sample]) -> Prediction:
    return detector.predict(samples)


def check_answer(prediction: Prediction, count: int, shape: tuple[int, int]) -> None:
    score, maps = prediction.score, prediction.anomaly_map
    assert score.shape == (count,) and maps.shape == (count, *shape)
    assert torch.isfinite(score).all() and torch.isfinite(maps).all()
    assert (maps.amax((1, 2)) > maps.amin((1, 2))).all(), "a map is constant"


def check_alike(found: Prediction, whole: Prediction, places: Sequence[int]) -> None:
    """Check that images have the answers that they have at these places of another batch."""
    for name in ("anomaly_map", "score"):
        mine, other = getattr(found, name), getattr(whole, name)[list(places)]
        assert (mine - other).abs().max() <= TOLERANCE * other.abs().max(), name


@pytest.mark.parametrize("method", METHODS)
def test_every_image_gets_a_map_and_a_score(method: str, mini: ClipBackbone, samples: list[Sample]) -> None:
    detector = with_references(load_detector(method, backbone=mini, untrained=True))
    check_answer(detector.predict([samples[0], samples[2]]), 2, (detector.recipe.image_size,) * 2)


def test_an_image_does_not_depend_on_its_neighbours(
    detector: Detector, samples: list[Sample], mixed: Prediction
) -> None:
    if detector.recipe.batch_dependent or detector.recipe.transductive:
        pytest.skip("depends on the batch, as its parts declare")
    for place, sample in enumerate(samples):
        check_alike(detector.predict([sample]), mixed, [place])


def test_a_mixed_batch_gives_what_a_batch_per_class_gives(
    detector: Detector, samples: list[Sample], mixed: Prediction
) -> None:
    if detector.recipe.batch_dependent:
        pytest.skip("depends on the batch, as its parts declare")
    for places in ([0, 2], [1, 3]):
        check_alike(detector.predict([samples[place] for place in places]), mixed, places)


SQUARES = {"visualad": "visualad.alignment"}
"""Methods that take squares alone, and the part that does."""


@pytest.mark.parametrize("method", METHODS)
def test_images_may_keep_their_aspect(method: str, mini: ClipBackbone, samples: list[Sample]) -> None:
    options = {"backbone": mini, "image_size": SIZE, "untrained": True}
    overrides = ("profile.image_resize=short-side",)
    if method in SQUARES:
        with pytest.raises(InputError, match=rf"'{SQUARES[method]}'.*'square_input'.*image_resize=squash"):
            load_detector(method, overrides=overrides, **options)
        return
    detector = with_references(load_detector(method, overrides=overrides, **options))
    wide = [dataclasses.replace(sample, image=sample.image[:140, :190].copy()) for sample in samples[::2]]
    upright = [dataclasses.replace(sample, image=sample.image.transpose(1, 0, 2).copy()) for sample in wide]
    for images, shape in ((wide, (160, 217)), (upright, (217, 160))):
        found = detector.predict(images)
        check_answer(found, 2, shape)
        if not (detector.recipe.batch_dependent or detector.recipe.transductive):
            check_alike(detector.predict(images[1:]), found, [1])


def load_large(method: str, backbone: ClipBackbone) -> Detector:
    """Load a method; with the side inputs that it has on mini, where their own model cannot be had."""
    options = {"backbone": backbone, "image_size": LARGE_SIZE, "untrained": True}
    try:
        found = load_detector(method, **options)
        if isinstance(found.store, ReferenceViews):  # every view is a pass of its own
            return load_detector(method, overrides=["reference_store.views=1"], **options)
        return found
    except InputError:
        raise
    except ZsadError:
        facts = dataclasses.replace(backbone_facts(backbone), arch="mini")
        return Detector(backbone, resolve(get_host(), method, facts, image_size=LARGE_SIZE))


class SharedPasses:
    """Detectors on one backbone; methods that can share a pass over the same images do so, once."""

    def __init__(self, backbone: ClipBackbone) -> None:
        self.detectors = {method: with_references(load_large(method, backbone), 1) for method in METHODS}
        self.features: dict[str, Features] = {}

    def __getitem__(self, method: str) -> tuple[Detector, Features]:
        detector = self.detectors[method]
        if method not in self.features:
            count = image_count(detector)
            alike = [other for other in self.detectors.values() if image_count(other) == count]
            (group,) = (group for group in group_by_pass(alike) if detector in group)
            samples = [Sample(generate(0, index, size=LARGE_SIZE).image) for index in range(count)]
            for member, found in zip(group, encode_together(group, samples), strict=True):
                self.features[member.recipe.method] = found
        return detector, self.features.pop(method)


def image_count(detector: Detector) -> int:
    """One image, and another one for methods that compare it with others."""
    return 2 if detector.recipe.transductive else 1


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def large(request: pytest.FixtureRequest) -> SharedPasses:
    return SharedPasses(load_backbone(LARGE, "cpu", request.param))


@pytest.mark.acceptance
@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_a_large_backbone(method: str, large: SharedPasses) -> None:
    detector, features = large[method]
    check_answer(detector.score(features), image_count(detector), (LARGE_SIZE, LARGE_SIZE))
