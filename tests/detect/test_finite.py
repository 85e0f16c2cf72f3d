"""A score or a map that is no number is refused in one place, whichever way an image is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.evaluation.drawing import draw
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.cli.main import main
from zsad.detect.detector import Detector
from zsad.errors import ZsadError
from zsad.plugin.host import get_host

TINY = f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:0"

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    # fmt: off
    yield PartSpec("acme.maps", "post_processors", ":Maps", "One pixel of the second image is no number.",
                   options=":Options", requires={"anomaly_map"})
    yield PartSpec("acme.scores", "post_processors", ":Images", "The second image's score is no number.",
                   options=":Options", requires={"image_score"})
    yield PartSpec("acme.waits", "post_processors", ":Waits", "The last image's score, at the scope's end.",
                   options=":Options", requires={"image_score"}, two_phase=True)
    # fmt: on

from zsad.plugin.options import Options as Base

class Options(Base):
    value: str = "nan"

class Part:
    def __init__(self, options, context):
        self.value = float(options.value)

class Maps(Part):
    def __call__(self, scores, features):
        from dataclasses import replace
        maps = scores.required_map.clone()
        maps[1:2, 3, 5] = self.value
        return replace(scores, map=maps)

class Images(Part):
    def __call__(self, scores, features):
        found = scores.required_image_score.clone()
        found[1:2] = self.value
        return scores.with_image_score(found, "acme")

class Waits(Part):
    def collect(self, scores, features):
        return scores

    def finalize(self, scope):
        from zsad.values import join_scores
        joined = join_scores(scope)
        found = joined.required_image_score.clone()
        found[-1] = self.value
        return joined.with_image_score(found, "acme")
"""


@pytest.fixture(autouse=True)
def _acme(site: Any) -> None:
    site.install("acme", {"acme_plugin.py": PLUGIN}, {"acme": "acme_plugin"})


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def run(part: str, *, value: str = "nan", backbone: ClipBackbone = tiny_backbone) -> Detector:
        overrides = [f"post_processors+=acme.{part}", f"post_processors.{part}.value='{value}'"]
        return load_detector("clip-baseline", backbone=backbone, overrides=overrides, host=get_host())

    return run


@pytest.fixture
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(3)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("part", "image"), [("maps", 2), ("scores", 2), ("waits", 3)])
def test_method_and_image_are_named(
    load: Callable[..., Detector], images: list[np.ndarray], part: str, image: int, value: str
) -> None:
    detector = load(part, value=value)
    with pytest.raises(ZsadError) as caught:
        detector.predict(images)
    assert str(caught.value) == f"method 'clip-baseline' gave a score that is no number for image {image}"
    # A single image has none beside it that could spoil it.
    alone = None if part == "waits" else detector.predict(images[:1])
    assert alone is None or alone.score.isfinite().all()


def test_files_are_named_by_their_path(load: Callable[..., Detector], tmp_path: Path) -> None:
    paths = sorted(draw(tmp_path / "parts", ["gear"]).rglob("good/*.png"))
    detector = load("maps")
    features = detector.encode(paths)
    with pytest.raises(ZsadError) as caught:
        detector.score(features, "gear")
    assert str(caught.value) == f"method 'clip-baseline' gave a score that is no number for {paths[1]}"


def test_the_last_batch_of_a_scope_is_checked_at_its_end(
    load: Callable[..., Detector], images: list[np.ndarray]
) -> None:
    detector = load("waits")
    scope = detector.scope()
    assert detector.add(scope, detector.encode(images)) is None
    with pytest.raises(ZsadError, match=r"no number for image 3$"):
        detector.finish(scope)


@pytest.mark.parametrize(("dtype", "mend"), [("float32", ""), ("bfloat16", "; try --dtype float32")])
def test_another_precision_is_proposed_where_there_is_one(
    load: Callable[..., Detector], images: list[np.ndarray], dtype: str, mend: str
) -> None:
    detector = load("scores", backbone=load_backbone(TINY, "cpu", dtype))
    with pytest.raises(ZsadError) as caught:
        detector.predict(images)
    assert str(caught.value) == f"method 'clip-baseline' gave a score that is no number for image 2{mend}"


def test_numbers_are_left_alone(load: Callable[..., Detector], images: list[np.ndarray]) -> None:
    prediction = load("maps", value="3.4e38").predict(images)
    assert prediction.anomaly_map[1, 3, 5] == torch.tensor(3.4e38)


def run(words: Sequence[object], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails, and return the line of its error, which names the image."""
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in words])
    assert leave.value.code == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if " gave a score " in line]
    return line[line.index("method '") :]


@pytest.mark.parametrize("part", ["maps", "scores"])
@pytest.mark.parametrize(("dtype", "mend"), [("float32", ""), ("bfloat16", "; try --dtype float32")])
def test_predict_and_eval_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, dtype: str, mend: str
) -> None:
    data = draw(tmp_path / "parts", ["gear"])
    second = sorted((data / "gear" / "good").glob("*.png"))[1]
    common = ("--method", "clip-baseline", "--backbone", TINY, "--device", "cpu", "--dtype", dtype, "--out",
              tmp_path / "out", "--batch-size", "3", "--set", f"post_processors+=acme.{part}")  # fmt: skip
    sentence = f"method 'clip-baseline' gave a score that is no number for {second}{mend}"
    assert run(["predict", data / "gear" / "good", *common], capsys) == sentence
    common = tuple(tmp_path / "eval" if word == tmp_path / "out" else word for word in common)
    assert run(["eval", "--data", f"folder={data}", "--workers", "0", *common], capsys) == sentence
