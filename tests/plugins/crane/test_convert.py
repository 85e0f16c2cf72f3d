"""Import of the authors' checkpoints, and what is said of other files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.parity.synthetic import anomalyclip_checkpoint, crane_checkpoint
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.crane.convert import convert

OPTIONS = {"n_ctx": 12, "depth": 3, "t_n_ctx": 4}
State = dict[str, torch.Tensor]


def state_of(make: Callable[..., Any] = crane_checkpoint, width: int = 8) -> State:
    table = np.random.default_rng(0).standard_normal((49408, width)).astype(np.float32)
    (state,) = make({"token_embedding.weight": table}, 0, OPTIONS).values()
    return {key: torch.from_numpy(value.copy()) for key, value in state.items()}


@pytest.fixture
def state() -> State:
    return state_of()


def test_words_are_those_of_the_file(state: State) -> None:
    found = convert({"prompt_learner": state})
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "prompt_learner.context": (2, 12, 8),
        "prompt_learner.deep": (2, 4, 8),
        "prompt_learner.words": (2, 17, 8),
    }
    words = found["prompt_learner.words"]
    for place, side in enumerate(("pos", "neg")):
        torch.testing.assert_close(words[place, :1], state[f"token_prefix_{side}"][0, 0])
        torch.testing.assert_close(words[place, 13:], state[f"token_suffix_{side}"][0, 0, :4])
        torch.testing.assert_close(found["prompt_learner.context"][place], state[f"ctx_{side}"][0, 0])


@pytest.mark.parametrize("method", ["crane", "crane@image-prompt", "crane-plus@stem"])
def test_every_recipe_takes_the_same_file(tiny_backbone, tmp_path, method: str) -> None:
    source, target = tmp_path / "epoch_5.pth", tmp_path / "crane.safetensors"
    torch.save({"prompt_learner": state_of(width=tiny_backbone.text_tower().width)}, source)
    convert_checkpoint(get_host(), "crane", source, target)
    overrides = ["profile=official", "prompt_learner.deep_blocks=2"]
    detector = load_detector(method, backbone=tiny_backbone, weights=target, overrides=overrides)
    assert detector.cards["prompt_learner"].origin == "authors"
    overrides.append("prompt_learner.context_tokens=4")
    with pytest.raises(InputError, match="shape"):
        load_detector(method, backbone=tiny_backbone, weights=target, overrides=overrides)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def given(name: str, value: Any) -> Callable[[State], State]:
    return lambda state: {**state, name: value}


OTHER_WORDS = torch.tensor([49406, *[343] * 12, 1929, 269, 49407, *[0] * 61])[None, None]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (without("ctx_neg"), "lacks 'ctx_neg'"),
        (without("token_suffix_pos"), "lacks 'token_suffix_pos'"),
        (without("compound_prompts_text.0"), "lacks 'compound_prompts_text.0'"),
        (given("compound_prompts_text.0", "text"), "'compound_prompts_text.0' is no tensor"),
        (given("extra", torch.zeros(1)), "has 'extra', which Crane's checkpoints have not"),
        (given("ctx_pos", torch.zeros(12, 8)), r"'ctx_pos' has the shape \(12, 8\)"),
        (
            given("ctx_pos", torch.zeros(1, 1, 9, 8)),
            r"'ctx_neg' has the shape \(1, 1, 12, 8\) instead of \(1, 1, 9, 8\)",
        ),
        (
            given("token_suffix_pos", torch.zeros(1, 1, 60, 8)),
            r"'token_suffix_pos' has the shape \(1, 1, 60, 8\) instead of \(1, 1, 64, 8\)",
        ),
        (given("tokenized_prompts_pos", OTHER_WORDS), "not that of Crane's published prompts"),
        (
            given("compound_prompts_text.1", torch.zeros(3, 8)),
            r"text\.1' has the shape \(3, 8\) instead of \(4, 8\)",
        ),
        (
            given("compound_prompts_text.1", torch.zeros(4, 6)),
            r"text\.1' has the shape \(4, 6\) instead of \(4, 8\)",
        ),
    ],
)
def test_other_files_are_refused(state: State, edit: Callable[[State], State], said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert({"prompt_learner": edit(state)})


@pytest.mark.parametrize("checkpoint", [{}, [], {"prompt_learner": 3}])
def test_other_forms_are_refused(checkpoint: Any) -> None:
    with pytest.raises(InputError, match="no entry 'prompt_learner'"):
        convert(checkpoint)


def test_files_of_anomalyclip_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"compound_prompt_projections\.0.*which Crane's checkpoints have not"
    ):
        convert({"prompt_learner": state_of(anomalyclip_checkpoint)})
