"""Learned weights load where they belong, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.loading import load_detector
from zsad.backbones.card import TrainedOn
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import Host, get_host
from zsad.training.learner import learned_state, weights_card
from zsad.weights.card import WeightsCard, file_sha256, read_card
from zsad.weights.loading import save_weights

EMBEDDED = files("zsad_plugins.anomalyclip") / "mini.safetensors"

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.scale", "feature_adapter", "acme_parts:Scale", "An adapter.", learnable=True)
    yield PartSpec("acme.prompts", "prompt_learner", "zsad_plugins.anomalyclip.prompts:ObjectAgnosticPrompts",
                   "A stand-in.", options="zsad_plugins.anomalyclip.options:PromptOptions", learnable=True)
"""

PARTS = """
from dataclasses import replace
import torch

class Scale(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(context.embed_dim))

    def forward(self, features):
        return replace(features, image_feature=features.image_feature * self.scale)
"""


@pytest.fixture
def acme(site: Any) -> Host:
    """The host with a learnable adapter, and a prompt learner that stands in for AnomalyCLIP's."""
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})
    return get_host()


@pytest.fixture(scope="module")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture
def tiny(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def run(*overrides: str, **options: Any) -> Detector:
        return load_detector("anomalyclip", backbone=tiny_backbone, overrides=overrides, **options)

    return run


@pytest.fixture
def saved(tiny: Callable[..., Detector], tmp_path: Path) -> Path:
    """Weights of AnomalyCLIP on the tiny backbone, drawn from seed 7."""
    detector = tiny(untrained=True, seed=7)
    path = tmp_path / "weights.safetensors"
    save_weights(path, learned_state(detector), weights_card(detector, []))
    return path


def context(detector: Detector) -> torch.Tensor:
    return learned_state(detector)["prompt_learner.context"]


class TestFiles:
    """What ``--weights`` names."""

    def test_what_is_saved_is_loaded(self, tiny, saved) -> None:
        found, source = tiny(weights=saved), tiny(untrained=True, seed=7)
        assert all(
            torch.equal(tensor, learned_state(source)[name]) for name, tensor in learned_state(found).items()
        )
        assert not torch.equal(context(found), context(tiny(untrained=True)))
        assert found.cards["prompt_learner"] == read_card(saved) == weights_card(source, [])
        assert found.trained and "auxiliary-trained" in found.setting

    def test_they_win_over_untrained(self, tiny, saved) -> None:
        assert torch.equal(context(tiny(weights=saved, untrained=True)), context(tiny(weights=saved)))

    def test_one_file_per_part(self, acme, tiny_backbone, saved, tmp_path) -> None:
        words = {"backbone": tiny_backbone, "overrides": ["feature_adapter=acme.scale"], "host": acme}
        drawn = load_detector("anomalyclip", untrained=True, seed=9, **words)
        path = tmp_path / "adapter.safetensors"
        state = {name: t for name, t in learned_state(drawn).items() if name.startswith("feature_adapter.")}
        card = weights_card(drawn, []).model_copy(update={"parts": {"feature_adapter": "acme.scale"}})
        save_weights(path, state, card)
        source = {"prompt_learner": saved, "feature_adapter": path}
        both = load_detector("anomalyclip", weights=source, **words)
        assert torch.equal(learned_state(both)["feature_adapter.scale"], state["feature_adapter.scale"])
        assert torch.equal(context(both), load_file(saved)["prompt_learner.context"])
        assert set(both.cards) == {"prompt_learner", "feature_adapter"}
        with pytest.raises(InputError, match="needs learned weights for feature_adapter; pass --weights"):
            load_detector("anomalyclip", weights={"prompt_learner": saved}, **words)
        with pytest.raises(InputError, match=r"for prompt_learner .*needs them for feature_adapter \(acme"):
            load_detector("anomalyclip", weights=saved, **words)
        partly = load_detector("anomalyclip", weights={"prompt_learner": saved}, untrained=True, **words)
        assert list(partly.cards) == ["prompt_learner"]

    def test_a_part_that_the_method_has_not(self, tiny, tiny_backbone, saved) -> None:
        with pytest.raises(InputError, match=r"no learnable part 'scorer' \(it has: prompt_learner\)"):
            tiny(weights={"scorer": saved})
        with pytest.raises(InputError, match="'clip-baseline' learns nothing; leave --weights out"):
            load_detector("clip-baseline", backbone=tiny_backbone, weights=saved)

    def test_another_method(self, acme, tiny_backbone, saved) -> None:
        sentence = (
            r"method 'anomalyclip' for prompt_learner .*needs them for prompt_learner \(acme\.prompts\)"
        )
        with pytest.raises(InputError, match=sentence):
            load_detector(
                "anomalyclip", backbone=tiny_backbone, overrides=["prompt_learner=acme.prompts"],
                weights=saved, host=acme,
            )  # fmt: skip

    def test_another_backbone_is_said_before_its_profile(self, tiny, saved) -> None:
        card, state = read_card(saved), load_file(saved)
        other = card.model_copy(
            update={"backbone": "f" * 64, "profile": {**card.profile, "activation": "quick_gelu"}}
        )
        save_weights(saved, state, other)
        with pytest.raises(
            InputError, match=r"learned on another backbone \(sha256 ffffffffffff\.\.\., this"
        ):
            tiny(weights=saved)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"profile": {"activation": "quick_gelu"}},
                "learned with activation 'quick_gelu', this run uses 'gelu'; add --set profile=official",
            ),
            (
                {"profile": {"resize_order": "vertical-first"}},
                "learned with resize order 'vertical-first', this run uses 'horizontal-first'; train again",
            ),
            (
                {"profile": {"image_resize": "short-side"}},
                "learned with image resize 'short-side', .*; use --set profile.image_resize=short-side",
            ),
            (
                {"profile": {"image_resize": "crop"}},
                "image resize 'crop', this run uses 'squash'; train again",
            ),
            ({"text_activation": "quick_gelu"}, "learned with text activation 'quick_gelu', this run uses"),
        ],
    )
    def test_other_numerics(self, tiny, saved, change, sentence) -> None:
        card, state = read_card(saved), load_file(saved)
        if "profile" in change:
            change = {"profile": card.profile | change["profile"]}
        save_weights(saved, state, card.model_copy(update=change))
        with pytest.raises(InputError, match=sentence):
            tiny(weights=saved)

    def test_a_card_from_before_the_resize_order_was_named(self, tiny, saved) -> None:
        card, state = read_card(saved), load_file(saved)
        assert card.profile["resize_order"] == "horizontal-first"
        older = {name: value for name, value in card.profile.items() if name != "resize_order"}
        save_weights(saved, state, card.model_copy(update={"profile": older}))
        assert torch.equal(context(tiny(weights=saved)), state["prompt_learner.context"])
        # No other field may be missing.
        del older["image_resize"]
        save_weights(saved, state, card.model_copy(update={"profile": older}))
        with pytest.raises(InputError, match="learned with image resize 'None', this run uses 'squash'"):
            tiny(weights=saved)

    def test_an_unknown_backbone_is_let_through(self, tiny, saved) -> None:
        save_weights(saved, load_file(saved), read_card(saved).model_copy(update={"backbone": None}))
        assert tiny(weights=saved).cards["prompt_learner"].backbone is None

    def test_other_options_have_other_shapes(self, tiny, saved) -> None:
        sentence = (
            r"other options of the prompt_learner: .*context' has the shape \(2, 12, 64\), .*\(2, 5, 64\)"
        )
        with pytest.raises(InputError, match=sentence):
            tiny("prompt_learner.context_tokens=5", weights=saved)

    @pytest.mark.parametrize(
        ("lost", "added", "sentence"),
        [
            ("prompt_learner.deep", None, "it lacks 'prompt_learner.deep'"),
            (None, "prompt_learner.extra", "it has the unknown 'prompt_learner.extra'"),
        ],
    )
    def test_other_tensors(self, tiny, saved, lost, added, sentence) -> None:
        card, state = read_card(saved), load_file(saved)
        state = {name: tensor for name, tensor in state.items() if name != lost}
        save_weights(saved, state | ({added: torch.zeros(2)} if added else {}), card)
        with pytest.raises(InputError, match=sentence):
            tiny(weights=saved)

    def test_no_weights_file(self, tiny, tmp_path) -> None:
        with pytest.raises(InputError, match=r"no weights file .*none\.safetensors"):
            tiny(weights=tmp_path / "none.safetensors")
        save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
        with pytest.raises(InputError, match=r"plain\.safetensors has no zsad card"):
            tiny(weights=tmp_path / "plain.safetensors")

    def test_the_file_holds_the_card_and_nothing_is_left_behind(self, saved) -> None:
        assert [path.name for path in saved.parent.iterdir()] == ["weights.safetensors"]
        assert len(file_sha256(saved)) == 64
        copy = saved.with_name("copy")
        shutil.copy(saved, copy)
        assert file_sha256(copy) == file_sha256(saved)

    def test_views_are_saved_whole(self, tmp_path) -> None:
        path = tmp_path / "views.safetensors"
        card = WeightsCard(
            method="m", parts={}, profile={}, origin="own", trained_on=(TrainedOn(dataset="d"),)
        )
        matrix = torch.arange(6.0).reshape(2, 3)
        save_weights(path, {"a": matrix.T}, card)
        assert torch.equal(load_file(path)["a"], matrix.T)
        assert read_card(path) == card


