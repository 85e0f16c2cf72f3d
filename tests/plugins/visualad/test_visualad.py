"""VisualAD's parts on small backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.synthetic_second import visualad_checkpoint
from tests.plugins.contexts import TEXTLESS
from zsad.detect.detector import Detector
from zsad.detect.passes import group_by_pass
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.training.cache.build import frozen_image_side
from zsad.values import ABNORMAL, NORMAL, Features, Sample, Scores
from zsad_plugins.standard.options import TopMeanOptions
from zsad_plugins.standard.post_processors import MapTopMean
from zsad_plugins.visualad.convert import convert

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("visualad")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(rng.integers(0, 256, (60, 50 + 5 * k, 3), np.uint8), "gear") for k in range(3)]


def test_one_pass_of_its_own_and_no_text(load: Load, samples: list[Sample]) -> None:
    detector, plain = load(), load(method="clip-baseline")
    detector.tower.counts.clear()
    features = detector.encode(samples)
    assert detector.tower.counts["passes"] == detector.reading.passes == 1
    assert features.prepass is None and detector.text_side is None and not detector.uses_noun
    assert group_by_pass([detector, plain]) == [[detector], [plain]]
    assert "visualad.tokens" in str(detector.encode_key.profile.injected)
    assert not frozen_image_side(detector)
    key = detector.encode_key
    with torch.no_grad():
        detector.part("attention_refiner").anomaly.add_(0.1)
    assert detector.encode_key != key


def test_scores_are_contrasts_with_tokens_that_saw_each_tap(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    adapter, adapted = detector.part("feature_adapter"), detector.adapt(features)
    stages = dict(detector.stages(features))
    tower = detector.tower
    for tap, (entry, after) in enumerate(zip(features.token_sets, adapted.token_sets, strict=True)):
        assert entry.injected is not None and after.injected is not None
        patches = tower.ln_post(entry.tokens)
        tokens = tower.ln_post(features.token_sets[-1].injected)
        layers, mlp = adapter.attention[tap], adapter.mlp[tap]
        for image in range(3):
            x = patches[image] + layers.positions[:100]
            query, key = layers.q_norm(layers.q_proj(layers.anchors)), layers.k_norm(layers.k_proj(x))
            seen = torch.softmax(query @ key.T / 8, -1) @ layers.v_proj(patches[image])
            for state in (NORMAL, ABNORMAL):
                share = torch.sigmoid(layers.gate(tokens[image, state]))
                out = layers.out_proj(sum(s * row for s, row in zip(share, seen, strict=True)))
                expected = tokens[image, state] + layers.residual * out
                torch.testing.assert_close(after.injected[image, state], expected, atol=1e-5, rtol=1e-4)
            moved = mlp.fc2(F.gelu(mlp.fc1(patches[image])))
            torch.testing.assert_close(after.tokens[image], moved, atol=1e-5, rtol=1e-4)
            cosines = F.cosine_similarity(moved[:, None], after.injected[image][None], dim=-1)
            found = stages["visualad.contrast"].sets[tap].values[image].flatten()
            torch.testing.assert_close(found, cosines[:, 1] - cosines[:, 0], atol=1e-5, rtol=1e-4)


def test_the_norm_is_the_backbone_s_until_it_is_asked_for(load: Load, samples: list[Sample]) -> None:
    own, learned = load(), load("feature_adapter.ln_post=learned")
    assert torch.equal(own.predict(samples).anomaly_map, learned.predict(samples).anomaly_map)
    for detector in (own, learned):
        with torch.no_grad():
            detector.part("feature_adapter").ln_post.weight.mul_(torch.linspace(0.5, 2, 64))
    assert not torch.equal(own.predict(samples).anomaly_map, learned.predict(samples).anomaly_map)
    state = own.part("feature_adapter").state_dict()
    assert {"ln_post.weight", "ln_post.bias"} < set(state) and "own_weight" not in state


def test_what_does_not_fit_is_said(load: Load, samples: list[Sample]) -> None:
    small = load("feature_adapter.places=99")
    with pytest.raises(InputError, match="position rows for 99 patches, and this image size gives 100"):
        small.predict(samples)
    with pytest.raises(InputError, match=r"requires 'injected_tokens'.*'visualad.tokens'"):
        load("attention_refiner=none")
    with pytest.raises(InputError, match="requires 'injected_tokens'"):
        load("scorer=visualad.contrast", "post_processors+=standard.map_top_mean", method="clip-baseline")
    with pytest.raises(InputError, match="layers for 4 taps, but the attention refiner reads 2"):
        taps = load("readout.taps=[1, 2]")
        load().part("feature_adapter")(taps.encode(samples))


def test_other_scorers_may_use_its_pass(load: Load, samples: list[Sample]) -> None:
    mixed = load("attention_refiner=visualad.tokens", method="clip-baseline")
    plain = load(method="clip-baseline")
    assert not torch.equal(mixed.predict(samples).anomaly_map, plain.predict(samples).anomaly_map)


@pytest.mark.parametrize(("side", "fraction", "count"), [(140, 0.01, 196), (168, 0.01, 283), (3, 1, 9)])
def test_the_score_is_the_mean_of_the_largest_pixels(side: int, fraction: float, count: int) -> None:
    maps = torch.randn(2, side, side, generator=torch.Generator().manual_seed(0))
    features = Features((), torch.zeros(2, 4), ("a", "a"), (side, side))
    found = MapTopMean(TopMeanOptions(fraction=fraction), TEXTLESS)(Scores(map=maps), features)
    expected = torch.stack([one.flatten().sort(descending=True).values[:count].mean() for one in maps])
    torch.testing.assert_close(found.image_score, expected)
    assert found.trace == ("standard.map_top_mean",)


def checkpoint(**changes: Any) -> dict[str, Any]:
    clip = {"visual.proj": np.zeros((64, 32))}
    content = visualad_checkpoint(clip, 0, {"features_list": [3, 6, 9, 12], "num_anchors": 4})

    def tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensors(entry) for name, entry in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    return {**tensors(content), **changes}


def test_a_checkpoint_s_taps_come_in_the_order_of_their_blocks(load: Load) -> None:
    given = checkpoint()
    turned = {**given, "layer_transforms": dict(reversed(given["layer_transforms"].items()))}
    found = convert(turned)
    theirs = given["layer_transforms"]["layer_12"]["mlp.0.weight"]
    assert torch.equal(found["feature_adapter.mlp.3.fc1.weight"], theirs)
    assert torch.equal(found["attention_refiner.normal"], given["normal_token"])
    detector = load()
    shapes = {
        f"{key}.{name}": tensor.shape
        for key, part in detector.parts.items()
        for name, tensor in part.state_dict().items()
    }
    assert {name: tensor.shape for name, tensor in found.items()} == shapes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layer_transforms": {}}, "'layer_transforms' is empty"),
        ({"layer_transforms": {"block_3": {}}}, "it has a layer 'block_3'"),
        ({"anomaly_token": torch.zeros(63)}, "'normal_token' has the shape"),
        ({"surplus": torch.zeros(2)}, "it has 'surplus', which VisualAD's checkpoints have not"),
    ],
)
def test_other_checkpoints_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        convert(checkpoint(**changes))


def test_no_checkpoint_at_all() -> None:
    with pytest.raises(InputError, match="no entries 'layer_transforms' and 'cross_attn'"):
        convert({"prompt_learner": {}})
    with pytest.raises(InputError, match="no entries 'layer_transforms' and 'cross_attn'"):
        convert(checkpoint(cross_attn=torch.zeros(3)))


def test_every_method_is_known() -> None:
    assert "visualad" in get_host().recipes
