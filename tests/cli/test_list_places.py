"""Weights of a part in a place that holds a list: a checkpoint of it is converted, and commands load it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import Site
from tests.training.drawing import draw_set
from zsad.weights.card import read_card

KEY = "post_processors:acme/scale"

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.scale", "post_processors", "acme_parts:Scale", "A learned factor.", learnable=True,
                   requires=frozenset({"anomaly_map"}))

@hookimpl
def zsad_recipes():
    yield RecipeSpec("acme", "acme_plugin:recipe.yaml", converter="acme_parts:convert")
"""

PARTS = f"""
from dataclasses import replace
import torch

class Scale(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, scores, features):
        return replace(scores, map=scores.map * self.factor)

def convert(state):
    return {{state.get("place", "{KEY}") + ".factor": state["gain"]}}
"""

RECIPE = """
extends: zsad_plugins.clip_baseline:recipe.yaml
name: acme
summary: The plain one, scaled.
official:
  architectures: [ViT-L-14-336]
  image_size: 518
  vision: {activation: quick_gelu, position_embedding: bilinear}
  text: {activation: quick_gelu}
"""

OFFICIAL = ("--set", "profile=official")


@pytest.fixture
def acme(site: Site) -> Site:
    """A plugin whose method has a learned post-processor at the end of its list."""
    from zsad.plugin.host import get_host
    from zsad.recipe.recipes import load_recipe

    parts = [choice.use for choice in load_recipe(get_host(), "clip-baseline").parts.post_processors]
    recipe = f"{RECIPE}parts: {{post_processors: {json.dumps([*parts, 'acme.scale'])}}}\n"
    modules = {"acme_plugin/__init__.py": PLUGIN, "acme_plugin/recipe.yaml": recipe, "acme_parts.py": PARTS}
    site.install("acme", modules, {"acme": "acme_plugin"})
    return site


@pytest.fixture
def converted(acme: Site, zsad, tmp_path) -> Path:
    """The authors' gain of 3, converted."""
    torch.save({"gain": torch.tensor(3.0)}, tmp_path / "authors.pth")
    file = tmp_path / "acme.safetensors"
    answer = zsad("convert", "acme", tmp_path / "authors.pth", file, "--json")
    assert answer.code == 0 and json.loads(answer.out)["parts"] == {KEY: "acme.scale"}
    return file


def test_a_checkpoint_of_it_is_converted(converted) -> None:
    assert read_card(converted).parts == {KEY: "acme.scale"}
    assert {name: float(tensor) for name, tensor in load_file(converted).items()} == {f"{KEY}.factor": 3.0}


@pytest.mark.parametrize("whose", ["", f"{KEY}=", "acme=", f"acme:{KEY}="])
def test_predict_takes_them_in_every_form(zsad, tiny, photo, tmp_path, converted, whose) -> None:
    words = ("predict", photo, "--method", "acme", "--backbone", tiny, "--json", "--save-maps", *OFFICIAL,
             "--out")  # fmt: skip
    plain, scaled = (zsad(*words, tmp_path / name, *more) for name, more in
                     (("a", ["--untrained"]), ("b", ["--weights", f"{whose}{converted}"])))  # fmt: skip
    assert (plain.code, scaled.code) == (0, 0), plain.err + scaled.err
    report = json.loads(scaled.out)
    assert list(report["weights"]["parts"]) == [KEY]
    before, after = (np.load(json.loads(answer.out)["images"][0]["map"]) for answer in (plain, scaled))
    np.testing.assert_allclose(after, 3 * before, rtol=1e-5)


def test_eval_and_train_take_them(zsad, tiny, tmp_path, converted) -> None:
    data = f"folder={draw_set(tmp_path / 'set', 2, 2)}"
    answer = zsad("eval", "--method", "anomalyclip", "--method", "acme", "--backbone", tiny, "--data", data,
                  "--weights", f"acme:{KEY}={converted}", "--out", tmp_path / "e", "--workers", 0, "--json",
                  "--metrics", "image_auroc", "--untrained", *OFFICIAL)  # fmt: skip
    assert answer.code == 0, answer.err
    origins = {row["method"]: row["weights_origin"] for row in json.loads(answer.out)}
    assert origins == {"anomalyclip": "none", "acme": "authors"}
    options = json.loads((tmp_path / "e" / "run.json").read_text())["options"]
    assert options["weights"] == [f"acme:{KEY}={converted}"]
    answer = zsad("train", "--method", "acme", "--backbone", tiny, "--data", data, "--out", tmp_path / "t",
                  "--weights", f"post_processors:acme/scal={converted}", "--workers", 0)  # fmt: skip
    assert answer.code == 2
    assert f"no learnable part 'post_processors:acme/scal' (it has: {KEY})" in answer.sentence


def test_weights_of_no_part_are_the_importers_fault(acme, zsad, tmp_path) -> None:
    torch.save({"gain": torch.ones(()), "place": "post_processors:acme/other"}, tmp_path / "authors.pth")
    answer = zsad("convert", "acme", tmp_path / "authors.pth", tmp_path / "out.safetensors")
    assert (
        answer.code == 1 and "'post_processors:acme/other', which is no part of its recipe" in answer.sentence
    )
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_without_them_is_named(acme, zsad, tiny, photo, tmp_path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    answer = zsad("predict", photo, "--method", "acme", "--backbone", tiny, "--out", tmp_path / "p",
                  "--weights", f"{KEY}={tmp_path / 'w.safetensors'}")  # fmt: skip
    assert answer.code == 2 and "w.safetensors has no zsad card" in answer.sentence