class TestEmbedded:
    """Weights that a plugin ships for the embedded backbone."""

    def test_they_are_used_on_the_backbone_they_were_learned_on(self, mini) -> None:
        detector = load_detector("anomalyclip", backbone=mini)
        with as_file(EMBEDDED) as path:
            state, card = load_file(path), read_card(path)
        assert card.backbone == mini.sha256, "learn them anew: python -m zsad train --method anomalyclip"
        assert learned_state(detector).keys() == state.keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in learned_state(detector).items())
        assert detector.cards == {"prompt_learner": card}
        assert card.origin == "own" and card.trained_on
        assert detector.recipe.fidelity == "official-code"

    def test_untrained_ignores_them(self, mini) -> None:
        drawn = load_detector("anomalyclip", backbone=mini, untrained=True)
        assert drawn.cards == {}
        assert not torch.equal(context(drawn), context(load_detector("anomalyclip", backbone=mini)))

    @pytest.mark.parametrize("name", ["mini-random", "tiny"])
    def test_another_backbone_gets_none(self, tiny_backbone, name) -> None:
        backbone = tiny_backbone if name == "tiny" else load_backbone(name, "cpu", "float32")
        sentence = (
            "'anomalyclip' needs learned weights for prompt_learner; pass --weights FILE, or --untrained"
        )
        with pytest.raises(InputError, match=sentence):
            load_detector("anomalyclip", backbone=backbone)
        assert load_detector("anomalyclip", backbone=backbone, untrained=True).cards == {}

    def test_named_on_another_backbone_they_are_refused(self) -> None:
        with as_file(EMBEDDED) as path, pytest.raises(InputError, match="learned on another backbone"):
            load_detector(
                "anomalyclip", backbone=load_backbone("mini-random", "cpu", "float32"), weights=path
            )

    def test_an_exchanged_learner_gets_none(self, acme, mini) -> None:
        words = {"backbone": mini, "overrides": ["prompt_learner=acme.prompts"], "host": acme}
        with pytest.raises(InputError, match="needs learned weights for prompt_learner"):
            load_detector("anomalyclip", **words)
        assert load_detector("anomalyclip", untrained=True, **words).cards == {}

    def test_a_learner_that_needs_no_weights_runs_without(self, mini) -> None:
        found = load_detector("anomalyclip", backbone=mini, overrides=["prompt_learner=standard.templates"])
        assert found.cards == {}

    def test_own_weights_win(self, mini, tmp_path) -> None:
        drawn = load_detector("anomalyclip", backbone=mini, untrained=True, seed=3)
        save_weights(tmp_path / "own", learned_state(drawn), weights_card(drawn, []))
        found = load_detector("anomalyclip", backbone=mini, weights=tmp_path / "own")
        assert torch.equal(context(found), context(drawn))

    def test_other_options_are_refused(self, mini) -> None:
        with pytest.raises(InputError, match=r"other options of the prompt_learner: .*\(2, 5,"):
            load_detector("anomalyclip", backbone=mini, overrides=["prompt_learner.context_tokens=5"])
