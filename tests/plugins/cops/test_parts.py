"""Pooling, weighting and conversion, each against a few plain lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.plugins.contexts import TEXTLESS
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.values import Conditioning, Features, Grid, TokenSet, Windows
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.cops.options import PoolingOptions, ScorerOptions
from zsad_plugins.cops.scorer import PrototypeWeightedScorer, min_max, nearest_distance
from zsad_plugins.cops.tokens import NeighbourPooling

GRID = Grid(3, 4)


def pooling(**options: Any) -> NeighbourPooling:
    return NeighbourPooling(PoolingOptions(**options), TEXTLESS)


def scorer_of(**options: Any) -> PrototypeWeightedScorer:
    return PrototypeWeightedScorer(ScorerOptions(**options), TEXTLESS)


def features_of(*tokens: torch.Tensor) -> Features:
    sets = tuple(TokenSet(f"tap{i}", each, GRID, "joint", i + 1) for i, each in enumerate(tokens))
    return Features(
        sets, torch.randn(len(tokens[0]), tokens[0].shape[-1]), ("object",) * len(tokens[0]), (24, 24)
    )


@pytest.fixture
def scene() -> tuple[Features, Conditioning]:
    torch.manual_seed(0)
    features = features_of(torch.randn(2, 12, 8), torch.randn(2, 12, 8))
    text = torch.nn.functional.normalize(torch.randn(2, 2, 8), dim=-1)
    prototypes = {f"prototypes.{state}": torch.randn(2, 6, 8) for state in ("normal", "abnormal")}
    return features, Conditioning(text, None, prototypes)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("border", ["zeros", "inside"])
def test_pooling_averages_the_neighbourhood(kernel: int, border: str) -> None:
    tokens = torch.randn(2, 12, 5)
    (entry,) = pooling(kernel=kernel, border=border)(features_of(tokens)).token_sets
    reach = kernel // 2
    for row in range(3):
        for column in range(4):
            near = [
                tokens[:, 4 * r + c]
                for r in range(max(0, row - reach), min(3, row + reach + 1))
                for c in range(max(0, column - reach), min(4, column + reach + 1))
            ]
            divisor = kernel**2 if border == "zeros" else len(near)
            expected = torch.stack(near).sum(0) / divisor
            torch.testing.assert_close(entry.tokens[:, 4 * row + column], expected)


def test_windows_are_not_pooled_and_not_scored(scene: tuple[Features, Conditioning]) -> None:
    entry = TokenSet("w", torch.randn(2, 6, 8), Windows(GRID, torch.ones(6, 12)), "joint", 1)
    windows = Features((entry,), torch.randn(2, 8), ("object",) * 2, (24, 24))
    assert pooling(kernel=3)(windows).token_sets[0] is entry
    with pytest.raises(InputError, match="scores patches, and its attention_refiner reads none"):
        scorer_of()(windows, scene[1])


def test_min_max_has_an_extent_and_an_epsilon() -> None:
    values = torch.tensor([[0.0, 1.0], [1.0, 3.0]])
    assert min_max(values, "image", 0).tolist() == [[0, 1], [0, 1]]
    assert min_max(values, "batch", 0).tolist() == [
        [0, torch.tensor(1 / 3).item()],
        [torch.tensor(1 / 3).item(), 1],
    ]
    constant = torch.full((1, 4), 0.3)
    assert min_max(constant, "image", 1e-8).tolist() == [[0.0] * 4]
    assert min_max(constant, "image", 0).isnan().all()


def expected_weights(
    features: Features, conditioning: Conditioning, alpha: float
) -> tuple[torch.Tensor, ...]:
    tokens = (features.token_sets[0].tokens + features.token_sets[1].tokens) / 2
    rescaled = []
    for state in ("normal", "abnormal"):
        prototypes = conditioning.intermediates[f"prototypes.{state}"]
        cosines = torch.nn.functional.cosine_similarity(tokens[:, :, None], prototypes[:, None], dim=-1)
        distance = (1 - cosines).amin(-1)
        torch.testing.assert_close(nearest_distance(tokens, prototypes), distance)
        low, high = distance.amin(1, keepdim=True), distance.amax(1, keepdim=True)
        rescaled.append((distance - low) / (high - low))
    normal, abnormal = rescaled
    straight = alpha * normal + (1 - alpha) * (1 - abnormal)
    flipped = alpha * normal + (1 - alpha) * abnormal
    return straight, flipped


def test_weights_are_rescaled_once_or_at_every_tap(scene: tuple[Features, Conditioning]) -> None:
    features, conditioning = scene
    straight, flipped = expected_weights(features, conditioning, 0.26)
    for how, last in (("once", straight), ("every_tap", flipped)):
        scorer = scorer_of(rescaling=how)
        torch.testing.assert_close(scorer.weights(features, conditioning), torch.stack([straight, last]))


@pytest.mark.parametrize("peak", ["last_tap", "tap_mean"])
def test_image_score_mixes_the_image_feature_with_the_largest_patch_score(
    scene: tuple[Features, Conditioning], peak: str
) -> None:
    features, conditioning = scene
    scores = scorer_of(trained_on="visa", beta=0.7, peak=peak)(features, conditioning)
    straight, _ = expected_weights(features, conditioning, 0.26)

    def probability(tokens: torch.Tensor) -> torch.Tensor:
        cosines = torch.nn.functional.normalize(tokens, dim=-1) @ conditioning.text_features.transpose(1, 2)
        return torch.softmax(cosines / 0.07, -1)[..., 1]

    weighted = torch.stack([probability(entry.tokens) * straight for entry in features.token_sets])
    largest = (weighted[-1] if peak == "last_tap" else weighted.mean(0)).amax(-1)
    image = probability(features.image_feature[:, None])[:, 0]
    torch.testing.assert_close(scores.image_score, 0.7 * image + 0.3 * largest)
    for entry, values in zip(scores.sets, weighted, strict=True):
        torch.testing.assert_close(entry.values[:, 1].flatten(1), values)
        torch.testing.assert_close(entry.values.sum(1), torch.ones(2, 3, 4))


def checkpoint(width: int = 8, **changed: torch.Tensor | None) -> dict[str, dict[str, torch.Tensor]]:
    """Return a checkpoint in the authors' form; None leaves an entry out."""
    square, line = (width, width), (width,)
    shapes: dict[str, tuple[int, ...]] = {
        "ctx_pos": (1, 1, 14, width), "ctx_neg": (1, 1, 14, width),
        "t_n": (6, width), "t_a": (6, width),
        "extractor.attn.in_proj_weight": (3 * width, width), "extractor.attn.in_proj_bias": (3 * width,),
        "extractor.ln_1.weight": line, "extractor.ln_1.bias": line,
        "extractor.ln_2.weight": line, "extractor.ln_2.bias": line,
        **{f"compound_prompts_text.{number}": (4, width) for number in range(11)},
    }  # fmt: skip
    for layer in ("extractor.attn.out_proj", "extractor.mlp.c_fc", "extractor.mlp.c_proj",
                  "vae_decoder.net.0", "vae_decoder.net.2"):  # fmt: skip
        shapes |= {f"{layer}.weight": square, f"{layer}.bias": line}
    state: dict[str, torch.Tensor | None] = {key: torch.randn(shape) for key, shape in shapes.items()}
    return {"prompt_learner": {key: value for key, value in (state | changed).items() if value is not None}}


