"""INP-Former's parts: prototypes of one image, the smoothing behind them, its importer and its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.parity.synthetic_inpformer import inpformer_parameters
from tests.plugins.contexts import TEXTLESS
from tests.training.stages import first_step, learn, loads_back
from zsad.data.preprocess import whole_image
from zsad.detect.detector import Detector
from zsad.detect.text_side import without_text
from zsad.errors import InputError
from zsad.values import Features, Grid, Sample, Scores, TokenSet
from zsad_plugins.inp_former.convert import convert
from zsad_plugins.inp_former.options import PrototypeOptions, SmoothOptions
from zsad_plugins.inp_former.prototypes import IntrinsicPrototypes, distances
from zsad_plugins.inp_former.smoothing import Smooth

Load = Callable[..., Detector]
WIDTH = 32


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    loader = untrained("inp-former")
    return lambda *overrides, **options: loader("scorer.head_width=16", *overrides, **options)


def part(prototypes: int = 6) -> IntrinsicPrototypes:
    torch.manual_seed(0)
    context = replace(TEXTLESS, vision_width=WIDTH, stage="raw")
    return IntrinsicPrototypes(PrototypeOptions(prototypes=prototypes, head_width=8), context)


def features_of(tokens: torch.Tensor) -> Features:
    side = int(tokens.shape[1] ** 0.5)
    entry = TokenSet("plain.1", tokens, Grid(side, side), "raw", 1)
    return Features((entry,), torch.zeros(len(tokens), 4), ("object",) * len(tokens), (16, 16))


def scored(scorer: IntrinsicPrototypes, tokens: torch.Tensor) -> torch.Tensor:
    features = features_of(tokens)
    return scorer(features, without_text(features)).sets[0].values.detach().flatten(1)


def test_prototypes_against_a_reference_head_by_head() -> None:
    scorer = part(3)
    tokens = torch.randn(2, 9, WIDTH)
    with torch.no_grad():
        found = scorer.prototypes(tokens)
        for image in range(2):
            seen = scorer.norm1(tokens[image])
            for number in range(3):
                query = scorer.q_proj(scorer.norm1(scorer.queries[number]))
                heads = []
                for head in range(4):
                    own = slice(8 * head, 8 * head + 8)
                    logits = scorer.k_proj(seen)[:, own] @ query[own] / 8**0.5
                    heads.append(torch.softmax(logits, 0) @ scorer.v_proj(seen)[:, own])
                moved = scorer.queries[number] + scorer.out_proj(torch.cat(heads))
                hidden = torch.nn.functional.gelu(scorer.fc1(scorer.norm2(moved)))
                torch.testing.assert_close(found[image, number], moved + scorer.fc2(hidden))


def test_one_odd_patch_in_a_uniform_texture_scores_highest() -> None:
    scorer = part()
    tokens = torch.randn(1, 1, WIDTH) + 0.05 * torch.randn(4, 25, WIDTH)
    with torch.no_grad():  # prototypes of what attention gathers, as learned queries would have them
        scorer.queries.mul_(1e-3)
        scorer.norm1.weight.fill_(1)
        scorer.v_proj.weight.copy_(torch.eye(WIDTH))
        scorer.out_proj.weight.copy_(torch.eye(WIDTH))
        for layer in (scorer.v_proj.bias, scorer.out_proj.bias, scorer.fc2.weight, scorer.fc2.bias):
            layer.zero_()
    for image in range(4):
        tokens[image, 6 * image] = -tokens[image, 6 * image]
    assert scored(scorer, tokens).argmax(1).tolist() == [0, 6, 12, 18]


def test_further_queries_raise_no_score() -> None:
    whole, fewer = part(6), part(2)
    fewer.load_state_dict({**whole.state_dict(), "queries": whole.queries[:2]})
    tokens = torch.randn(2, 16, WIDTH)
    assert (scored(whole, tokens) <= scored(fewer, tokens) + 1e-6).all()


def test_nothing_tells_which_half_of_an_image_is_wrong() -> None:
    """The majority is taken for normal, so that halves that change places change their scores with them."""
    tokens = torch.cat(
        [torch.randn(1, 1, WIDTH).expand(1, 8, -1), torch.randn(1, 1, WIDTH).expand(1, 8, -1)], 1
    )
    scorer = part()
    torch.testing.assert_close(scored(scorer, tokens.flip(1)), scored(scorer, tokens).flip(1))


def test_the_taps_are_those_of_the_published_encoders(load: Load) -> None:
    readout = load().recipe.recipe.readout
    assert readout.blocks(12) == (3, 4, 5, 6, 7, 8, 9, 10)
    assert readout.blocks(24) == (5, 7, 9, 11, 13, 15, 17, 19)


def test_scores_are_distances_of_the_mean_of_the_taps(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    scorer, stages = detector.part("scorer"), dict(detector.stages(features))
    mean = sum(entry.tokens for entry in features.token_sets) / len(features.token_sets)
    with torch.no_grad():
        nearest = distances(mean, scorer.prototypes(mean)).amin(-1)
    found = stages["inp-former.prototypes"].sets[0].values.flatten(1)
    torch.testing.assert_close(found, nearest)
    assert detector.text_side is None and not detector.uses_noun
    assert detector.setting == "training-free / inductive / zero-shot"
    assert detector.predict(samples).anomaly_map.shape == (3, 80, 80)


def test_behind_a_crop_the_map_covers_the_whole_image(load: Load, samples: list[Sample]) -> None:
    detector = load("profile.image_resize=centre-crop")
    features = detector.encode(samples)
    seen = dict(detector.stages(features))["inp-former.smooth"].required_map
    found = detector.score(features).anomaly_map
    torch.testing.assert_close(found, whole_image(seen, "centre-crop"))
    assert torch.equal(found[:, 0], found[:, 3]) and not torch.equal(found[:, 0], found[:, 12])
    assert not torch.equal(found, load().predict(samples).anomaly_map)


def test_smoothing_against_scipy() -> None:
    maps = torch.rand(2, 40, 40)
    smooth = Smooth(SmoothOptions(side=32, sigma=3.0, radius=4, fraction=0.05), TEXTLESS)
    weights = np.exp(-0.5 * (np.arange(-4, 5) / 3) ** 2)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    found = smooth(Scores(map=maps), replace(features_of(torch.zeros(2, 4, 4)), input_size=(40, 40)))
    for image in range(2):
        small = torch.nn.functional.interpolate(maps[None, image : image + 1], (32, 32), mode="bilinear")[
            0, 0
        ]
        expected = ndimage.convolve(small.double().numpy(), kernel, mode="constant")
        np.testing.assert_allclose(smooth.smoothed(maps)[image].numpy(), expected, atol=1e-6)
        largest = np.sort(expected.ravel())[-51:].mean()  # 5 % of 1024 pixels, rounded down
        assert float(found.required_image_score[image]) == pytest.approx(largest, abs=1e-6)
    assert found.required_map.shape == (2, 40, 40)


def test_heads_that_do_not_fit_are_refused(untrained: Callable[[str], Load]) -> None:
    with pytest.raises(InputError, match=r"heads of 48 channels, and 64 .* use --set scorer.head_width=N"):
        untrained("inp-former")("scorer.head_width=48")


def test_the_authors_checkpoint_is_read_without_its_decoder() -> None:
    state = {key: torch.from_numpy(value) for key, value in inpformer_parameters(64, 1, 6, 0).items()}
    found = convert(state | {"encoder.cls_token": torch.zeros(1, 1, 64)})
    both = state["aggregation.0.attn.kv.weight"]
    assert torch.equal(found["scorer.k_proj.weight"], both[:64])
    assert torch.equal(found["scorer.v_proj.weight"], both[64:])
    assert found.keys() == {f"scorer.{name}" for name in part().state_dict()}
    with pytest.raises(InputError, match=r"it lacks 'aggregation\.0\.norm1\.weight'"):
        convert({key: value for key, value in state.items() if not key.startswith("aggregation")})
    with pytest.raises(InputError, match=r"it has 'head\.weight', which INP-Former's checkpoints have not"):
        convert(state | {"head.weight": torch.zeros(2)})


def test_the_loss_is_the_mean_distance_of_normal_images(load: Load, squares) -> None:
    first = first_step(load(image_size=32), squares, [0, 4, 1])
    values = first.scores.sets[0].values.flatten(1).mean(1).detach().numpy()
    assert first.batch.anomalous.tolist() == [True, False, True]
    assert first.losses == pytest.approx({"inp-coherence": values[1] / 3}, rel=1e-5)


def test_the_queries_learn_and_the_distance_falls(load: Load, squares, tmp_path) -> None:
    detector = load()
    (stage,) = learn(detector, squares, epochs=6, batch_size=4, learning_rate=0.01)
    assert stage.fell and not stage.same
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")


def test_scores_without_distances_are_refused(untrained: Callable[[str], Load], squares) -> None:
    with pytest.raises(InputError, match="reads one distance per patch"):
        first_step(untrained("uniadet")("training.losses={inp-coherence: 1}", image_size=32), squares, [0])
