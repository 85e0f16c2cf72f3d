"""From requests to detectors, on the host that is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import TINY
from tests.conftest import Site
from zsad.backbones.clip import ClipBackbone
from zsad.detect.loading import load, load_together
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.evaluation.contestants import load_contestants
from zsad.evaluation.request import EvaluationRequest
from zsad.plugin.host import NO_PLUGINS, Host, get_host
from zsad.recipe.settings import Settings
from zsad_demo.engine import Engine

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import BackboneSpec
zsad_api = 1

@hookimpl
def zsad_backbones():
    yield BackboneSpec("acme-tiny", "acme_backbone:load", "A small one.")
"""

BACKBONE = f"""
from zsad.backbones.loading import load_backbone

LOADED = []

def load(device, dtype):
    LOADED.append(load_backbone({TINY!r}, device.type, "float32"))
    return LOADED[-1]
"""


@pytest.fixture
def loaded(site: Site) -> Iterator[list[ClipBackbone]]:
    """What the backbone ``acme-tiny`` of a plugin has loaded."""
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_backbone.py": BACKBONE}, {"acme": "acme_plugin"})
    from acme_backbone import LOADED  # type: ignore[import-not-found]

    yield LOADED


@pytest.fixture
def other_host(loaded: list[ClipBackbone], monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with that plugin, which the host of the process lacks."""
    host = Host.discover(environ={})
    monkeypatch.setenv(NO_PLUGINS, "1")
    assert "acme-tiny" in host.backbones and "acme-tiny" not in get_host().backbones
    return host


def request(method: str, *overrides: str, **wanted: object) -> DetectorRequest:
    return DetectorRequest(method=method, overrides=Settings.parse(overrides), device="cpu", **wanted)  # type: ignore[arg-type]


def test_methods_share_a_backbone_that_is_loaded_once(loaded) -> None:
    wanted = [
        request("clip-baseline", backbone="acme-tiny"),
        request("winclip", backbone="acme-tiny"),
        request("clip-baseline", "scorer.temperature=0.5", backbone="acme-tiny", image_size=80),
    ]
    detectors = load_together(wanted)
    assert len(loaded) == 1 and all(detector.backbone is loaded[0] for detector in detectors)
    assert [detector.recipe.method for detector in detectors] == ["clip-baseline", "winclip", "clip-baseline"]
    assert detectors[2].recipe.image_size == 80 != detectors[0].recipe.image_size
    assert detectors[2].recipe.fidelity == "composed"
    again = load(wanted[2], backbone=loaded[0])
    assert len(loaded) == 1 and again.recipe == detectors[2].recipe
    assert load(wanted[0]).backbone is loaded[1]


def test_one_wrong_request_is_refused_before_any_backbone_is_loaded(loaded, tmp_path) -> None:
    for wrong, words in (
        (request("winclp"), "did you mean 'winclip'"),
        (request("winclip", adapter=tmp_path / "no"), "there is no such folder"),
    ):
        with pytest.raises(InputError, match=words):
            load_together([request("clip-baseline", backbone="acme-tiny"), wrong])
    assert not loaded


def test_the_given_host_knows_the_backbone(other_host, loaded, tmp_path) -> None:
    assert load(request("clip-baseline", backbone="acme-tiny"), other_host).backbone is loaded[0]
    wanted = EvaluationRequest(
        methods=("clip-baseline", "winclip"), data=(), folder=tmp_path, backbone="acme-tiny", device="cpu"
    )
    contestants = load_contestants(wanted, other_host)
    assert [entry.detector.backbone for entry in contestants] == [loaded[1], loaded[1]]
    engine = Engine(["acme-tiny"], device="cpu", host=other_host)
    assert len(loaded) == 3 and engine.models["clip-baseline"].backbone == "acme-tiny"
    with pytest.raises(InputError, match="unknown backbone 'acme-tiny'"):
        load(request("clip-baseline", backbone="acme-tiny"))


@pytest.mark.parametrize(
    ("overrides", "wanted", "words"),
    [
        (["image_size=80"], {"image_size": 96}, "--image-size and --set image_size=80 say the same thing"),
        (["generator.area=1"], {}, "'generator' has no effect here, only where a method is trained"),
        (["examples.clean=0"], {}, "'examples' has no effect here"),
        (["adapter.rank=2"], {"adapter": Path("x")}, "'adapter' has no effect here"),
    ],
)
def test_what_has_no_effect_is_refused(overrides, wanted, words) -> None:
    with pytest.raises(InputError, match=words):
        request("clip-baseline", *overrides, **wanted)


def test_a_detector_has_its_plan_of_training(tiny_backbone) -> None:
    detector = load(request("anomalyclip", "training.epochs=2", untrained=True), backbone=tiny_backbone)
    assert detector.recipe.recipe.training.epochs == 2
    assert detector.recipe.fidelity == load(request("anomalyclip", untrained=True),
                                            backbone=tiny_backbone).recipe.fidelity  # fmt: skip