def convert(content: object, folder: Path) -> None:
    torch.save(content, folder / "epoch.pth")
    convert_checkpoint(get_host(), "cops", folder / "epoch.pth", folder / "out.safetensors", ("visa",))


def test_checkpoints_of_other_versions_of_the_code_are_tolerated(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    unused = {
        "projector.fc.0.weight": torch.randn(8, 10),
        "projector_cls.fc.0.weight": torch.randn(8, 8),
        "extractor_.ln_1.weight": torch.randn(8),
        "vae_encoder.mean.weight": torch.randn(8, 8),
        "token_prefix_pos": torch.randn(1, 1, 1, 8),
        "tokenized_prompts_neg": torch.zeros(1, 1, 77, dtype=torch.int32),
    }
    content = checkpoint(**unused)
    convert(content, tmp_path)
    found, state = load_file(tmp_path / "out.safetensors"), content["prompt_learner"]
    torch.testing.assert_close(found["prompt_conditioner.queries"][1], state["t_a"])
    torch.testing.assert_close(
        found["prompt_conditioner.extractor.k_proj.weight"], state["extractor.attn.in_proj_weight"][8:16]
    )
    # In the order of their numbers, not of the words "1", "10", "2".
    torch.testing.assert_close(found["prompt_learner.deep"][2], state["compound_prompts_text.2"])
    assert not any("projector" in name or "encoder" in name for name in found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "no entry 'prompt_learner'"),
        ({"state_dict": {}}, "no entry 'prompt_learner'"),
        (checkpoint(t_a=None), "lacks 't_a'"),
        (checkpoint(**{"vae_decoder.net.2.bias": None}), "lacks 'vae_decoder.net.2.bias'"),
        (checkpoint(**{"compound_prompts_text.0": None}), "lacks 'compound_prompts_text.0'"),
        (checkpoint(visual=torch.randn(3)), "has 'visual', which CoPS's checkpoints have not"),
        (checkpoint(ctx_neg=torch.randn(14, 8)), r"'ctx_neg' has the shape \(14, 8\) instead of \(1, 1, 14,"),
        (
            checkpoint(ctx_neg=torch.randn(1, 1, 9, 8)),
            r"'ctx_neg' has the shape \(1, 1, 9, 8\) instead of \(1, 1, 14, 8\)",
        ),
        (checkpoint(t_n=torch.randn(6, 9)), r"'t_n' has the shape \(6, 9\) instead of \(prototypes, 8\)"),
        (
            checkpoint(**{"extractor.attn.in_proj_weight": torch.randn(8, 8)}),
            r"in_proj_weight' has the shape \(8, 8\) instead of \(24, 8\)",
        ),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_sentence(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        convert(content, tmp_path)
    assert "is not a checkpoint of cops" in str(refusal.value) and "\n" not in str(refusal.value)
    assert not (tmp_path / "out.safetensors").exists()
