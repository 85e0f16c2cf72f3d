"""MRAD's neighbourhoods, memories and image score, and the import of its authors' files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from tests.plugins.contexts import TEXTLESS
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.training.learner import learned_state
from zsad.values import Conditioning, Features, Grid, Sample, Scores, TokenSet
from zsad_plugins.mrad.convert import convert, convert_finetuned
from zsad_plugins.mrad.image_score import ImageScore
from zsad_plugins.mrad.memory import Keys, Memory, spaced
from zsad_plugins.mrad.neighbours import box_means
from zsad_plugins.mrad.options import ImageScoreOptions, MemoryOptions, ProjectedOptions
from zsad_plugins.mrad.projected import ProjectedMemory

Load = Callable[..., Detector]

CONTEXT = replace(TEXTLESS, stage="ln_post")
"""Patches of 8 channels, image features of 4."""


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Load:
    def loaded(*overrides: str, method: str = "mrad") -> Detector:
        return load_detector(
            method, backbone=tiny_backbone, overrides=overrides, untrained=True, image_size=80
        )

    return loaded


def features_of(tokens: torch.Tensor, image: torch.Tensor) -> Features:
    entry = TokenSet("t.4", tokens, Grid(4, 4), "ln_post", 4)
    return Features((entry,), image, ("object",) * len(tokens), (16, 16))


def without_text(count: int) -> Conditioning:
    return Conditioning(torch.empty(count, 0, 4))


def test_box_means_against_loops() -> None:
    patches = torch.randn(2, 12, 5, dtype=torch.float64)
    planes = patches.view(2, 3, 4, 5).numpy()
    found = box_means(patches, Grid(3, 4), (1, 3, 5))
    for row, column in np.ndindex(3, 4):
        total = np.zeros((2, 5))
        for reach in (0, 1, 2):
            rows = range(max(row - reach, 0), min(row + reach, 2) + 1)
            columns = range(max(column - reach, 0), min(column + reach, 3) + 1)
            total += sum(planes[:, r, c] for r in rows for c in columns) / (2 * reach + 1) ** 2 / 3
        np.testing.assert_allclose(found[:, row * 4 + column], total)


def test_keys_are_means_of_regions_the_anomalous_one_first() -> None:
    torch.manual_seed(0)
    tokens, image = torch.randn(3, 16, 8), torch.randn(3, 4)
    masks = torch.zeros(3, 16, 16, dtype=torch.bool)
    masks[1, :8, :8] = True  # four cells of the grid
    masks[1, 8:12, 10:12] = True  # half of the middle of another one, which then is of no state
    masks[2] = True  # no normal cell
    memory = Memory(MemoryOptions(), CONTEXT)
    images, regions = memory.remember(features_of(tokens, image), masks, torch.tensor([False, True, True]))
    torch.testing.assert_close(images.vectors, F.normalize(image, dim=-1))
    assert images.anomalous.tolist() == [False, True, True]
    assert regions.anomalous.tolist() == [False, True, False, True]
    cells = tokens.view(3, 4, 4, 8)
    inside = cells[1, :2, :2].reshape(-1, 8).mean(0)
    outside = torch.ones(4, 4, dtype=torch.bool)
    outside[:2, :2] = outside[2, 2] = False
    for found, expected in zip(
        regions.vectors,
        [tokens[0].mean(0), inside, cells[1][outside].mean(0), tokens[2].mean(0)],
        strict=True,
    ):
        torch.testing.assert_close(found, F.normalize(expected, dim=-1))


def test_votes_against_loops() -> None:
    torch.manual_seed(1)
    tokens, image = torch.randn(2, 16, 8), torch.randn(2, 4)
    memory = Memory(MemoryOptions(), CONTEXT)
    flags = {"image": [False, True, True], "patch": [True, False, False, True, False]}
    keys = {name: F.normalize(torch.randn(len(f), memory.widths[name]), dim=-1) for name, f in flags.items()}
    pairs = {name: Keys(keys[name], torch.tensor(flags[name])) for name in flags}
    memory.fill([(pairs["image"], pairs["patch"])])
    scores = memory(features_of(tokens, image), without_text(2))
    (entry,) = scores.sets
    assert entry.kind == "probabilities" and entry.values.shape == (2, 2, 4, 4)

    def vote(query: torch.Tensor, name: str) -> float:
        unit = query / query.norm()
        weights = [float(np.exp(float(unit @ key))) for key in keys[name]]
        return sum(w for w, flag in zip(weights, flags[name], strict=True) if flag) / sum(weights)

    for number in range(2):
        assert float(scores.required_image_score[number]) == pytest.approx(
            vote(image[number], "image"), rel=1e-5
        )
        for place in range(16):
            found = float(entry.values[number, 1].flatten()[place])
            assert found == pytest.approx(vote(tokens[number, place], "patch"), rel=1e-5)
    torch.testing.assert_close(entry.values.sum(1), torch.ones(2, 4, 4))


def test_fresh_linear_maps_change_nothing_and_hidden_keys_are_the_nearest() -> None:
    context = replace(CONTEXT, embed_dim=8)
    memory = ProjectedMemory(ProjectedOptions(hidden_patches=0.5), context)
    plain = Memory(MemoryOptions(), context)
    keys = Keys(torch.eye(8)[:4], torch.tensor([False, True, False, True]))
    for part in (memory, plain):
        part.fill([(keys, keys)])
    query = F.normalize(torch.tensor([[4.0, 3, 2, 1, 0, 0, 0, 0]]), dim=-1)
    torch.testing.assert_close(memory.vote("image", query), plain.vote("image", query))
    # Of four keys the two nearest are hidden; what is left are one normal and one anomalous key.
    weights = np.exp(query[0, 2:4].numpy())
    expected = torch.tensor([[weights[0], weights[1]]]) / float(weights.sum())
    torch.testing.assert_close(memory.vote("patch", query), expected)


@pytest.mark.parametrize(
    ("anomalous", "limit", "kept"),
    [
        ([0, 1, 0, 1], None, [0, 1, 2, 3]),
        ([0, 1, 0, 1], 4, [0, 1, 2, 3]),
        ([0] * 9 + [1] * 3, 4, [0, 4, 8, 9]),
        ([0] * 99 + [1], 4, [0, 49, 98, 99]),  # three normal ones, and the rare state still has one
    ],
)
def test_a_limit_keeps_evenly_spaced_keys_of_both_states(anomalous, limit, kept) -> None:
    assert spaced(torch.tensor(anomalous).bool(), limit).tolist() == kept


def test_a_memory_of_one_state_is_refused() -> None:
    memory = Memory(MemoryOptions(), CONTEXT)
    both = Keys(torch.eye(4)[:2], torch.tensor([False, True]))
    normal = Keys(torch.eye(8)[:2], torch.tensor([False, False]))
    with pytest.raises(InputError, match="there is no anomalous region of an image to remember"):
        memory.fill([(both, normal)])


def test_the_image_score_is_mixed_with_the_largest_pixels() -> None:
    part = ImageScore(ImageScoreOptions(share=0.25, top=0.02), TEXTLESS)
    pixels = torch.arange(200, dtype=torch.float32).view(1, 10, 20)
    scores = part(Scores(map=pixels, image_score=torch.tensor([8.0])), None)
    assert float(scores.required_image_score) == pytest.approx(
        0.25 * 8 + 0.75 * np.mean([196, 197, 198, 199])
    )


def test_it_runs_without_text(load: Load) -> None:
    rng = np.random.default_rng(0)
    detector = load()
    assert detector.text_side is None and not detector.uses_noun
    prediction = detector.predict([Sample(rng.integers(0, 256, (60, 70, 3), np.uint8)) for _ in range(2)])
    assert (prediction.anomaly_map.flatten(1).std(1) > 0).all()


def test_states_of_both_methods(load: Load) -> None:
    buffers = {f"scorer.{name}_{what}" for name in ("image", "patch") for what in ("keys", "anomalous")}
    assert set(learned_state(load())) == buffers
    layers = {
        f"scorer.{owner}.{name}.{leaf}"
        for owner in ("queries", "mapped_keys")
        for name in ("image", "patch")
        for leaf in ("weight", "bias")
    }
    assert set(learned_state(load(method="mrad@ft"))) == buffers | layers


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("feature_adapter.sides=[4]", "a neighbourhood of side 4 has no middle"),
        ("scorer.limit=1", "greater than or equal to 2"),
        ("attention_refiner=winclip.windows", "requires 'patch_tokens'"),
    ],
)
def test_wrong_choices_are_refused(load: Load, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(override)


def test_two_taps_are_refused(load: Load) -> None:
    detector = load("readout.taps=[2, 4]")
    image = np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(InputError, match="patches of one tap, and 2 token sets are read"):
        detector.predict([image])


# The authors' files


def bank(width: int, count: int = 3, **changes: Any) -> dict[str, Any]:
    values = torch.eye(2)[torch.arange(count) % 2]
    return {"keys": torch.randn(count, width), "values": values} | changes


def maps(width: int = 8) -> dict[str, Any]:
    def layer(name: str, inputs: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": torch.randn(4, inputs), f"{name}.bias": torch.randn(4)}

    return {
        "image_proj": layer("mlp1", 4) | layer("mlp2", 4),
        "patch_proj": layer("fc.0", width) | layer("fc.1", width),
    }


def test_memories_are_renamed_and_loaded_whatever_their_length(load: Load, tmp_path: Path) -> None:
    images, patches = bank(4), bank(8, 5)
    found = convert(images, patches)
    assert torch.equal(found["scorer.patch_keys"], patches["keys"])
    assert found["scorer.patch_anomalous"].tolist() == [False, True, False, True, False]
    own = convert_finetuned(maps(), images, patches)
    assert len(own) == 12 and own["scorer.mapped_keys.patch.weight"].shape == (4, 8)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: convert({}, bank(8)), "lacks 'keys'"),
        (lambda: convert(bank(4, values=torch.zeros(3, 3)), bank(8)), r"'values' has the shape \(3, 3\)"),
        (lambda: convert(bank(4, values=torch.full((3, 2), 0.5)), bank(8)), "image memory are not one state"),
        (lambda: convert_finetuned(maps(6), bank(4), bank(8)), "keys of 8 channels, and .* take 6"),
        (lambda: convert_finetuned(maps(), bank(8), bank(4)), "image memory has keys of 8 channels"),
        (lambda: convert_finetuned({}, bank(4), bank(8)), "no entry 'image_proj'"),
    ],
)  # fmt: skip
def test_conversion_says_what_does_not_fit(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
