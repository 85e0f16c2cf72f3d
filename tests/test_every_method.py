"""What every built-in method owes its user, whoever wrote it: the methods come from the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.procedural import generate
from zsad.detector import Detector, load_detector
from zsad.errors import InputError, ZsadError
from zsad.host import get_host
from zsad.recipe import load_recipe
from zsad.values import Prediction, Sample

METHODS = sorted(name for name, claim in get_host().recipes.items() if claim.distribution == "zsad")

TOLERANCE = 1e-5
"""Largest difference in units of the largest value of the map."""

SIZE = 160
"""Side in pixels at which batches are compared: 10 x 10 patches of mini."""

LARGE = "ViT-L-14-336@random:0"


@pytest.fixture(scope="module")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module")
def exact() -> ClipBackbone:
    """The same in float64, in which another batch's rounding does not turn a choice such as k-means'."""
    return load_backbone("mini", "cpu", "float64")


@pytest.fixture(scope="module")
def load(require: Callable[[str, str], None]) -> Callable[..., Detector]:
    """Load an untrained method; ask for the model that one of its side inputs comes from."""

    def loaded(method: str, backbone: ClipBackbone, image_size: int | None = None) -> Detector:
        try:
            return load_detector(method, backbone=backbone, image_size=image_size, untrained=True)
        except ZsadError as error:
            if isinstance(error, InputError) or not load_recipe(get_host(), method).parts.auxiliary:
                raise
            require("models", str(error))
            raise

    return loaded


@pytest.fixture(scope="module", params=METHODS)
def detector(request: pytest.FixtureRequest, load: Callable[..., Detector], exact: ClipBackbone) -> Detector:
    return load(request.param, exact, SIZE)


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


def check_answer(prediction: Prediction, count: int, size: int) -> None:
    score, maps = prediction.score, prediction.anomaly_map
    assert score.shape == (count,) and maps.shape == (count, size, size)
    assert torch.isfinite(score).all() and torch.isfinite(maps).all()
    assert (maps.amax((1, 2)) > maps.amin((1, 2))).all(), "a map is constant"


def check_alike(found: Prediction, whole: Prediction, places: Sequence[int]) -> None:
    """Check that images have the answers that they have at these places of another batch."""
    for name in ("anomaly_map", "score"):
        mine, other = getattr(found, name), getattr(whole, name)[list(places)]
        assert (mine - other).abs().max() <= TOLERANCE * other.abs().max(), name


@pytest.mark.parametrize("method", METHODS)
def test_every_image_gets_a_map_and_a_score(
    method: str, load: Callable[..., Detector], mini: ClipBackbone, samples: list[Sample]
) -> None:
    detector = load(method, mini)
    check_answer(detector.predict([samples[0], samples[2]]), 2, detector.recipe.image_size)


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


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def large(request: pytest.FixtureRequest) -> ClipBackbone:
    return load_backbone(LARGE, "cpu", request.param)


@pytest.mark.acceptance
@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_a_large_backbone(
    method: str, load: Callable[..., Detector], large: ClipBackbone
) -> None:
    detector = load(method, large, 518)
    count = 2 if detector.recipe.transductive else 1  # one image alone has nothing to be compared with
    images = [generate(0, index, size=518).image for index in range(count)]
    check_answer(detector.predict(images), count, 518)
