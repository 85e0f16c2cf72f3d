"""Prompt synthesis: what it adds where, in CoPS's own prompts and in those of other methods."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.prompts import DeepPrompts
from zsad.values import ABNORMAL, NORMAL


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def batch_of(detector, samples):
    """Return the learner's prompts as a conditioner gets them, and adapted features."""
    prompts = detector.part("prompt_learner")("")
    expanded = prompts.embeddings.expand(len(samples), -1, -1, -1)
    return replace(prompts, embeddings=expanded), detector.adapt(detector.encode(samples))


@pytest.mark.parametrize(("swap", "normal_gets"), [("true", "abnormal"), ("false", "normal")])
def test_state_tokens_get_prototypes_and_class_tokens_get_noise(
    untrained, samples, swap, normal_gets
) -> None:
    detector = untrained("cops", f"prompt_conditioner.swap={swap}")
    part = detector.part("prompt_conditioner")
    prompts, features = batch_of(detector, samples)
    made, found = part(prompts, features)
    count = part.noise.shape[0]
    added = (made.embeddings.unflatten(1, (2, count)) - prompts.embeddings[:, :, None])[
        ..., : 1 + 6 + 6 + 4, :
    ]
    expected = torch.zeros_like(added)
    abnormal_gets = {"abnormal": "normal", "normal": "abnormal"}[normal_gets]
    for state, name in ((NORMAL, normal_gets), (ABNORMAL, abnormal_gets)):
        expected[:, state, :, 7:13] = part.project(found[f"prototypes.{name}"])[:, None]
    expected[..., 13:15, :] = part.project(part.decoder(part.noise))[:, None]
    torch.testing.assert_close(added, expected)
    assert made.state.tolist() == [NORMAL] * count + [ABNORMAL] * count
    assert made.end.tolist() == [16] * 2 * count


