"""Parts are built as they declare, own what they learn, and hold nothing of a tower."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.training.drawing import draw_set
from tests.training.stages import learn
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.parts import BuildContext
from zsad.plugin.host import get_host
from zsad.training.learner import learned_parameters

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    for name in ("Keeps", "Tower", "View", "Wrapped", "Transposed", "Copies", "Empty"):
        yield PartSpec(f"acme.{name.lower()}", "prompt_learner", f"acme_parts:{name}", "P.", learnable=True)
    yield PartSpec("acme.buffer", "prompt_learner", "acme_parts:View", "Learns nothing.")
    yield PartSpec("acme.waits", "scorer", "acme_parts:Waits", "S.",
                   provides={"scores:logits", "image_score"})
    yield PartSpec("acme.answers", "scorer", "acme_parts:answers", "S.", two_phase=True,
                   provides={"scores:logits", "image_score"})
    yield PartSpec("acme.learns", "scorer", "acme_parts:answers", "S.", learnable=True,
                   provides={"scores:logits", "image_score"})
    yield PartSpec("acme.worried", "attention_refiner", "acme_parts:worried", "R.")
    yield PartSpec("acme.missing", "attention_refiner", "acme_parts:missing", "R.")
"""

PARTS = """
import torch
from torch import nn
from zsad.errors import InputError
from zsad.prompts import Prompts

class Keeps(nn.Module):
    class_agnostic = True

    def __init__(self, options, context):
        super().__init__()
        self.text = context.text
        self.shift = nn.Parameter(torch.zeros(context.text.width))
        self.hold(context.text._tower)

    def hold(self, tower): ...

    def forward(self, class_name):
        words = self.text.sentences(["a good object", "a bad object"])
        embeddings = words.embeddings + self.shift * torch.tensor([[[1.0]], [[-1.0]]])
        return Prompts(embeddings, words.end, torch.tensor([0, 1]))

class Tower(Keeps):
    def hold(self, tower):
        self.inner = nn.ModuleDict({"tower": tower})

class View(Keeps):
    def hold(self, tower):
        self.register_buffer("words", tower.token_embedding[3:5], persistent=False)

class Wrapped(Keeps):
    def hold(self, tower):
        self.table = nn.Parameter(tower.position_embedding.detach())

class Transposed(Keeps):
    def hold(self, tower):
        self.matrix = nn.Parameter(tower.blocks[1].fc1.weight.detach().T)

class Copies(Keeps):
    def hold(self, tower):
        self.table = nn.Parameter(tower.position_embedding.detach().clone())

class Empty(Keeps):
    def hold(self, tower):
        self.register_buffer("nothing", torch.zeros(0, 3))

class Waits:
    def __init__(self, options, context): ...
    def collect(self, features, conditioning): ...
    def finalize(self, scope): ...

def answers(options, context):
    return lambda features, conditioning: None

def missing(options, context):
    return {}["missing"]

def worried(options, context):
    raise InputError(f"depth {context.depth} is too deep")
"""


@pytest.fixture
def load(site: Any, tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})

    def run(override: str, method: str = "anomalyclip") -> Detector:
        return load_detector(
            method, backbone=tiny_backbone, overrides=[override], host=get_host(), untrained=True
        )

    return run


def towers(backbone: ClipBackbone) -> list[str]:
    found = (backbone.vision_tower(), backbone.text_tower())
    return [state_digest(tower.state_dict()) for tower in found if tower is not None]


def test_a_learner_that_keeps_the_text_view_owns_its_own_parameters_alone(
    load: Callable[..., Detector], tiny_backbone: ClipBackbone, tmp_path: Path
) -> None:
    detector = load("prompt_learner=acme.keeps")
    assert list(detector.state_dict()) == ["parts.prompt_learner.shift"]
    assert [name for name, _ in detector.named_parameters()] == ["parts.prompt_learner.shift"]
    assert list(learned_parameters(detector)) == ["prompt_learner.shift"]
    before = towers(tiny_backbone)
    dataset = open_dataset(f"folder={draw_set(tmp_path / 'gear')}", get_host())
    (stage,) = learn(detector, dataset, epochs=2, batch_size=4)
    assert stage.changed == {"prompt_learner.shift"} and not stage.same and stage.fell
    assert towers(tiny_backbone) == before
    assert all(not weight.requires_grad for weight in tiny_backbone.text_tower().parameters())


def test_a_copied_part_reads_the_same_tower(load: Callable[..., Detector]) -> None:
    learner = load("prompt_learner=acme.keeps").part("prompt_learner")
    copied = copy.deepcopy(learner)
    assert copied.text is learner.text and copied.shift is not learner.shift
    assert torch.equal(copied("").embeddings, learner("").embeddings)


@pytest.mark.parametrize(
    ("part", "tensor"),
    [
        ("tower", "inner.tower.token_embedding"),
        ("view", "words"),
        ("buffer", "words"),
        ("wrapped", "table"),
        ("transposed", "matrix"),
    ],
)
def test_what_shares_memory_with_a_tower_is_refused(
    load: Callable[..., Detector], part: str, tensor: str
) -> None:
    sentence = (
        f"part 'acme.{part}' holds frozen weights of the backbone as its own '{tensor}'; let it keep "
        "context.text, which is no module, or copies"
    )
    with pytest.raises(ZsadError) as caught:
        load(f"prompt_learner=acme.{part}")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("part", ["copies", "empty"])
def test_copies_and_empty_buffers_are_a_part_s_own(load: Callable[..., Detector], part: str) -> None:
    detector = load(f"prompt_learner=acme.{part}")
    image = np.zeros((40, 40, 3), np.uint8)
    assert detector.predict([image]).score.isfinite().all()


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("waits", "part 'acme.waits' has collect and finalize, but declares two_phase=False"),
        ("answers", "part 'acme.answers' lacks collect and finalize, but declares two_phase=True"),
        ("learns", "part 'acme.learns' is declared learnable, but is no torch module"),
    ],
)
def test_a_scorer_that_is_not_what_it_declares(
    load: Callable[..., Detector], part: str, sentence: str
) -> None:
    with pytest.raises(ZsadError) as caught:
        load(f"scorer=acme.{part}", "clip-baseline")
    assert str(caught.value) == sentence


def test_an_option_that_does_not_fit_the_backbone_names_the_part(load: Callable[..., Detector]) -> None:
    with pytest.raises(InputError, match=r"^part 'acme.worried': depth 4 is too deep$"):
        load("attention_refiner=acme.worried", "clip-baseline")


def test_a_backbone_without_text_has_no_view_of_it() -> None:
    context = BuildContext(
        vision_width=8, embed_dim=8, depth=2, patch_size=8, image_size=64, taps=(1, 2), tap_widths=(8, 8),
        stage="raw", text_view=None, device=torch.device("cpu"), seed=0,
    )  # fmt: skip
    with pytest.raises(ZsadError, match=r"reads the text side of a backbone without one; .* require 'text'"):
        _ = context.text
    with pytest.raises(ZsadError, match=r"reads the joint space of a tower without one; .* require 'text'"):
        _ = context.to_joint


def test_a_factory_that_raises_names_the_part(load: Callable[..., Detector]) -> None:
    with pytest.raises(ZsadError, match=r"^part 'acme.missing' cannot be built: KeyError: 'missing'$"):
        load("attention_refiner=acme.missing", "clip-baseline")
