"""AdaCLIP's parts on small backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from tests.loading import load_detector
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Sample
from zsad_plugins.adaclip.convert import convert
from zsad_plugins.adaclip.options import VisualPromptOptions
from zsad_plugins.drawn.procedural import generate

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("adaclip")


def test_runs_on_mini() -> None:
    detector = load_detector("adaclip", backbone="mini", device="cpu", untrained=True)
    rng = np.random.default_rng(1)
    prediction = detector.predict([rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2)], "gear")
    assert detector.recipe.blocks == (2, 4, 6, 8)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    assert (prediction.anomaly_map.flatten(1).std(1) > 0).all()


def test_an_image_does_not_depend_on_its_neighbours(load: Load, samples: list[Sample]) -> None:
    detector = load("profile=official")
    assert not detector.recipe.batch_dependent
    together = detector.predict(samples)
    for number, sample in enumerate(samples):
        alone = detector.predict([sample])
        torch.testing.assert_close(together.anomaly_map[number], alone.anomaly_map[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.score[number], alone.score[0], atol=1e-5, rtol=0)


def test_not_a_bit_of_an_image_depends_on_its_neighbours() -> None:
    """k-means turns a last digit into other clusters: seed 1 has images that a batch of 16 used to move."""
    detector = load_detector(
        "adaclip", backbone="mini", dtype="float32", image_size=160, untrained=True, seed=1
    )
    images = [generate(0, index, size=200 + 56 * (index % 3 > 0)).image for index in range(16)]
    together = detector.predict(images)
    for number in range(0, 16, 5):
        few = detector.predict(images[number : number + 2])
        assert torch.equal(few.score, together.score[number : number + 2])
        assert torch.equal(few.anomaly_map, together.anomaly_map[number : number + 2])


def test_tokens_of_both_towers_follow_the_plain_pass(load: Load, samples: list[Sample]) -> None:
    detector = load("attention_refiner.blocks=3", "prompt_conditioner.deep_blocks=2")
    plain = load(method="clip-baseline").encode(samples).image_feature
    features = detector.encode(samples)
    assert features.prepass is not None
    torch.testing.assert_close(features.prepass, plain)
    assert (features.image_feature - plain).abs().max() > 1e-3
    refiner = detector.part("attention_refiner")
    with torch.no_grad():
        injected = refiner.inject(load(method="clip-baseline").encode(samples)).tokens
        learner = detector.part("prompt_learner")("gear")
        expanded = learner.embeddings.expand(len(samples), -1, -1, -1)
        prompts, _ = detector.part("prompt_conditioner")(
            type(learner)(expanded, learner.end, learner.state), detector.adapt(features)
        )
    assert injected.shape == (3, 3, 5, detector.tower.width)
    static, dynamic = refiner.prompts.static, refiner.prompts.dynamic(plain)
    torch.testing.assert_close(injected[1, 2], static[1] + dynamic[2])
    assert prompts.deep is not None and (prompts.deep.first_block, prompts.deep.position) == (2, 1)
    text = detector.part("prompt_conditioner").prompts
    assert len(prompts.deep.tokens) == 2 and prompts.deep.tokens[0].shape[:3] == (3, 1, 5)
    torch.testing.assert_close(prompts.deep.tokens[1][2, 0], text.static[1] + text.dynamic(plain)[2])


def test_the_profile_rounds_tokens_of_both_towers(load: Load, samples: list[Sample]) -> None:
    native, official = load(), load("profile=official")
    unrounded = load("profile=official", "profile.deep_prompt_cast=none")
    plain = load(method="clip-baseline").encode(samples)
    found = [d.part("attention_refiner").inject(plain).tokens for d in (native, official, unrounded)]
    assert torch.equal(found[1], found[1].half().float())
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_branches_can_be_left_out(load: Load, samples: list[Sample]) -> None:
    vision = load("prompt_conditioner=none").predict(samples)
    text = load("attention_refiner=none")
    assert text.encode(samples).prepass is None
    # The text prompts then read the only pass's image feature, not the projected one.
    adapted = text.adapt(text.encode(samples))
    torch.testing.assert_close(adapted.prepass, load(method="clip-baseline").encode(samples).image_feature)
    assert not torch.equal(text.predict(samples).score, vision.score)
    static = load("attention_refiner.dynamic=false")
    assert "generator.weight" not in dict(static.part("attention_refiner").prompts.named_parameters())
    only = static.part("attention_refiner").inject(static.encode(samples)).tokens
    assert torch.equal(only[:, 0], only[:, 1])


def test_fusion_takes_in_the_balanced_mean_of_the_clusters(load: Load, samples: list[Sample]) -> None:
    detector = load("scorer.clusters=4", "scorer.patches_per_cluster=3", "scorer.weight=0.3")
    with torch.no_grad():
        adapted = detector.adapt(detector.encode(samples))
        conditioning = detector.condition(adapted)
        assert conditioning is not None
        scorer = detector.part("scorer")
        scores = scorer(adapted, conditioning)
        logits = torch.stack([entry.values for entry in scores.sets]).mean(0)
        clustered, labels = scorer.cluster(adapted, logits)
    assert labels.shape == (3, 12)
    for image in range(3):
        order = logits[image].softmax(0)[1].flatten().argsort(descending=True)[:12]
        tokens = torch.stack([F.normalize(s.tokens[image], dim=-1)[order] for s in adapted.token_sets])
        centers = [tokens[:, labels[image] == k].mean((0, 1)) for k in range(4)]
        h = F.normalize(torch.stack(centers).mean(0), dim=-1)
        torch.testing.assert_close(clustered[image], h)
        fused = 0.3 * h + 0.7 * F.normalize(adapted.image_feature[image], dim=-1)
        pair = 100 * F.normalize(fused, dim=-1) @ conditioning.text_features[image].T
        assert scores.image_score is not None
        torch.testing.assert_close(scores.image_score[image], pair.softmax(-1)[1], atol=1e-5, rtol=1e-4)
    assert scores.trace == ("adaclip.semantic_fusion: image feature, clusters",)


def test_an_image_with_fewer_patches_than_asked_for_and_none_that_differ(load: Load) -> None:
    detector = load("scorer.clusters=40")
    grey = Sample(np.full((80, 80, 3), 128, np.uint8), "gear")
    prediction = detector.predict([grey])
    assert prediction.score.isfinite().all() and prediction.anomaly_map.isfinite().all()


def test_float64_towers_are_served() -> None:
    detector = load_detector("adaclip", backbone="mini", device="cpu", dtype="float64", untrained=True)
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    assert detector.predict([image], "gear").anomaly_map.dtype == torch.float64


def test_depths_of_the_published_backbone(load: Load) -> None:
    refiner, conditioner = (load().part(kind) for kind in ("attention_refiner", "prompt_conditioner"))
    assert len(refiner.prompts.static) == 1 and len(conditioner.prompts.static) == 1  # 4 and 3 blocks
    options = VisualPromptOptions()
    assert options.blocks.resolve(24) == 4 and options.blocks.resolve(12) == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("scorer.weight=1.5", "'weight' cannot be 1.5"),
        ("scorer.cluster=3", "'cluster' is not known; did you mean 'clusters'"),
        ("attention_refiner.length=0", "'length' cannot be 0"),
        ("attention_refiner.blocks=9", "'adaclip.visual_prompts': block 9 is outside"),
        ("feature_adapter=none", "'adaclip.semantic_fusion'.*'tokens:joint'"),
        ("readout.stage=joint", "'adaclip.projections'.*'tokens:raw'"),
    ],
)
def test_wrong_choices_are_refused(load: Load, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(override)


def test_prompts_have_to_be_something() -> None:
    with pytest.raises(ValidationError, match="to leave them out, leave out the part"):
        VisualPromptOptions(static=False, dynamic=False)


def test_mean_logits_come_before_the_softmax(load: Load, samples: list[Sample]) -> None:
    steps = "[standard.softmax, adaclip.mean_logits, standard.upsample, standard.fuse]"
    with pytest.raises(InputError, match=r"leave out standard\.softmax before it"):
        load(f"post_processors={steps}").predict(samples)


def checkpoint(**changes: Any) -> dict[str, Any]:
    """A checkpoint in the authors' form: width 8 and 6, joint 6, length 2, depth 3, two taps."""
    state = {}
    for tower, width in (("text", 6), ("visual", 8)):
        for number in range(3):
            state[f"{tower}_prompter.static_prompts.{number}"] = torch.full((2, width), float(number))
        for number in range(2):
            head = f"dynamic_{tower}_prompt_generator.head.{number}"
            state |= {
                f"{head}.weight": torch.full((width, 6), number + 0.5),
                f"{head}.bias": torch.ones(width),
            }
    for number in range(2):
        head = f"patch_token_layer.head.{number}"
        state |= {f"{head}.weight": torch.randn(6, 8), f"{head}.bias": torch.zeros(6)}
    state |= {"cls_token_layer.head.0.weight": torch.eye(6), "cls_token_layer.head.0.bias": torch.zeros(6)}
    state |= changes
    return {f"clip_model.{key}": value for key, value in state.items() if value is not None}


