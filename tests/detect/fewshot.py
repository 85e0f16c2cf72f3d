"""A plugin with stores of views and of abnormal references, and scorers that say what they were given."""

from __future__ import annotations

from typing import Any

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec
zsad_api = 1

STORES = ("turned", "both", "odd", "broken", "empty")

@hookimpl
def zsad_parts():
    for name in STORES:
        yield PartSpec(f"acme.{name}", "reference_store", f".parts:{name.title()}", "S.",
                       abnormal_references=name == "both")
    ends = {"anomaly_map", "image_score"}
    yield PartSpec("acme.count", "scorer", ".parts:Count", "S.", requires={"memory"}, provides=ends)
    yield PartSpec("acme.waits", "scorer", ".parts:Waits", "S.", requires={"memory"}, provides=ends,
                   two_phase=True)

@hookimpl
def zsad_recipes():
    for name in STORES:
        yield RecipeSpec(f"acme-{name}", f":{name}.yaml")
"""

PARTS = """
import numpy as np
import torch
from zsad.values import Scores, join_scores

class Store:
    def __init__(self, options, context): ...
    def remember(self, features, masks):
        return features.image_feature
    def fit(self, kept):
        return {"value": torch.cat(kept)}

class Turned(Store):
    def views(self, image):
        return [np.rot90(image, turns) for turns in range(4)]

class Both(Store):
    def remember(self, features, masks):
        return torch.zeros(len(features)) if masks is None else masks.float().mean((1, 2))

class Odd(Store):
    def fit(self, kept):
        return {"value": torch.tensor([float("nan")])}

class Broken(Store):
    def fit(self, kept):
        raise KeyError("what")

class Empty:
    def __init__(self, options, context): ...

class Count:
    def __init__(self, options, context): ...
    def answer(self, features, conditioning):
        score = len(conditioning.required_memory["value"]) + features.image_feature[:, 0] / 1000
        size = features.input_size
        return Scores(map=score[:, None, None].expand(-1, *size)).with_image_score(score, "count")
    def __call__(self, features, conditioning):
        return self.answer(features, conditioning)

class Waits:
    def __init__(self, options, context):
        self.count = Count(options, context)
    def collect(self, features, conditioning):
        return self.count.answer(features, conditioning)
    def finalize(self, scope):
        return join_scores(scope)
"""

RECIPE = """
name: acme-{name}
summary: counts what is remembered
fidelity: inspired
parts: {{reference_store: acme.{name}, scorer: acme.count}}
"""


def install(site: Any) -> None:
    """Install the plugin; its methods are ``acme-turned``, ``acme-both``, and so on."""
    names = ("turned", "both", "odd", "broken", "empty")
    recipes = {f"acme/{name}.yaml": RECIPE.format(name=name) for name in names}
    site.install("acme", {"acme/__init__.py": PLUGIN, "acme/parts.py": PARTS, **recipes}, {"acme": "acme"})
