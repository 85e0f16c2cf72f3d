"""FAPrompt's parts on small backbones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.synthetic_second import faprompt_parameters
from zsad.detect.detector import Detector
from zsad.detect.passes import group_by_pass
from zsad.errors import InputError
from zsad.training.cache.build import frozen_image_side
from zsad.values import ABNORMAL, Sample
from zsad_plugins.faprompt.convert import convert

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("faprompt")


def test_its_pass_is_anomalyclip_s(load: Load) -> None:
    detector, other = load(), load(method="anomalyclip")
    assert group_by_pass([detector, other]) == [[detector, other]]
    assert frozen_image_side(detector)


def test_prompts_share_their_context_and_differ_in_what_is_abnormal(load: Load) -> None:
    detector = load("prompt_learner.abnormal_prompts=3")
    learner = detector.part("prompt_learner")
    prompts = learner("gear")
    text = detector.text_side.tower
    words = text.embed(text.tokenize(["X X X X X object.", "X X X X X X X damaged object."]))
    assert prompts.embeddings.shape[0] == 4 and prompts.state.tolist() == [0, 1, 1, 1]
    torch.testing.assert_close(prompts.embeddings[:, 1:6], learner.context.expand(4, -1, -1))
    torch.testing.assert_close(prompts.embeddings[1:, 6:8], learner.abnormal)
    torch.testing.assert_close(prompts.embeddings[0, 6:9], words[0, 6:9])
    torch.testing.assert_close(prompts.embeddings[2, 8:12], words[1, 8:12])
    assert prompts.end.tolist() == [8, 11, 11, 11]
    assert torch.equal(learner("tile").embeddings, prompts.embeddings)


@pytest.mark.parametrize("patches", ["highest", "first"])
def test_the_shift_comes_of_the_chosen_patches(load: Load, samples: list[Sample], patches: str) -> None:
    detector = load(f"prompt_conditioner.patches={patches}", "prompt_conditioner.count=4")
    prior = detector.part("prompt_conditioner")
    features = detector.encode(samples)
    conditioning = detector.condition(features)
    first = conditioning.provisional
    assert first is not None
    (entry,) = features.token_sets
    for image in range(3):
        tokens = F.normalize(entry.tokens[image], dim=-1)
        chances = torch.softmax(tokens @ first.conditioning.text_features[image].T / 0.07, -1)[:, 1]
        order = chances.argsort(descending=True)[:4] if patches == "highest" else torch.arange(4)
        torch.testing.assert_close(first.scores.sets[0].values[image].softmax(0)[1].flatten(), chances)
        hidden = F.relu(prior.linear1(tokens[order].flatten()))
        shift = conditioning.intermediates["faprompt.shift"][image]
        torch.testing.assert_close(shift, prior.linear2(hidden))
        prompts = detector.part("prompt_learner")("")
        moved = prompts.embeddings.clone()
        moved[1:, 6:8] += shift
        raw = detector.text_side.tower(moved, prompts.end, prompts.deep)
        torch.testing.assert_close(conditioning.raw[image], raw, atol=1e-5, rtol=1e-4)
        pair = torch.stack([raw[0], raw[1:].mean(0)])  # averaged as they are, then normalised
        torch.testing.assert_close(
            conditioning.text_features[image], F.normalize(pair, dim=-1), atol=1e-5, rtol=1e-4
        )


def test_the_scores_mix_both_looks(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    conditioning = detector.condition(features)
    stages = dict(detector.stages(features))
    first, second = (entry.values.softmax(1) for entry in stages["faprompt.two_looks"].sets)
    assert [entry.name for entry in stages["faprompt.two_looks"].sets] == ["first.vv.4", "vv.4"]
    image = F.normalize(features.image_feature, dim=-1)
    own = torch.softmax((conditioning.text_features @ image[..., None])[..., 0] / 0.07, -1)[:, 1]
    largest = [maps[:, ABNORMAL].flatten(1).amax(1) for maps in (first, second)]
    expected = 0.5 * (own + (2 * largest[0] + largest[1]) / 3)
    torch.testing.assert_close(detector.score(features).score, expected)
    large = [F.interpolate(maps, (80, 80), mode="bilinear") for maps in (first, second)]
    fused = sum(maps[:, 1] + 1 - maps[:, 0] for maps in large) / 4
    torch.testing.assert_close(stages["standard.fuse"].map, fused)


def test_an_image_does_not_depend_on_its_neighbours(load: Load, samples: list[Sample]) -> None:
    detector = load("prompt_conditioner.patches=highest")
    together = detector.predict(samples)
    for number, sample in enumerate(samples):
        alone = detector.predict([sample])
        torch.testing.assert_close(together.anomaly_map[number], alone.anomaly_map[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.score[number], alone.score[0], atol=1e-5, rtol=0)


def test_without_the_prior_there_is_one_look(load: Load, samples: list[Sample]) -> None:
    detector = load("prompt_conditioner=none")
    stages = dict(detector.stages(detector.encode(samples)))
    assert [entry.name for entry in stages["faprompt.two_looks"].sets] == ["vv.4"]


def test_the_prior_shifts_the_context_of_other_learners(load: Load, samples: list[Sample]) -> None:
    detector = load("prompt_conditioner=faprompt.prior", method="anomalyclip")
    found = detector.condition(detector.encode(samples))
    assert found.raw is not None and found.provisional is not None
    first = found.provisional.conditioning.raw
    assert first is not None
    torch.testing.assert_close(found.raw[:, 0], first[:, 0])
    assert (found.raw[:, 1] - first[:, 1]).abs().max() > 1e-3


def test_what_does_not_fit_is_said(load: Load, samples: list[Sample]) -> None:
    with pytest.raises(InputError, match="reads 101 patches, and this image size gives 100"):
        load("prompt_conditioner.count=101").predict(samples)
    with pytest.raises(InputError, match=r"has none; use --set prompt_learner=faprompt\.prompts"):
        load("prompt_learner=standard.templates").predict(samples)
    with pytest.raises(InputError, match=r"asks the scorer for provisional scores, and 'musc.mutual' scores"):
        load("scorer=musc.mutual")


def test_a_checkpoint_is_imported(load: Load) -> None:
    clip = {"token_embedding.weight": np.zeros((49408, 64), np.float32)}
    options = {
        "n_ctx_pos": 5, "n_ctx_neg": 2, "n_neg_prompts": 10, "selected_patches": 10, "t_n_ctx": 4, "depth": 3,
    }  # fmt: skip
    arrays = faprompt_parameters(clip, 0, options)
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    found = convert({"prompt_learner": state})
    assert torch.equal(found["prompt_learner.abnormal"], state["ctx_neg"][0])
    assert found["prompt_learner.context"].shape == (5, 64)
    with pytest.raises(InputError, match="lacks 'ctx_neg'"):
        convert({"prompt_learner": {name: tensor for name, tensor in state.items() if name != "ctx_neg"}})
    with pytest.raises(InputError, match="it has 'more'"):
        convert({"prompt_learner": {**state, "more": torch.zeros(1)}})
    with pytest.raises(InputError, match="no entry 'prompt_learner'"):
        convert({"filo": replace})
