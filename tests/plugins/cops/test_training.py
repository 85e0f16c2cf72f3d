"""CoPS's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.parity.synthetic import cops_checkpoint
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import First, copied, first_step, learn, loads_back
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.recipe.training import Maps
from zsad.training.learner import carry, learned_state, stage_detector
from zsad.training.losses import focal
from zsad.training.step import Step
from zsad_plugins.cops.convert import convert
from zsad_plugins.cops.losses import centre

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]
UNREACHED = {"prompt_conditioner.extractor.k_proj.bias"}
"""One bias for all keys changes no softmax; what moves it, if anything, is rounding."""


def slow_centre(first: First) -> float:
    """Return the gather and the scatter loss, patch by patch."""
    (entry,) = first.adapted.token_sets
    found: dict[str, list[float]] = {"normal": [], "abnormal": []}
    for image, mask in enumerate(array(first.batch.masks)):
        grid = entry.layout.height
        cell = len(mask) // grid
        for place, patch in enumerate(unit(array(entry.tokens[image]))):
            row, column = divmod(place, grid)
            part = mask[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            state = "abnormal" if part.any() else "normal"
            prototypes = unit(array(first.conditioning.intermediates[f"prototypes.{state}"][image]))
            found[state].append(min(1 - float(patch @ prototype) for prototype in prototypes))
    return sum(sum(values) / len(values) for values in found.values() if values)


def slow_kl(first: First) -> float:
    names = ("posterior.mean", "posterior.log_variance")
    mean, log_variance = (array(first.conditioning.intermediates[name]) for name in names)
    rows = [
        -0.5 * sum(1 + v - m * m - np.exp(v) for m, v in zip(*pair, strict=True))
        for pair in zip(mean, log_variance, strict=True)
    ]
    return float(sum(rows) / len(rows))


def slow_reconstruction(first: First, pairs: str) -> float:
    features, biases = (
        array(first.adapted.image_feature),
        array(first.conditioning.intermediates["posterior.bias"]),
    )
    terms = [
        (g - b) ** 2
        for row, feature in enumerate(features)
        for column, bias in enumerate(biases)
        if pairs == "all" or row == column
        for g, b in zip(feature, bias, strict=True)
    ]
    return float(sum(terms) / len(terms))


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_against_loops(untrained, squares, places) -> None:
    first = first_step(untrained("cops@mvtec", image_size=32), squares, places)
    patches, overlap = slow.map_losses(first, temperature=0.07, softmax_first=True, how="nearest", both=True)
    image = [
        slow.cross_entropy(unit(array(feature)) @ array(text).T / 0.07, bool(label))
        for feature, text, label in zip(
            first.adapted.image_feature, first.conditioning.text_features, first.batch.anomalous, strict=True
        )
    ]
    expected = {
        "focal": 4 * patches,
        "dice": 4 * overlap,
        "image": sum(image) / len(image),
        "cops-centre": slow_centre(first),
        "cops-kl": slow_kl(first),
        "cops-reconstruction": slow_reconstruction(first, "all"),
    }
    assert first.losses == pytest.approx(expected, rel=2e-5)
    # Neither the distances nor the mixed image score take part in what is learned from.
    assert first.scores.trace == ("standard.cosine: image feature",)


def test_losses_keep_their_digits_at_a_lower_precision(untrained, squares) -> None:
    exact, rounded = (
        first_step(untrained("cops@mvtec"), squares, MIXED, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    # Logits and intermediates are rounded to three digits; probabilities and losses are not.
    assert rounded.losses == pytest.approx(exact.losses, rel=0.02)
    (entry,) = rounded.scores.sets
    assert entry.values.dtype == torch.bfloat16
    step = Step(
        rounded.batch, rounded.adapted, rounded.conditioning, rounded.scores, Maps(upsample="nearest")
    )
    (maps,) = step.probability_maps
    cell = maps.shape[-1] // entry.values.shape[-1]
    torch.testing.assert_close(maps[..., ::cell, ::cell].double(), entry.values.double().softmax(1))


def test_a_bias_can_be_compared_with_its_own_image_alone(untrained, squares) -> None:
    option = "training.losses.cops-reconstruction.options.pairs=own"
    first = first_step(untrained("cops@mvtec", option, image_size=32), squares, MIXED)
    own, every = (slow_reconstruction(first, pairs) for pairs in ("own", "all"))
    assert first.losses["cops-reconstruction"] == pytest.approx(own, rel=2e-5) and own != pytest.approx(every)


def test_the_weights_of_the_images_count_in_the_new_losses(untrained, squares) -> None:
    detector = untrained("cops", image_size=32)
    first = first_step(detector, squares, [0, 1])
    maps = detector.recipe.recipe.training.maps
    found = []
    for weights in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0]):
        batch = replace(first.batch, weights=torch.tensor(weights))
        step = Step(batch, first.adapted, first.conditioning, first.scores, maps)
        found.append(centre(step, None).item())
    assert found[0] == pytest.approx(found[1] + found[2]) and min(found[1:]) > 0


def test_noise_is_drawn_from_the_posterior(untrained, squares) -> None:
    learning = stage_detector(untrained("cops"), load_recipe(get_host(), "cops").training, get_host())
    part = learning.part("prompt_conditioner")
    features = learning.adapt(learning.encode([image.image for image in squares.images[:2]]))
    with torch.no_grad():
        part.encoder.log_variance.bias.copy_(torch.linspace(-4, 2, 32))
        draws, biases = [], []
        for seed in range(300):
            torch.manual_seed(seed)
            noise: list[torch.Tensor] = []
            handle = part.decoder.register_forward_pre_hook(
                lambda _, given, kept=noise: kept.append(given[0])
            )
            found = learning.condition(features).intermediates
            handle.remove()
            draws.append(noise[0])
            biases.append(found["posterior.bias"])
        torch.manual_seed(299)
        again = learning.condition(features).intermediates["posterior.bias"]
    assert torch.equal(again, biases[-1]) and not torch.equal(biases[0], biases[1])
    mean, deviation = found["posterior.mean"], torch.exp(found["posterior.log_variance"] / 2)
    standard = (torch.stack(draws) - mean) / deviation
    assert float(standard.mean().abs()) < 0.02 and float(standard.std()) == pytest.approx(1, abs=0.02)
    # Channel by channel: 600 draws each.
    torch.testing.assert_close(standard.std((0, 1)), torch.ones(32), rtol=0, atol=0.15)
    hidden = torch.relu(features.image_feature @ part.encoder.hidden.weight.T + part.encoder.hidden.bias)
    torch.testing.assert_close(mean, hidden @ part.encoder.mean.weight.T + part.encoder.mean.bias)


def test_prototypes_learn_from_the_centre_loss_alone(untrained, squares) -> None:
    weight = "training.losses.cops-centre=0"
    (stage,) = learn(untrained("cops", weight), squares, epochs=1)
    names = {name for name in stage.same if ".queries" in name or ".extractor." in name}
    assert len(names) == 17 and "prompt_conditioner.decoder.fc1.weight" in stage.changed


def test_it_learns_everything_and_the_loss_falls(untrained, squares, tmp_path) -> None:
    detector = untrained("cops@mvtec")
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, epochs=4, batch_size=4)
    assert stage.fell and stage.same <= UNREACHED
    assert any(".encoder." in name for name in stage.changed)
    after = learned_state(detector)
    assert set(after) == set(before)
    assert {name for name in after if torch.equal(after[name], before[name])} <= UNREACHED
    for name, tensor in after.items():
        assert torch.equal(tensor, learned_state(stage.detector)[name]), name
    loads_back(detector, untrained("cops@mvtec", seed=1), squares, tmp_path / "weights.safetensors")


def test_the_seed_decides(untrained, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = untrained("cops")
        learn(detector, squares, seed=seed, epochs=1)
        found.append(learned_state(detector)["prompt_conditioner.decoder.fc2.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(square_backbone, untrained, squares) -> None:
    detector = untrained("cops", backbone=square_backbone)
    learn(detector, squares, epochs=1)
    options = {"n_ctx": 12, "depth": 2, "t_n_ctx": 4, "prototypes": 6}
    (state,) = cops_checkpoint({"token_embedding.weight": np.zeros((3, 64))}, 0, options).values()
    found = convert({"prompt_learner": {name: torch.from_numpy(value) for name, value in state.items()}})
    own = learned_state(detector)
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


def test_recipes_differ_in_what_the_official_code_does_by_training_set() -> None:
    visa, mvtec = (load_recipe(get_host(), name).training for name in ("cops", "cops@mvtec"))
    weights = [plan.losses["cops-reconstruction"].weight for plan in (visa, mvtec)]
    assert weights == [0, 1] and (visa.epochs, mvtec.epochs) == (10, 5)
    assert visa.losses.keys() == mvtec.losses.keys()
    assert mvtec.losses["cops-reconstruction"].options == {"pairs": "all"}


def test_losses_of_the_vae_say_what_they_need(untrained, squares) -> None:
    option = "training.parts={prompt_conditioner: {use: cops.synthesis}, scorer: {use: standard.cosine}}"
    with pytest.raises(InputError, match=r"'posterior\.mean', which.*cops\.posterior gives.*training\.parts"):
        learn(untrained("cops", option), squares, epochs=1)
    with pytest.raises(InputError, match=r"'prototypes\.normal'.*cops\.synthesis or cops\.posterior"):
        learn(untrained("anomalyclip", "training.losses.cops-centre=1"), squares, epochs=1)


def test_parts_of_another_size_than_the_methods_are_refused(untrained) -> None:
    detector = untrained("cops", "prompt_conditioner.prototypes=4")
    with pytest.raises(InputError, match=r"training\.parts.*prompt_conditioner.*'queries'"):
        stage_detector(detector, detector.recipe.recipe.training, get_host())


def test_the_synthesis_learns_in_another_method(untrained, squares) -> None:
    detector = untrained(
        "anomalyclip", "prompt_conditioner=cops.synthesis", "training.losses.cops-centre=1", image_size=64
    )
    (stage,) = learn(detector, squares, epochs=2)
    assert stage.same <= UNREACHED and stage.fell


def test_losses_reach_every_learned_parameter_of_the_scorer(untrained, samples) -> None:
    detector = untrained("cops", "prompt_conditioner.detach=false")
    adapted = detector.adapt(detector.encode(samples))
    with torch.enable_grad():
        scores = detector.part("scorer")(adapted, detector.condition(adapted))
        values = scores.sets[0].values
        mask = torch.zeros(len(samples), *values.shape[-2:])
        mask[:, 2:5, 2:5] = 1
        (focal(values, mask).sum() + scores.image_score.sum()).backward()
    for key, part in detector.parts.items():
        for name, parameter in part.named_parameters():
            if f"{key}.{name}" not in UNREACHED:
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"{key}.{name}"


def test_the_carried_detector_draws_as_inference_does(untrained) -> None:
    detector = untrained("cops")
    learning = stage_detector(detector, detector.recipe.recipe.training, get_host())
    with torch.no_grad():
        learning.part("prompt_conditioner").queries.add_(1)
    carry(learning, detector)
    part = detector.part("prompt_conditioner")
    torch.testing.assert_close(part.queries, learning.part("prompt_conditioner").queries)
    assert part.noise.shape == (10, 32)
    assert not any("encoder" in name for name in learned_state(detector))
