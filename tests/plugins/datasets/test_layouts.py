"""What the plugin contributes."""

from __future__ import annotations

import pytest

from zsad.data.spec import open_dataset
from zsad.plugin.host import get_host
from zsad.plugin.imports import load_object

NAMES = ("btad", "folder", "manifest", "meta", "mvtec", "samples", "visa")


def test_layouts_are_registered() -> None:
    assert set(NAMES) <= set(get_host().datasets.names())


@pytest.mark.parametrize("name", NAMES)
def test_readers_exist_and_describe_themselves(name) -> None:
    claim = get_host().datasets.get(name)
    assert claim.distribution == "zsad"
    assert callable(load_object(claim.spec.reader))


def test_btad(draw) -> None:
    draw("01/test/ok/1.png", "01/test/ko/1.png")
    root = draw("01/ground_truth/ko/1.png", value=255)
    dataset = open_dataset(f"btad={root}", get_host())
    assert dataset.images[0].noun == "product" and dataset.has_masks