def test_prototypes_are_plain_cross_attention(untrained, samples) -> None:
    detector = untrained("cops")
    part = detector.part("prompt_conditioner")
    _, features = batch_of(detector, samples)
    extractor, patches = part.extractor, features.token_sets[0].tokens[1]
    queries = part.queries[ABNORMAL]
    attention = torch.nn.MultiheadAttention(patches.shape[-1], extractor.heads, batch_first=True).eval()
    three = [extractor.q_proj, extractor.k_proj, extractor.v_proj]
    attention.in_proj_weight.copy_(torch.cat([layer.weight for layer in three]))
    attention.in_proj_bias.copy_(torch.cat([layer.bias for layer in three]))
    attention.out_proj.load_state_dict(extractor.out_proj.state_dict())
    seen = extractor.ln_1(patches)
    x = queries + attention(extractor.ln_1(queries)[None], seen[None], seen[None])[0][0]
    hidden = extractor.fc1(extractor.ln_2(x))
    x = x + extractor.fc2(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(part.prototypes(features)[1, ABNORMAL], x)


def test_several_taps_are_averaged(untrained, samples) -> None:
    detector = untrained("cops", 'readout.taps=["1/2", "1"]')
    part, (_, features) = detector.part("prompt_conditioner"), batch_of(detector, samples)
    first, last = features.token_sets
    mean = replace(features, token_sets=(replace(first, tokens=(first.tokens + last.tokens) / 2),))
    torch.testing.assert_close(part.prototypes(features), part.prototypes(mean))


def test_noise_is_fixed_by_its_seed_and_can_be_given(untrained, samples) -> None:
    noise = [untrained("cops", seed=seed).part("prompt_conditioner").noise for seed in (0, 1)]
    torch.testing.assert_close(noise[0], noise[1])
    other = untrained("cops", "prompt_conditioner.noise_seed=1").part("prompt_conditioner").noise
    assert not torch.equal(noise[0], other)
    detector = untrained("cops")
    part, features = detector.part("prompt_conditioner"), detector.encode(samples)
    part.use_noise(torch.stack([other, noise[0], other]))
    own = detector.score(features)
    for image, draws in enumerate((other, noise[0], other)):
        part.use_noise(draws)
        alike = detector.score(features)
        torch.testing.assert_close(own.anomaly_map[image], alike.anomaly_map[image])
        torch.testing.assert_close(own.score[image], alike.score[image])
    with pytest.raises(ValueError, match=r"noise has to be \[S, C\] or \[B, S, C\], not \[3\]"):
        part.use_noise(torch.zeros(3))
    assert not any("noise" in name for name in part.state_dict())


def test_prompts_keep_their_own_weights_ends_and_deep_tokens(untrained, samples) -> None:
    detector = untrained("cops", "prompt_conditioner.samples=3")
    prompts, features = batch_of(detector, samples)
    width = prompts.embeddings.shape[-1]
    own, shared = torch.randn(2, 4, width), torch.randn(4, width)
    given = replace(
        prompts,
        weights=torch.tensor([1.0, 2.0]),
        end=torch.tensor([16, 20]),
        deep=DeepPrompts((own, shared, shared[None])),
    )
    made, _ = detector.part("prompt_conditioner")(given, features)
    assert made.weights.tolist() == [1.0] * 3 + [2.0] * 3
    assert made.end.tolist() == [16] * 3 + [20] * 3
    torch.testing.assert_close(made.deep.tokens[0], torch.stack([own[0]] * 3 + [own[1]] * 3))
    assert [tuple(tokens.shape) for tokens in made.deep.tokens[1:]] == [(4, width), (1, 4, width)]


def test_it_completes_the_context_of_another_learner(untrained, samples) -> None:
    detector = untrained("anomalyclip", "prompt_conditioner=cops.synthesis")
    assert detector.recipe.fidelity == "composed"
    part = detector.part("prompt_conditioner")
    prompts, features = batch_of(detector, samples)
    made, found = part(prompts, features)
    added = made.embeddings.unflatten(1, (2, -1))[:, NORMAL, 0] - prompts.embeddings[:, NORMAL]
    # The last 6 + 2 of 12 context tokens, behind the start token and in front of the words.
    torch.testing.assert_close(added[:, 5:11], part.project(found["prototypes.abnormal"]))
    assert added[:, 11:13].abs().amin() > 0
    assert added[:, :5].abs().max() == added[:, 13:].abs().max() == 0
    plain = untrained("anomalyclip").predict(samples)
    prediction = detector.predict(samples)
    assert prediction.anomaly_map.isfinite().all()
    assert not torch.allclose(prediction.anomaly_map, plain.anomaly_map)


@pytest.mark.parametrize("method", ["crane", "crane-plus@stem"])
def test_it_completes_cranes_context(untrained, mini, samples, method) -> None:
    if method not in dict(get_host().recipes.items()):
        pytest.skip(f"there is no recipe {method}")
    detector = untrained(method, "prompt_conditioner=cops.synthesis", backbone=mini)
    prediction = detector.predict(samples)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()


def test_the_scorer_brings_the_synthesis_along(untrained, samples) -> None:
    detector = untrained("anomalyclip", "scorer=cops.scorer", "post_processors-=softmax")
    assert [part.spec.name for part in detector.recipe.of_kind("prompt_conditioner")] == ["cops.synthesis"]
    assert detector.predict(samples).anomaly_map.isfinite().all()


@pytest.mark.parametrize(
    ("method", "overrides", "said"),
    [
        ("anomalyclip", ["prompt_learner.context_tokens=7"], "needs 8 context tokens .6 prototypes.* has 7"),
        ("anomalyclip", ["prompt_learner=standard.templates"], "no slot 'context'; use --set prompt_learner"),
        ("cops", ["prompt_learner.state_tokens=5"], "adds 6 prototypes, and the prompt learner has 5 state"),
    ],
)  # fmt: skip
def test_too_small_a_slot_is_refused(untrained, samples, method, overrides, said) -> None:
    detector = untrained(method, "prompt_conditioner=cops.synthesis", *overrides)
    with pytest.raises(InputError, match=said):
        detector.predict(samples)


def test_shorter_contexts_fit_fewer_prototypes(untrained, samples) -> None:
    detector = untrained(
        "anomalyclip",
        "prompt_learner.context_tokens=4",
        "prompt_conditioner=cops.synthesis",
        "prompt_conditioner.prototypes=3",
        "prompt_conditioner.class_tokens=1",
    )
    assert detector.predict(samples).anomaly_map.isfinite().all()
