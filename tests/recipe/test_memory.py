"""A reference store and what reads its memory stand in a recipe together or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.detect.fewshot import install
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.errors import InputError
from zsad.plugin.host import get_host


@pytest.mark.parametrize(
    ("method", "override", "why"),
    [
        ("nearest-neighbour", "reference_store=none", "requires 'memory'.* .reference_store. would"),
        (
            "clip-baseline",
            "reference_store=standard.token_memory",
            "remembers what 'standard.cosine' .scorer. does not read; add --set reference_store=none",
        ),
        ("faprompt", "scorer=standard.nearest", "compares with references, of which a first look has none"),
        (
            "nearest-neighbour",
            "scorer=standard.token_memory",
            "is a reference_store and cannot be used as scorer",
        ),
        ("nearest-neighbour", "reference_store.share=0", "'share' cannot be 0"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tiny_backbone: ClipBackbone, method: str, override: str, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        load_detector(method, backbone=tiny_backbone, overrides=[override], untrained=True)


def test_the_third_axis_of_the_setting_follows_from_the_store(site: Any, tiny_backbone: ClipBackbone) -> None:
    install(site)
    settings = {
        method: load_detector(method, backbone=tiny_backbone, host=get_host()).setting
        for method in ("clip-baseline", "nearest-neighbour", "acme-both")
    }
    assert settings == {
        "clip-baseline": "training-free / inductive / zero-shot",
        "nearest-neighbour": "training-free / inductive / few-shot-normal",
        "acme-both": "training-free / inductive / few-shot-normal-abnormal",
    }
