from __future__ import annotations

import json

import torch

from tests.backbones.small import small_weights
from tests.backbones.tiny_timm import drawn


def test_doctor_does_not_agree_with_itself(monkeypatch, tmp_path, zsad) -> None:
    small = small_weights(monkeypatch, tmp_path)
    answer = zsad("doctor", "--verify", f"ViT-B-16@{small}")
    assert answer.code == 1 and "cannot be verified" in answer.sentence
    assert "ViT-B-16-quickgelu@" in answer.sentence and "difference_under_quick_gelu" in answer.out
    for known in ("ViT-B-16-quickgelu", "ViT-B-16:openai"):
        answer = zsad("doctor", "--verify", f"{known}@{small}")
        assert answer.code == 0 and "quick_gelu" in answer.out and "difference_under" not in answer.out


def test_timm_s_models_are_compared_with_timm(zsad, tmp_path) -> None:
    path = tmp_path / "dinov2.pth"
    torch.save(drawn("zsad_dinov2_4").state_dict(), path)
    report = json.loads(zsad("doctor", "--verify", f"timm:zsad_dinov2_4@{path}", "--json").out)
    assert report["agrees"] and report["library"] == "timm" and report["difference_from_timm"] <= 1e-5
    assert (report["image_size"], report["patch_size"], report["blocks"]) == (168, 14, 4)
    assert report["trained_on"] == "not stated (file dinov2.pth)" and report["text_blocks"] is None
    answer = zsad("doctor", "--verify", "timm:convnext_atto@random:0")
    assert answer.code == 2 and "timm computes this tower itself" in answer.err
    answer = zsad("doctor", "--verify", "timm:convnext_atto")
    assert answer.code == 2 and "or timm:NAME@/path/to/file" in answer.err


def test_timm_s_models_are_described_without_their_weights(zsad) -> None:
    fields = json.loads(zsad("backbones", "info", "timm:vit_giant_patch14_reg4_dinov2", "--json").out)
    assert fields["tower"].startswith("open") and fields["pretrained"] == ["lvd142m"]
    assert (fields["image_size"], fields["patch_size"], fields["width"], fields["blocks"]) == (
        518,
        14,
        1536,
        40,
    )
    assert fields["trained_on"].startswith("LVD-142M") and fields["mean"] == [0.485, 0.456, 0.406]
    assert zsad("backbones", "info", "timm:swin_tiny_patch4_window7_224").out.count("opaque: taps alone") == 1
    answer = zsad("backbones", "info", "timm:convnext_atoo")
    assert answer.code == 2 and "did you mean 'convnext_atto'?" in answer.err
    assert "timm:NAME[.TAG]" in zsad("backbones").err
