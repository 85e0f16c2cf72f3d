"""AF-CLIP's prompts, adapter and scorer on small backbones, and the import of its two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from tests.parity.synthetic_adapters import afclip_parameters, write_afclip
from zsad.backbones.clip import ClipBackbone
from zsad.cli.main import main
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.training.learner import learned_state
from zsad.values import Grid, Sample
from zsad.weights.pickled import read_module
from zsad_plugins.af_clip.adapter import neighbour_weights, neighbourhoods
from zsad_plugins.af_clip.convert import convert

Load = Callable[..., Detector]


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Load:
    def loaded(*overrides: str) -> Detector:
        return load_detector(
            "af-clip", backbone=tiny_backbone, overrides=overrides, untrained=True, image_size=80
        )

    return loaded


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(rng.integers(0, 256, (60, 50 + 5 * k, 3), np.uint8)) for k in range(3)]


@pytest.mark.parametrize("side", [1, 3, 5])
def test_neighbourhoods_against_loops(side: int) -> None:
    grid = Grid(3, 4)
    patches = torch.randn(2, 12, 5, dtype=torch.float64)
    weights = neighbour_weights(side, 4.0)
    assert float(weights.sum()) == pytest.approx(1)
    found, reach = neighbourhoods(patches, grid, weights), side // 2
    planes = patches.view(2, 3, 4, 5).numpy()
    for row, column in np.ndindex(3, 4):
        total, norm = np.zeros((2, 5)), 0.0
        for down, right in np.ndindex(side, side):
            weight = np.exp(-((down - reach) ** 2 + (right - reach) ** 2) / (2 * 4.0**2))
            norm += weight
            place = row + down - reach, column + right - reach
            if 0 <= place[0] < 3 and 0 <= place[1] < 4:
                total += weight * planes[:, place[0], place[1]]
        np.testing.assert_allclose(found[:, row * 4 + column], total / norm)


def test_learned_vectors_stand_before_the_start_token(load: Load) -> None:
    detector = load()
    learner, side = detector.part("prompt_learner"), detector.text_side
    assert side is not None
    prompts = learner("gear")
    assert torch.equal(prompts.embeddings[0, :12], learner.context)
    assert torch.equal(prompts.embeddings[0, :12], prompts.embeddings[1, :12])
    ids = side.tower.tokenize(["without defect.", "with defect."])
    assert torch.equal(
        prompts.embeddings[:, 12:], side.tower.embed(ids[:, : prompts.embeddings.shape[1] - 12])
    )
    assert torch.equal(prompts.end, side.tower.end_positions(ids) + 12)


def test_the_adapter_is_one_attention_without_a_residual(load: Load, samples: list[Sample]) -> None:
    detector = load("feature_adapter.heads=2", "feature_adapter.head_width=8")
    adapter, features = detector.part("feature_adapter"), detector.encode(samples)
    with torch.no_grad():
        adapted = detector.adapt(features)
        before = list(adapter.neighbours(features))
        assert [entry.name.rpartition(".r")[2] for entry in before] == ["1", "3", "5"] * 4
        for raw, joint in zip(before, adapted.token_sets, strict=True):
            assert raw.class_token is not None and joint.class_token is not None and joint.space == "joint"
            x = torch.cat([raw.class_token[:, None], raw.tokens], 1).double()
            n = F.layer_norm(x, x.shape[-1:], adapter.norm.weight.double(), adapter.norm.bias.double())
            q, k, v = (n @ p.weight.double().T for p in (adapter.q_proj, adapter.k_proj, adapter.v_proj))
            heads = []
            for head in range(2):
                own = slice(8 * head, 8 * head + 8)
                heads.append((q[..., own] @ k[..., own].mT / 8**0.5).softmax(-1) @ v[..., own])
            out = torch.cat(heads, -1) @ adapter.out_proj.weight.double().T + adapter.out_proj.bias.double()
            tower = detector.tower
            assert tower.projection is not None
            post = F.layer_norm(out, x.shape[-1:], tower.ln_post.weight.double(), tower.ln_post.bias.double())
            expected = (post @ tower.projection.double()).float()
            torch.testing.assert_close(joint.tokens, expected[:, 1:], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(joint.class_token, expected[:, 0], atol=1e-5, rtol=1e-4)


def test_logits_are_summed_and_the_class_position_gives_the_score(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    with torch.no_grad():
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        scores = detector.part("scorer")(adapted, conditioning)
    text = conditioning.text_features[0].double()
    total = sum(F.normalize(s.tokens.double(), dim=-1) @ text.T / 0.07 for s in adapted.token_sets)
    own = sum(F.normalize(s.class_token.double(), dim=-1) @ text.T / 0.07 for s in adapted.token_sets)
    (entry,) = scores.sets
    torch.testing.assert_close(entry.values.flatten(2).mT.double(), total, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores.image_score.double(), own.softmax(-1)[:, 1], atol=1e-5, rtol=1e-4)
    assert scores.trace == ("af-clip.sum: class position",)


def test_nothing_of_the_tower_is_learned_or_saved(load: Load) -> None:
    names = set(learned_state(load()))
    layers = {"q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight", "out_proj.bias"}
    assert names == {
        "prompt_learner.context",
        *(f"feature_adapter.{name}" for name in layers | {"norm.weight", "norm.bias"}),
    }


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("feature_adapter.sides=[2]", "a neighbourhood of side 2 has no middle"),
        ("readout.stage=joint", "'af-clip.adapter'.*'tokens:raw'"),
        ("feature_adapter=none", "'af-clip.sum'.*'tokens:joint'"),
        ("prompt_learner.tokens=75", "75 learned vectors and the sentences take .* places.*has 77"),
        ("attention_refiner=winclip.windows", "requires 'tokens:raw'"),
    ],
)
def test_wrong_choices_are_refused(load: Load, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(override)


def test_a_backbone_without_text_is_refused(textless_backbone) -> None:
    with pytest.raises(InputError, match="requires 'text', which neither the backbone"):
        load_detector("af-clip", backbone=textless_backbone, untrained=True, image_size=80)


# The checkpoint


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_afclip(CLIP, 0, tmp_path / "authors")


CLIP = {"visual.proj": np.zeros((64, 32), np.float32), "text_projection": np.zeros((32, 32), np.float32)}


def test_conversion_renames(files: tuple[Path, Path]) -> None:
    found, state = convert(*map(read_module, files)), afclip_parameters(CLIP, 0)
    assert torch.equal(found["prompt_learner.context"], torch.from_numpy(state["state_prompt_embedding"][0]))
    for old, new in (("attn.to_q", "q_proj"), ("attn.to_out.0", "out_proj"), ("norm", "norm")):
        expected = torch.from_numpy(state[f"adaptor.attention.{old}.weight"])
        assert torch.equal(found[f"feature_adapter.{new}.weight"], expected)
    assert len(found) == len(state) == 8


@pytest.mark.parametrize(
    ("prompt", "adaptor", "said"),
    [
        ({"a": torch.ones(2)}, {}, "its first file holds no single tensor"),
        (torch.ones(2, 3), {}, r"'prompt' has the shape \(2, 3\) instead of \(1, tokens, text\)"),
        (torch.ones(1, 2, 3), {}, "lacks 'attention.attn.to_q.weight'"),
        (torch.ones(1, 2, 3), torch.ones(2), "it is no state dict"),
    ],
)
def test_conversion_says_what_does_not_fit(prompt: Any, adaptor: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(prompt, adaptor)


def test_the_command_takes_both_files_in_order(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt, adaptor = map(str, files)
    out = str(tmp_path / "out.safetensors")
    assert run("convert", "af-clip", prompt, adaptor, out) == 0
    assert "feature_adapter = af-clip.adapter" in capsys.readouterr().out
    assert run("convert", "af-clip", prompt, out) == 2
    assert "is 2 files (prompt, adaptor, in this order), and 1 was given" in capsys.readouterr().err
    assert run("convert", "af-clip", adaptor, prompt, out) == 2
    assert "holds no single tensor" in capsys.readouterr().err
    assert run("convert", "anomalyclip", prompt, adaptor, out) == 2
    assert "is 1 file (checkpoint, in this order), and 2 were given" in capsys.readouterr().err
    # Every other method reads tensors only, as before.
    assert run("convert", "anomalyclip", adaptor, out) == 2
    assert "holds more than tensors and is not loaded" in capsys.readouterr().err


def test_a_method_says_which_files_its_checkpoint_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("methods", "info", "af-clip") == 0
    assert "zsad convert af-clip PROMPT.pth ADAPTOR.pth OUT.safetensors" in capsys.readouterr().out
    assert run("methods", "info", "mrad@ft") == 0
    told = capsys.readouterr().out
    assert "zsad convert mrad@ft LINEAR_MAPS.pth IMAGE_MEMORY.pth PATCH_MEMORY.pth OUT.safetensors" in told


def run(*words: str) -> int:
    try:
        main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
