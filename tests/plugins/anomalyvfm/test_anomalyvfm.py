"""AnomalyVFM's parts against plain torch, timm and PEFT."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from tests.backbones.tiny_timm import backbone_over, drawn
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadWarning
from zsad.values import Sample

Load = Callable[..., Detector]
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
RANK = 4
SMALL = (f"attention_refiner.rank={RANK}", "scorer.widths=[16, 8]", "scorer.groups=4")

pytestmark = pytest.mark.filterwarnings("ignore:anomalyvfm follows what is published")


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("anomalyvfm")


def drawn_anew(detector: Detector) -> Detector:
    """Draw every learned value, as initial ones would hide most of what is computed."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in ("attention_refiner", "scorer"):
            for parameter in detector.part(part).parameters():
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator) * 0.2 + (parameter.ndim == 1)
                )
    return detector


@torch.no_grad()
@pytest.mark.parametrize("magnitude", [True, False])
def test_updates_are_those_of_peft(load: Load, samples: list[Sample], magnitude: bool) -> None:
    detector = drawn_anew(
        load(*SMALL, f"attention_refiner.magnitude={magnitude}", "attention_refiner.scale=0.5")
    )
    tower, updates = detector.tower, detector.part("attention_refiner").blocks
    blocks = nn.ModuleList(copy.deepcopy(block) for block in tower.blocks)
    config = LoraConfig(
        r=RANK, lora_alpha=RANK // 2, use_dora=magnitude, target_modules=["q_proj", "v_proj", "out_proj"]
    )
    inject_adapter_in_model(config, blocks)
    for block, update in zip(blocks, updates, strict=True):
        for name in ("q_proj", "v_proj", "out_proj"):
            mine, theirs = getattr(update, name), getattr(block, name)
            theirs.lora_A["default"].weight.copy_(mine.down)
            theirs.lora_B["default"].weight.copy_(mine.up)
            if magnitude:
                theirs.lora_magnitude_vector["default"].weight.copy_(mine.magnitude)
    x = tower.ln_pre(
        tower._embed(
            tower.patch_embedding(detector.tensor(samples)).flatten(2).transpose(1, 2),
            detector.encode(samples).grid,
        )
    )
    for block in blocks.eval():
        x = block(x)
    (found,) = detector.encode(samples).token_sets
    torch.testing.assert_close(found.tokens, tower.ln_post(x)[:, 1:], **CLOSE)
    torch.testing.assert_close(found.class_token, tower.ln_post(x)[:, 0], **CLOSE)


def test_fresh_updates_without_magnitudes_change_nothing(load: Load, samples: list[Sample]) -> None:
    plain = load("attention_refiner=none", *SMALL[1:]).encode(samples).token_sets[0]
    fresh = load(*SMALL, "attention_refiner.magnitude=false").encode(samples).token_sets[0]
    torch.testing.assert_close(fresh.tokens, plain.tokens, **CLOSE)


def test_a_pass_pays_for_its_own_attention_alone(load: Load, samples: list[Sample]) -> None:
    detector = load(*SMALL)
    detector.tower.counts.clear()
    detector.encode(samples)
    counts = detector.tower.counts
    assert counts["passes"] == 1 and not any(name.startswith("attention") for name in counts)
    assert not detector.uses_noun and detector.text_side is None


def decoded(detector: Detector, patches: Tensor) -> Tensor:
    """The decoder step by step, for the patches [N, D] of one image."""
    scorer = detector.part("scorer")
    side = int(len(patches) ** 0.5)
    x = patches.T.reshape(-1, side, side)
    for block in scorer.blocks:
        for conv, norm in ((block.conv1, block.norm1), (block.conv2, block.norm2)):
            x = F.conv2d(x[None], conv.weight, conv.bias, padding=1)[0]
            grouped = x.reshape(4, -1)
            spread = grouped.var(dim=1, keepdim=True, unbiased=False)
            x = ((grouped - grouped.mean(dim=1, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(x.shape)
            x = (x * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp_min(0)
        x = x.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    kernel = scorer.output.weight[0]
    if kernel.shape[-1] == 1:
        return (x * kernel).sum(0) + scorer.output.bias
    return F.conv2d(x[None], kernel[None], scorer.output.bias, padding=1)[0, 0]


@torch.no_grad()
@pytest.mark.parametrize("kernel", [1, 3])
def test_map_and_score(load: Load, samples: list[Sample], kernel: int) -> None:
    detector = drawn_anew(load(*SMALL, f"scorer.kernel={kernel}"))
    features = detector.encode(samples)
    answer = detector.score(features)
    (entry,), scorer = features.token_sets, detector.part("scorer")
    for image in range(3):
        logits = decoded(detector, entry.tokens[image])
        assert logits.shape == (40, 40)  # 10 x 10 patches, doubled twice
        up = F.interpolate(logits.sigmoid()[None, None], (80, 80), mode="bilinear", align_corners=False)
        torch.testing.assert_close(answer.anomaly_map[image], up[0, 0], **CLOSE)
        logit = (scorer.head.weight[0] * entry.class_token[image]).sum() + scorer.head.bias[0]
        torch.testing.assert_close(answer.score[image], logit.sigmoid(), **CLOSE)
    alone = detector.predict(samples[:1])
    assert (alone.anomaly_map - answer.anomaly_map[:1]).abs().max() < 2e-6


@pytest.fixture(scope="module")
def registers() -> tuple[nn.Module, ClipBackbone]:
    """A model with LayerScale and registers, and a backbone over it."""
    model = drawn("zsad_dinov2_reg_12", img_size=70)
    return model, backbone_over(model, "zsad_dinov2_reg_12", 70)


@torch.no_grad()
def test_the_image_score_may_read_registers(
    registers: tuple[nn.Module, ClipBackbone], samples: list[Sample]
) -> None:
    detector = drawn_anew(
        load_detector(
            "anomalyvfm", backbone=registers[1], overrides=(*SMALL, "scorer.summary=3"), untrained=True
        )
    )
    (entry,) = (features := detector.encode(samples)).token_sets
    assert entry.registers is not None and entry.registers.shape == (3, 4, 192)
    read = torch.cat([entry.class_token, entry.registers[:, 0], entry.registers[:, 1]], dim=1)
    torch.testing.assert_close(
        detector.score(features).score, torch.sigmoid(detector.part("scorer").head(read))[:, 0]
    )


def test_what_does_not_fit_is_said(load: Load, samples: list[Sample]) -> None:
    with pytest.raises(InputError, match=r"reads 2 leading tokens, and token set 'updated\.4' has 1; use a"):
        load(*SMALL, "scorer.summary=2").predict(samples)
    with pytest.raises(InputError, match="12 channels do not divide into 8 groups"):
        load("scorer.widths=[16, 12]", "scorer.groups=8")
    with pytest.raises(InputError, match=r"reads one tap, and there are 2; use --set readout.taps=\[1.0\]"):
        load("readout.taps=[1, 2]")


def test_without_weights_there_is_no_answer(tiny_backbone: ClipBackbone) -> None:
    with pytest.raises(
        InputError, match="needs learned weights for attention_refiner, scorer; pass --weights"
    ):
        load_detector("anomalyvfm", backbone=tiny_backbone)


def test_its_user_is_told_what_it_was_never_compared_with(tiny_backbone: ClipBackbone) -> None:
    with pytest.warns(ZsadWarning, match="never compared with outputs of the published model"):
        detector = load_detector("anomalyvfm", backbone=tiny_backbone, untrained=True)
    assert detector.recipe.fidelity == "inspired"
