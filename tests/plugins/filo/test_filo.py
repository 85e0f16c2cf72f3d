"""FiLo as a whole: on mini, in batches, with and without boxes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from zsad.detect.passes import encode_together
from zsad.detect.text_side import encode_prompts
from zsad.errors import InputError
from zsad.values import Features

BOXES = ("auxiliary=filo.no_boxes", "prompt_conditioner.without_box=center")


def with_boxes(features: Features, size: int) -> Features:
    """Give image one a box at the top right, the second none, and the third one in a gap of the cells."""
    table = torch.zeros(3, 2, 6)
    table[0, 0] = torch.tensor([0.7 * size, 0.1 * size, 0.9 * size, 0.3 * size, 0.8, 1])
    gap = 172.5 / 518 * size
    table[2, 0] = torch.tensor([gap - 4, gap - 4, gap + 4, gap + 4, 0.6, 1])
    return replace(features, auxiliary={"filo.boxes": table})


def test_mini_gives_finite_maps_that_are_not_constant(untrained, mini, samples) -> None:
    detector = untrained("filo", backbone=mini)
    assert detector.recipe.fidelity == "inspired"
    assert detector.recipe.blocks == (2, 4, 6, 8)
    prediction = detector.predict(samples)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    assert (prediction.anomaly_map.flatten(1).std(1) > 1e-4).all()
    assert prediction.score.unique().numel() == len(samples)


def test_an_image_does_not_depend_on_its_neighbours(untrained, samples) -> None:
    detector = untrained("filo@dino", *BOXES)
    features = with_boxes(detector.encode(samples), detector.recipe.image_size)
    together = detector.score(features)
    for place in range(len(samples)):
        (encoded,) = encode_together([detector], [samples[place]])
        own = replace(encoded, auxiliary=features.select([place]).auxiliary)
        alone = detector.score(own)
        assert float((alone.anomaly_map[0] - together.anomaly_map[place]).abs().max()) < 1e-5
        assert float((alone.score[0] - together.score[place]).abs()) < 1e-5


def test_only_the_prompts_of_the_position_count(untrained, samples) -> None:
    detector = untrained("filo@dino", *BOXES, 'readout.taps=["1/4", "1/2", "3/4", "1"]')
    features = with_boxes(detector.encode([samples[0]] * 3), detector.recipe.image_size)
    adapted = detector.adapt(features)
    conditioner, learner = detector.part("prompt_conditioner"), detector.part("prompt_learner")
    assert conditioner.places(adapted) == [2, 4, None]
    prompts = learner("gear")
    states = int((prompts.state == 1).sum()) // 9
    every = replace(prompts, embeddings=prompts.embeddings.expand(3, -1, -1, -1))
    _, raw = encode_prompts(detector.text_side.tower, conditioner.shifted(every, adapted))
    unit = torch.nn.functional.normalize(raw[:, -9 * states :], dim=-1).unflatten(1, (states, 9))
    wanted = torch.stack([unit[0, :, 2].mean(0), unit[1, :, 4].mean(0), unit[2].flatten(0, 1).mean(0)])
    wanted = torch.nn.functional.normalize(wanted, dim=-1) / 2**0.5
    found = detector.condition(adapted).text_features[:, 1]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    # Prompts of other positions are not even encoded where every image has one.
    known = adapted.select([0, 1])
    assert detector.condition(known).raw.shape[1] == len(prompts.state) - 8 * states


def test_the_box_filter_comes_after_the_image_score(untrained, samples) -> None:
    detector = untrained("filo@dino", *BOXES)
    features = with_boxes(detector.encode(samples), detector.recipe.image_size)
    stages = dict(detector.stages(features))
    before, after = stages["filo.image_score"], stages["filo.box_filter"]
    assert torch.equal(before.image_score, after.image_score)
    own = stages["filo.dot"].image_score
    torch.testing.assert_close(after.image_score, (own + before.map.amax((1, 2))) / 2)
    factors = after.map / before.map
    assert factors[0].round(decimals=3).unique().tolist() == pytest.approx([0.7, 1.0])
    torch.testing.assert_close(factors[1], torch.full_like(factors[1], 0.7))


def test_clean_choices_change_the_numbers(untrained, samples) -> None:
    plain = untrained("filo").predict(samples)
    for override in ("attention_refiner.aliased=false", "prompt_learner.joint_norm=false",
                     "feature_adapter.image_adapter=false", "scorer.image=softmax"):  # fmt: skip
        other = untrained("filo", override).predict(samples)
        assert not torch.equal(other.score, plain.score), override


def test_aliased_taps_share_what_they_read(untrained) -> None:
    found = {}
    for aliased in ("true", "false"):
        detector = untrained("filo", f"attention_refiner.aliased={aliased}")
        found[aliased] = [
            (token.name, token.block, token.stream is not None, token.point)
            for token in detector.reading.request.tokens
        ]
    assert found["true"] == [
        ("ordinary.1", 4, True, "output"),
        ("local.2", 4, True, "output"),
        ("ordinary.2", 3, False, "attention"),
        ("local.3", 4, True, "output"),
        ("ordinary.3", 4, False, "attention"),
        ("local.4", 4, True, "output"),
        ("ordinary.4", 4, False, "output"),
    ]
    names = [name for name, *_ in found["true"]]
    assert found["false"] == [
        (name, int(name[-1]), name.startswith("local"), "output") for name in names
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "attention_refiner.start=4",
            "filo.taps.*start 4 has to lie behind the first tap, 1, and not behind",
        ),
        ("readout.taps=[2]", "filo.taps.*at least two blocks in ascending order"),
        ("readout.stage=joint", "filo.heads.*requires 'tokens:raw'"),
        ("attention_refiner=standard.self_attention", "filo.heads.*requires 'filo.streams'"),
        ("prompt_learner=standard.templates", "filo.context.*requires 'filo.positions'.*filo.prompts"),
        ("auxiliary=none", "filo.context.*requires 'auxiliary:filo.boxes'.*filo.no_boxes"),
        ("post_processors.blur.size=4", "filo.blur.*size 4 has to be odd"),
        ("prompt_conditioner.cells=halves", "filo.context.*'cells' cannot be 'halves'"),
        (
            "prompt_learner.phrases=nowhere.yaml",
            "filo.prompts.*'nowhere.yaml' is neither a readable YAML file",
        ),
        ("prompt_learner.phrase=x", "'phrase' is not known.*did you mean 'phrases'"),
    ],
)
def test_wrong_options_are_named(untrained, override, said) -> None:
    with pytest.raises(InputError, match=said):
        untrained("filo", override)


def test_another_noun_gets_its_own_phrases(untrained, samples) -> None:
    detector = untrained("filo")
    features = detector.encode(samples)
    scores = [detector.score(features, name).score for name in ("bottle", "leather", "gear")]
    assert not torch.equal(scores[0], scores[1]) and not torch.equal(scores[1], scores[2])


def test_options_and_listing_import_no_torch() -> None:
    code = (
        "import sys, zsad_plugins.filo, zsad_plugins.filo.options, zsad_plugins.filo.words; "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_maps_are_in_the_range_of_the_recipe(untrained, samples) -> None:
    maps = untrained("filo").predict(samples).anomaly_map
    assert float(maps.min()) >= 0 and float(maps.max()) <= 1
    assert np.isfinite(maps.numpy()).all()
