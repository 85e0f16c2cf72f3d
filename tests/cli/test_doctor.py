from __future__ import annotations

from tests.backbones.small import small_weights


def test_doctor_does_not_agree_with_itself(monkeypatch, tmp_path, zsad) -> None:
    small = small_weights(monkeypatch, tmp_path)
    answer = zsad("doctor", "--verify", f"ViT-B-16@{small}")
    assert answer.code == 1 and "cannot be verified" in answer.sentence
    assert "ViT-B-16-quickgelu@" in answer.sentence and "difference_under_quick_gelu" in answer.out
    for known in ("ViT-B-16-quickgelu", "ViT-B-16:openai"):
        answer = zsad("doctor", "--verify", f"{known}@{small}")
        assert answer.code == 0 and "quick_gelu" in answer.out and "difference_under" not in answer.out