def test_conversion_renames_and_drops_the_text_towers_first_set() -> None:
    found = convert(checkpoint())
    assert found["attention_refiner.prompts.static"][:, 0, 0].tolist() == [0, 1, 2]
    assert found["prompt_conditioner.prompts.static"][:, 0, 0].tolist() == [1, 2]
    generator = found["attention_refiner.prompts.generator.weight"]
    assert generator.shape == (16, 6) and generator[7, 0] == 0.5 and generator[8, 0] == 1.5
    assert found["feature_adapter.patches.heads.1.weight"].shape == (6, 8)
    assert torch.equal(found["feature_adapter.image.weight"], torch.eye(6))
    assert len(found) == 3 * 2 + 4 + 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text_prompter.static_prompts.1": None}, "lacks 'clip_model.text_prompter.static_prompts.1'"),
        ({"cls_token_layer.head.0.bias": None}, "lacks 'clip_model.cls_token_layer.head.0.bias'"),
        (
            {"patch_token_layer.head.1.weight": torch.ones(6, 7)},
            r"head\.1\.weight' has the shape \(6, 7\) instead of \(6, 8\)",
        ),
        (
            {"visual_prompter.static_prompts.2": torch.ones(3, 8)},
            r"prompts\.2' has the shape \(3, 8\) instead of \(2, 8\)",
        ),
        (
            {f"visual_prompter.static_prompts.{n}": torch.ones(2, 9) for n in range(3)},
            r"visual.*head\.0\.weight' has the shape \(8, 6\) instead of \(9, joint\)",
        ),
        (
            {"visual_prompter.extra": torch.ones(1)},
            "has 'clip_model.visual_prompter.extra', which AdaCLIP's checkpoints have not",
        ),
    ],
)
def test_conversion_says_what_does_not_fit(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(checkpoint(**changes))


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 'clip_model\.epoch', which AdaCLIP's checkpoints have not"):
        convert({**checkpoint(), "clip_model.epoch": 5})
    with pytest.raises(InputError, match=r"'clip_model\.cls_token_layer\.head\.0\.bias' is no tensor"):
        convert(checkpoint(**{"cls_token_layer.head.0.bias": 5}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "is no state dict, as AdaCLIP's checkpoints are"),
        ({"prompt_learner": {}}, r"lacks 'clip_model\.visual.*, which AdaCLIP's checkpoints have"),
    ],
)
def test_another_methods_checkpoint_is_refused(content: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(content)
