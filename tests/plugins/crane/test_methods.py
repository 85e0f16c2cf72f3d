"""The recipes as a whole: on mini, in any batch, beside one another, and with wrong options."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.hub import hub_reachable
from zsad.detect.passes import encode_together, group_by_pass
from zsad.errors import InputError, ZsadError

INDEPENDENT = ("crane", "crane@image-prompt", "crane-plus@per-image", "crane-plus@stem")
RECIPES = (*INDEPENDENT, "crane-plus")
DINO = ["auxiliary=crane.dinov2", "attention_refiner.maps=dinov2"]


@pytest.mark.parametrize("method", RECIPES)
def test_it_runs_on_mini(load, mini, samples, method: str) -> None:
    prediction = load(method, mini).predict(samples)
    assert prediction.anomaly_map.shape == (3, 240, 240) and prediction.score.shape == (3,)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    assert (prediction.anomaly_map.flatten(1).std(1) > 0).all() and prediction.score.std() > 0
    assert prediction.anomaly_map.min() >= 0 and prediction.anomaly_map.max() <= 1


@pytest.mark.parametrize("method", INDEPENDENT)
def test_an_image_does_not_depend_on_its_batch(load, mini, samples, method: str) -> None:
    detector = load(method, mini)
    assert not detector.recipe.batch_dependent
    together = detector.predict(samples)
    for place, sample in enumerate(samples):
        alone = detector.predict([sample])
        torch.testing.assert_close(together.anomaly_map[place], alone.anomaly_map[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.score[place], alone.score[0], rtol=0, atol=1e-5)


def test_the_published_threshold_depends_on_the_batch_and_says_so(load, mini, samples) -> None:
    detector = load("crane-plus", mini)
    assert detector.recipe.batch_dependent
    together, alone = detector.encode(samples), detector.encode(samples[:1])
    difference = together.token_sets[0].tokens[0] - alone.token_sets[0].tokens[0]
    assert difference.abs().max() > 1e-2
    # E-attention stays what it is, and alone both thresholds are one.
    torch.testing.assert_close(together.token_sets[1].tokens[:1], alone.token_sets[1].tokens)
    clean = load("crane-plus@per-image", mini).encode(samples[:1])
    torch.testing.assert_close(clean.token_sets[0].tokens, alone.token_sets[0].tokens)


def test_all_recipes_ride_on_one_pass(load, mini, samples) -> None:
    detectors = [load(method, mini) for method in RECIPES]
    assert len(group_by_pass(detectors)) == 1
    tower = detectors[0].tower
    tower.counts.clear()
    features = encode_together(detectors, samples)
    # Seven blocks of E-attention for all five, and a term for each of the three kinds of D-attention.
    assert tower.counts["passes"] == 1 and tower.counts["terms"] == 7 + 3
    assert sorted(features[-1].auxiliary) == ["dinov2", "stem"]
    for detector, shared in zip(detectors, features, strict=True):
        alone = detector.predict(samples)
        torch.testing.assert_close(detector.score(shared).anomaly_map, alone.anomaly_map)


def test_samples_that_a_worker_prepared_are_not_resized_again(load, mini, samples) -> None:
    detector = load("crane-plus@stem", mini)
    (part,) = (built for _, built in detector.auxiliary_parts())
    ready = [
        replace(sample, tensors={part.form: tensor})
        for sample, tensor in zip(samples, detector.tensor(samples), strict=True)
    ]
    torch.testing.assert_close(part(ready, None)["stem"], part(samples, None)["stem"])
    assert part.form == detector.reading.form


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("attention_refiner.pairs=[vq]", "'pairs.0' cannot be 'vq'"),
        ("attention_refiner.margin=0", "'margin' cannot be 0"),
        ("attention_refiner.values_from=output", "'values_from' cannot be 'output'"),
        ("attention_refiner.beta=1", "'beta' is not known"),
        ("scorer.share=1.5", "'share' cannot be 1.5"),
        ("scorer.temperature=0", "'temperature' cannot be 0"),
        ("post_processors.fuse.soft_mean=sometimes", "'soft_mean' cannot be 'sometimes'"),
        ("auxiliary=none", "requires 'auxiliary:stem'.*'crane.stem' .auxiliary. would"),
    ],
)
def test_wrong_options_are_refused(load, mini, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load("crane-plus@stem", mini, override)


def test_other_maps_than_there_are_are_refused(load, mini) -> None:
    said = r"'crane\.d_attn'.*requires 'auxiliary:dinov2'.*'crane\.dinov2' \(auxiliary\) would"
    with pytest.raises(InputError, match=said):
        load("crane-plus@stem", mini, "attention_refiner.maps=dinov2")


def test_a_missing_dinov2_is_named(mini, tmp_path) -> None:
    overrides = [*DINO, f"auxiliary.dinov2.model={tmp_path}/none"]
    with pytest.raises(InputError, match=r"crane\.dinov2.*no DINOv2 folder or file"):
        load_detector("crane-plus", backbone=mini, untrained=True, overrides=overrides)


def test_an_unreachable_hub_names_the_way_around(mini, monkeypatch, tmp_path) -> None:
    if hub_reachable():
        monkeypatch.setattr("zsad.backbones.hub.hub_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ZsadError, match=r"dinov2-with-registers-base.*crane-plus@stem does without"):
        load_detector("crane-plus", backbone=mini, untrained=True, overrides=DINO)


@pytest.mark.parametrize("method", ["crane-plus", "crane-plus@per-image"])
def test_on_mini_its_own_stem_takes_the_place_of_dinov2(mini, samples, method: str) -> None:
    detector = load_detector(method, backbone=mini, untrained=True)
    assert [part.spec.name for part in detector.recipe.of_kind("auxiliary")] == ["crane.stem"]
    assert detector.recipe.fidelity == "inspired"
    assert detector.recipe.batch_dependent == (method == "crane-plus")
    stem = load_detector("crane-plus@stem", backbone=mini, untrained=True)
    alone = samples[:1]  # where both thresholds are one
    assert torch.equal(detector.predict(alone).anomaly_map, stem.predict(alone).anomaly_map)


def test_descriptions_need_no_torch() -> None:
    code = "import sys, zsad_plugins.crane, zsad_plugins.crane.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("method", ["crane-plus", "crane-plus@stem"])
def test_dense_maps_of_images_that_keep_their_aspect_are_on_the_tower_s_grid(
    load, mini, samples, method: str
) -> None:
    detector = load(method, mini, "profile.image_resize=short-side")
    for sample, grid in ((samples[0], (19, 15)), (samples[2], (15, 18))):
        features = detector.encode([sample])
        (maps,) = features.auxiliary.values()
        own = features.token_sets[0].grid
        assert tuple(maps.shape[1:3]) == (own.height, own.width) == grid
        assert detector.score(features).anomaly_map.shape == (1, *features.whole_size)
