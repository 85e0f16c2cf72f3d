"""A conditioner that asks for provisional scores needs a scorer that can give them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.plugin.specs import PartSpec

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    asks = dict(options=None, provisional={"scores:logits"})
    yield PartSpec("acme.asks", "prompt_conditioner", "acme_parts:Asks", "C.", provides={"acme.found"},
                   **asks)
    yield PartSpec("acme.silent", "prompt_conditioner", "acme_parts:Asks", "C.")
    yield PartSpec("acme.deaf", "prompt_conditioner", "acme_parts:Deaf", "C.", **asks)
    yield PartSpec("acme.half", "attention_refiner", "acme_parts:Half", "R.")
    for name, more in (
        ("anomaly", dict(provides={"scores:anomaly", "image_score", "anomaly_map"})),
        ("needs", dict(requires={"acme.found"}, provides={"scores:logits", "image_score", "anomaly_map"})),
        ("whole", dict(two_phase=True, provides={"scores:logits", "image_score", "anomaly_map"})),
    ):
        yield PartSpec(f"acme.{name}", "scorer", "acme_parts:Deaf", "S.", **more)
"""

PARTS = """
class Asks:
    def __init__(self, options, context): ...
    def condition(self, prompts, features, provisional):
        return prompts, {}

class Deaf:
    def __init__(self, options, context): ...
    def __call__(self, prompts, features):
        return prompts, {}

class Half:
    def __init__(self, options, context): ...
    def request(self): ...
    def inject(self, prepass): ...
"""


@pytest.fixture(autouse=True)
def acme(site: Any) -> None:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})


def load(backbone: ClipBackbone, *overrides: str) -> None:
    load_detector("clip-baseline", backbone=backbone, host=get_host(), overrides=overrides)


@pytest.mark.parametrize(
    ("scorer", "sentence"),
    [
        ("acme.anomaly", "of which it needs 'scores:logits', and 'acme.anomaly' does not provide that"),
        ("acme.needs", "'acme.needs' needs 'acme.found' of it before it can score"),
        ("acme.whole", "'acme.whole' scores whole sets, not batches; choose another scorer"),
    ],
)
def test_scorers_that_cannot_answer_first(tiny_backbone: ClipBackbone, scorer: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(tiny_backbone, "prompt_conditioner=acme.asks", f"scorer={scorer}")


def test_one_that_can_is_taken(tiny_backbone: ClipBackbone) -> None:
    load(tiny_backbone, "prompt_conditioner=acme.asks")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("prompt_conditioner=acme.silent", r"'acme.silent' has condition, but declares provisional=\[\]"),
        ("prompt_conditioner=acme.deaf", "'acme.deaf' lacks condition"),
        ("attention_refiner=acme.half", r"'acme.half' injects, but lacks needs_prepass or request\(\)"),
    ],
)
def test_parts_that_are_not_what_they_declare(
    tiny_backbone: ClipBackbone, override: str, sentence: str
) -> None:
    with pytest.raises(ZsadError, match=sentence):
        load(tiny_backbone, override)


def test_a_string_is_no_set_of_words() -> None:
    with pytest.raises(TypeError, match=r"provisional of 'a.b' has to be a set"):
        PartSpec("a.b", "prompt_conditioner", "a:b", "C.", provisional="scores:logits")
