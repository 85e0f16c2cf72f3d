"""The whole method on the built-in backbone, its options, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.cli.main import main
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.values import Sample

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def textures(count: int, name: str, seed: int = 0) -> list[Sample]:
    """Draw images of one stripe pattern; the last one has a square that the others lack."""
    draw = np.random.default_rng(seed)
    rows = np.arange(96)[:, None, None]
    stripes = 110 + 60 * np.sin(rows / (4 + seed)) + np.zeros((96, 96, 3))
    found = []
    for number in range(count):
        image = np.roll(stripes, 5 * number, axis=0) + draw.normal(0, 6, (96, 96, 3))
        if number == count - 1:
            image[48:72, 12:36] = (220, 30, 30)
        found.append(Sample(np.clip(image, 0, 255).astype(np.uint8), name))
    return found


@pytest.fixture(scope="module")
def musc() -> Detector:
    return load_detector("musc", backbone="mini", untrained=True)


def test_the_odd_one_out_is_found(musc: Detector) -> None:
    prediction = musc.predict(textures(6, "leather"), "leather")
    assert torch.isfinite(prediction.anomaly_map).all() and torch.isfinite(prediction.score).all()
    assert prediction.anomaly_map.flatten(1).std(1).min() > 0
    assert int(prediction.score.argmax()) == 5
    side = musc.recipe.image_size
    row, column = divmod(int(prediction.anomaly_map[5].argmax()), side)
    assert 48 <= row * 96 / side <= 72 and 12 <= column * 96 / side <= 36
    assert prediction.trace == ("standard.map_maximum", "musc.rscin")


def test_a_class_is_a_scope_and_batches_change_nothing(musc: Detector) -> None:
    gears, leathers = textures(4, "gear", 1), textures(3, "leather")
    mixed = [gears[0], leathers[0], gears[1], gears[2], leathers[1], leathers[2], gears[3]]
    scope = musc.scope()
    assert scope.waits
    for low in range(0, 7, 3):
        assert musc.add(scope, musc.encode(mixed[low : low + 3])) is None
    found = musc.finish(scope)
    assert found is not None
    for own, places in ((gears, [0, 2, 3, 6]), (leathers, [1, 4, 5])):
        alone = musc.predict(own)
        torch.testing.assert_close(found.anomaly_map[places], alone.anomaly_map, **CLOSE)
        torch.testing.assert_close(found.score[places], alone.score, **CLOSE)


def test_memory_changes_no_result(musc: Detector) -> None:
    given = textures(4, "gear")
    small = load_detector("musc", backbone=musc.backbone, overrides=["scorer.memory_mb=1"])
    torch.testing.assert_close(musc.predict(given).anomaly_map, small.predict(given).anomaly_map, **CLOSE)


def test_the_setting_is_computed(musc: Detector) -> None:
    assert "transductive / zero-shot" in musc.setting and musc.text_side is None
    assert musc.recipe.blocks == (2, 4, 6, 8) and musc.recipe.fidelity == "official-code"


def test_the_published_numbers_are_in_the_recipe() -> None:
    recipe = load_recipe(get_host(), "musc")
    assert recipe.readout.blocks(24) == (6, 12, 18, 24) and recipe.readout.blocks(12) == (3, 6, 9, 12)
    assert recipe.official is not None
    assert recipe.official.image_size == 518 and recipe.official.vision.activation == "gelu"
    visa = load_recipe(get_host(), "musc@visa").parts
    assert visa.post_processors[-1].options["neighbours"] == [1, 8, 9]
    assert (
        visa.scorer == recipe.parts.scorer and visa.post_processors[:-1] == recipe.parts.post_processors[:-1]
    )


@pytest.mark.parametrize(("override", "sentence"), [
    ("feature_adapter.sides=[1, 4]", "its side is odd, not 4"),
    ("feature_adapter.sides=[]", "sides"),
    ("scorer.interval=[0.3, 0.0]", "two shares from 0 to 1, the smaller one first"),
    ("scorer.interval=[0.0, 1.5]", "two shares from 0 to 1"),
    ("scorer.memory_mb=0", "memory_mb"),
    ("scorer.keep=int8", "keep"),
    ("scorer.intervall=[0, 1]", "did you mean 'interval'"),
    ("post_processors.rscin.neighbours=[0]", "neighbours"),
])  # fmt: skip
def test_wrong_options_are_one_sentence(musc: Detector, override: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        load_detector("musc", backbone=musc.backbone, overrides=[override])
    assert "\n" not in str(caught.value)


def test_one_image_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.fromarray(textures(1, "gear")[0].image).save(tmp_path / "one.png")
    with pytest.raises(SystemExit) as leave:
        main(["predict", str(tmp_path / "one.png"), "--method", "musc", "--backbone", "mini", "--class-name",
              "gear", "--out", str(tmp_path / "out")])  # fmt: skip
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert leave.value.code == 2 and "'gear' has only one image here; give two or more" in line


def test_tokens_have_to_be_there(musc: Detector) -> None:
    with pytest.raises(InputError, match=r"'musc.lnamd' .* requires 'patch_tokens'"):
        load_detector("musc", backbone=musc.backbone, overrides=["attention_refiner=winclip.windows"])
