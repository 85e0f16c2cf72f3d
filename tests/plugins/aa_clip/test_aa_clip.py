"""AA-CLIP's parts on small backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from tests.parity.synthetic_second import aaclip_checkpoint
from tests.plugins.contexts import TEXTLESS
from zsad.detect.detector import Detector
from zsad.detect.passes import group_by_pass
from zsad.errors import InputError
from zsad.values import Features, Sample, Scores, ScoreSet
from zsad_plugins.aa_clip.class_range import ClassRange
from zsad_plugins.aa_clip.convert import convert
from zsad_plugins.aa_clip.maps import GridBlur
from zsad_plugins.aa_clip.options import BlurOptions, RangeOptions
from zsad_plugins.aa_clip.residual import ResidualAdapter

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("aa-clip")


def adapted(x: Tensor, adapter: ResidualAdapter) -> Tensor:
    """The residual adapter, token by token."""
    found = []
    for token in x.flatten(0, -2):
        a = adapter.linear.weight @ token
        a = torch.where(a > 0, a, 0.01 * a)
        found.append(0.1 * a * token.norm() / a.norm() + 0.9 * token)
    return torch.stack(found).reshape(x.shape)


@torch.no_grad()
def test_adapters_feed_on_in_the_vision_tower(load: Load, samples: list[Sample]) -> None:
    detector = load("attention_refiner.blocks=2")
    tower, adapters = detector.tower, detector.part("attention_refiner").adapters
    tower.counts.clear()
    features = detector.encode(samples[:2])
    assert tower.counts["passes"] == detector.reading.passes == 1
    images = detector.tensor(samples[:2])
    patches = tower.patch_embedding(images).flatten(2).transpose(1, 2)
    x = tower.ln_pre(tower._embed(patches, features.grid))
    for number, block in enumerate(tower.blocks, 1):
        x = block(x)
        if number <= 2:
            x = adapted(x, adapters[number - 1])
        entry = features.token_sets[number - 1]
        torch.testing.assert_close(entry.tokens, tower.ln_post(x)[:, 1:], atol=1e-5, rtol=1e-4)
    heads, after = detector.part("feature_adapter"), detector.adapt(features)
    for head, entry, found in zip(heads.seg, features.token_sets, after.token_sets, strict=True):
        expected = F.normalize(entry.tokens @ head.weight.T, dim=-1)
        torch.testing.assert_close(found.tokens, expected)
    last = features.token_sets[-1].tokens @ heads.det.weight.T
    torch.testing.assert_close(after.image_feature, F.normalize(last, dim=-1).mean(1))


@torch.no_grad()
def test_adapters_feed_on_in_the_text_tower(load: Load) -> None:
    detector = load("prompt_learner.blocks=2")
    learner, tower = detector.part("prompt_learner"), detector.text_side.tower
    prompts = learner("gear")
    assert prompts.state.tolist() == [0] * 6 + [1] * 10
    raw = detector.text_side._unedited("gear", 1).raw[0]
    for place in (0, 7):
        end = int(prompts.end[place])
        x = (prompts.embeddings[place, : end + 1] + tower.position_embedding[: end + 1])[None]
        for number, block in enumerate(tower.blocks, 1):
            x = block(x, causal=True)
            x = adapted(x, learner.adapters[number - 1]) if number <= 2 else x
        expected = F.leaky_relu(learner.projection.weight @ tower.ln_final(x[0, -1]))
        torch.testing.assert_close(raw[place], expected, atol=1e-5, rtol=1e-4)


def test_a_zero_direction_leaves_the_token_alone() -> None:
    adapter = ResidualAdapter(4, 0.1)
    with torch.no_grad():
        adapter.linear.weight.zero_()
        x = torch.randn(2, 4)
        torch.testing.assert_close(adapter(x), 0.9 * x)


def test_its_pass_and_its_text_are_its_own(load: Load, samples: list[Sample]) -> None:
    detector, other = load(), load(method="clip-baseline")
    assert group_by_pass([detector, other]) == [[detector], [other]]
    key = detector.encode_key
    before = detector.condition(detector.adapt(detector.encode(samples))).text_features
    with torch.no_grad():
        detector.part("attention_refiner").adapters[0].linear.weight.mul_(-1)
        detector.part("prompt_learner").adapters[0].linear.weight.mul_(-1)
    detector.text_side.forget()
    assert detector.encode_key != key
    after = detector.condition(detector.adapt(detector.encode(samples))).text_features
    assert (after - before).abs().max() > 1e-3
    # Another method on the same towers does not notice.
    plain = other.condition(other.encode(samples)).text_features
    assert torch.equal(load(method="clip-baseline").condition(other.encode(samples)).text_features, plain)


@torch.no_grad()
def test_the_tower_of_the_first_stage(load: Load, samples: list[Sample]) -> None:
    over_tokens = load("attention_refiner.attention=vv", "feature_adapter.project=false")
    over_batch = load("attention_refiner.attention=vv_over_batch", "feature_adapter.project=false")
    assert over_batch.recipe.batch_dependent and not over_tokens.recipe.batch_dependent
    plain = load(method="clip-baseline").encode(samples).image_feature
    for detector in (over_tokens, over_batch):
        detector.tower.counts.clear()
        features = detector.encode(samples)
        assert detector.tower.counts["passes"] == detector.reading.passes == 2
        torch.testing.assert_close(features.prepass, plain)
        guided = detector.adapt(features)
        for entry, found in zip(features.token_sets, guided.token_sets, strict=True):
            assert entry.space == "joint"
            expected = F.normalize(entry.tokens, dim=-1) + F.normalize(plain, dim=-1)[:, None]
            torch.testing.assert_close(found.tokens, expected)
    alone = [detector.encode(samples[:1]).token_sets[-1].tokens for detector in (over_tokens, over_batch)]
    together = [detector.encode(samples).token_sets[-1].tokens[:1] for detector in (over_tokens, over_batch)]
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-4)
    assert (alone[1] - together[1]).abs().max() > 1e-3
    # Over a batch of one it is the projection of the values.
    tower = over_batch.tower
    x = tower.ln_pre(
        tower._embed(
            tower.patch_embedding(over_batch.tensor(samples[:1])).flatten(2).transpose(1, 2),
            over_batch.encode(samples[:1]).grid,
        )
    )
    for block in tower.blocks:  # from a quarter of four blocks on: all
        x = x + block.out_proj(block.v_proj(block.ln_1(x)))
        x = x + block.mlp(block.ln_2(x))
    torch.testing.assert_close(alone[1], (tower.ln_post(x) @ tower.projection)[:, 1:], atol=1e-5, rtol=1e-4)


def test_guided_features_need_the_plain_pass(load: Load, samples: list[Sample]) -> None:
    with pytest.raises(InputError, match=r"set attention_refiner\.attention to vv"):
        load("feature_adapter.project=false").predict(samples)
    with pytest.raises(InputError, match="4 heads, one per tap, but the attention refiner reads 1"):
        load().part("feature_adapter")(load(method="anomalyclip").encode(samples))


def test_scores_are_linear_in_the_dot_products(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    after = detector.adapt(features)
    text = detector.condition(after).text_features
    stages = dict(detector.stages(features))
    entry = after.token_sets[2]
    dots = entry.tokens @ text.transpose(1, 2)
    expected = (100 * dots[..., 1] + 1 - 100 * dots[..., 0]) / 2
    found = stages["aa-clip.difference"].sets[2].values[:, 0].flatten(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    own = ((after.image_feature * text[:, 1]).sum(-1) + 1) / 2
    torch.testing.assert_close(detector.score(features).score, own)


@pytest.mark.parametrize(("size", "sigma"), [(7, 1.0), (9, 1.5), (1, 1.0)])
def test_the_blur_is_a_reflected_gaussian(size: int, sigma: float) -> None:
    values = torch.randn(2, 1, 10, 12, generator=torch.Generator().manual_seed(0))
    scores = Scores((ScoreSet("one", values, "anomaly"),))
    features = Features((), torch.zeros(2, 4), ("a", "a"), (16, 16))
    (found,) = GridBlur(BlurOptions(size=size, sigma=sigma), TEXTLESS)(scores, features).sets
    reach = size // 2
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.outer(kernel, kernel) / np.outer(kernel, kernel).sum()
    for image in range(2):
        padded = np.pad(values[image, 0].double().numpy(), reach, mode="reflect")
        for row in range(10):
            for column in range(12):
                expected = (padded[row : row + size, column : column + size] * kernel).sum()
                assert float(found.values[image, 0, row, column]) == pytest.approx(expected, abs=1e-5)


def test_blurs_that_cannot_be_are_refused(load: Load, samples: list[Sample]) -> None:
    with pytest.raises(ValidationError, match="odd number"):
        BlurOptions(size=4)
    with pytest.raises(InputError, match="too large for a grid of 3 x 3; use a larger --image-size"):
        load(image_size=24).predict(samples)


def scores_of(maps: Tensor, image: Tensor) -> Scores:
    return Scores(map=maps, image_score=image, trace=("before",))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_class_range_looks_at_the_whole_class(share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    maps, image = torch.randn(5, 4, 4, generator=generator), torch.randn(5, generator=generator)
    part = ClassRange(RangeOptions(share=share), TEXTLESS)
    features = Features((), torch.zeros(2, 4), ("a", "a"), (4, 4))
    kept = [
        part.collect(scores_of(maps[low:high], image[low:high]), features) for low, high in ((0, 2), (2, 5))
    ]
    found = part.finalize(kept)
    wide = (maps - maps.min()) / (maps.max() - maps.min())
    own = (image - image.min()) / (image.max() - image.min())
    torch.testing.assert_close(found.map, wide)
    torch.testing.assert_close(found.image_score, share * wide.amax((1, 2)) + (1 - share) * own)
    assert found.trace == ("before", "aa-clip.class_range")
    # Where the largest is 1 already, nothing is scaled, as in the published code.
    kept_one = part.collect(scores_of(maps - maps.max() + 1, image), features)
    torch.testing.assert_close(part.finalize([kept_one]).map, maps - maps.max() + 1)
    flat = part.finalize([part.collect(scores_of(torch.zeros(1, 4, 4), torch.full((1,), 0.3)), features)])
    assert float(flat.image_score) == 0


def test_only_the_variants_are_transductive(load: Load, samples: list[Sample]) -> None:
    assert not load().recipe.transductive and "inductive" in load().setting
    for method in ("aa-clip@class-range", "aa-clip@medical"):
        detector = load(method=method)
        assert detector.recipe.transductive and "transductive" in detector.setting
        together = detector.predict(samples[::2], "gear")
        assert not torch.equal(together.score[:1], detector.predict(samples[:1], "gear").score)
    added = load("post_processors+=aa-clip.class_range")
    assert torch.equal(
        added.predict(samples[::2], "gear").score,
        load(method="aa-clip@class-range").predict(samples[::2], "gear").score,
    )


OPTIONS = {"features_list": [6, 12, 18, 24], "image_adapt_until": 1, "text_adapt_until": 1}
CLIP = {"visual.proj": np.zeros((64, 32)), "text_projection": np.zeros((64, 32))}


def files() -> tuple[Any, Any]:
    def tensors(content: dict[str, Any], entry: str) -> dict[str, Any]:
        return {**content, entry: {name: torch.from_numpy(array) for name, array in content[entry].items()}}

    return (
        tensors(aaclip_checkpoint("text", CLIP, 0, OPTIONS), "text_adapter"),
        tensors(aaclip_checkpoint("image", CLIP, 0, OPTIONS), "image_adapter"),
    )


def test_two_checkpoints_in_either_order(load: Load) -> None:
    text, image = files()
    found = convert(text, image)
    turned = convert(image, text)
    assert all(torch.equal(tensor, turned[name]) for name, tensor in found.items())
    assert found.keys() == turned.keys()
    shapes = {
        f"{key}.{name}": tensor.shape
        for key, part in load("prompt_learner.blocks=1").parts.items()
        for name, tensor in part.state_dict().items()
    }
    assert {name: tensor.shape for name, tensor in found.items()} == shapes
    assert torch.equal(found["prompt_learner.projection.weight"], text["text_adapter"]["1.fc.0.weight"])


def test_other_checkpoints_are_refused() -> None:
    text, image = files()
    with pytest.raises(InputError, match="no entry 'image_adapter'"):
        convert(text, text)
    with pytest.raises(InputError, match="no entry 'text_adapter'"):
        convert(image, image)
    relu = {name.replace("proj.fc", "proj.fc.0"): t for name, t in image["image_adapter"].items()}
    relu = {name.replace(".fc.weight", ".fc.0.weight"): tensor for name, tensor in relu.items()}
    with pytest.raises(InputError, match=r"lacks 'seg_proj\.0\.fc\.weight'"):
        convert(text, {"image_adapter": relu})
