from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from zsad.weights.card import read_card

WIDTH = 64


def checkpoint(**changes: object) -> dict[str, object]:
    """Return an AnomalyCLIP checkpoint in the authors' form, for a text tower of width 64."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, object] = {
        "ctx_pos": torch.randn(1, 1, 12, WIDTH, generator=generator),
        "ctx_neg": torch.randn(1, 1, 12, WIDTH, generator=generator),
        "compound_prompts_text.0": torch.randn(4, WIDTH, generator=generator),
        "compound_prompts_text.1": torch.randn(4, WIDTH, generator=generator),
        "compound_prompt_projections.0.weight": torch.zeros(896, WIDTH),
        "token_prefix_pos": torch.zeros(1, 1, 1, WIDTH),
        "tokenized_prompts_pos": torch.zeros(1, 1, 77, dtype=torch.int32),
        **changes,
    }
    return {"prompt_learner": {key: value for key, value in state.items() if value is not None}}


@pytest.fixture
def authors_file(tmp_path):
    path = tmp_path / "epoch_15.pth"
    torch.save(checkpoint(), path)
    return path


def test_converts_and_predict_loads(zsad, tiny, photo, authors_file, tmp_path) -> None:
    out = tmp_path / "weights.safetensors"
    answer = zsad("convert", "anomalyclip", authors_file, out, "--trained-on", "visa", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["trained_on"] == [
        {"dataset": "visa", "classes": None, "manifest": None, "images": None}
    ]
    state = checkpoint()["prompt_learner"]
    with safe_open(out, framework="pt") as file:
        context, deep = (file.get_tensor(f"prompt_learner.{name}") for name in ("context", "deep"))
    assert torch.equal(context, torch.stack([state["ctx_pos"][0, 0], state["ctx_neg"][0, 0]]))
    assert torch.equal(deep[1], state["compound_prompts_text.1"])
    words = ("predict", photo, "--method", "anomalyclip", "--backbone", tiny, "--weights", out, "--out",
             tmp_path / "o", "--json")  # fmt: skip
    refused = zsad(*words)
    assert refused.code == 2 and "'quick_gelu'" in refused.sentence and "profile=official" in refused.sentence
    report = json.loads(zsad(*words, "--set", "profile=official").out)
    assert report["setting"] == "auxiliary-trained / inductive / zero-shot"
    assert report["weights"]["parts"]["prompt_learner"]["trained_on"] == "visa"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"ctx_neg": None}, "'ctx_neg'"),
        ({"compound_prompt_projections.0.weight": None}, "compound_prompt_projections.0.weight"),
        ({"t_n": torch.zeros(6, WIDTH)}, "'t_n'"),
        ({"ctx_pos": torch.zeros(12, WIDTH)}, "'ctx_pos'"),
        ({"compound_prompts_text.1": torch.zeros(4, WIDTH + 1)}, "'compound_prompts_text.1' has the shape"),
    ],
)
def test_checkpoint_of_another_method(zsad, tmp_path, changes, part) -> None:
    path, out = tmp_path / "other.pth", tmp_path / "out.safetensors"
    torch.save(checkpoint(**changes), path)
    answer = zsad("convert", "anomalyclip", path, out)
    assert answer.code == 2 and part in answer.sentence and "other.pth" in answer.sentence
    assert not out.exists()


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


def test_pickled_code_is_refused(zsad, tmp_path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"prompt_learner": Evil()}))
    answer = zsad("convert", "anomalyclip", path, tmp_path / "out.safetensors")
    assert answer.code == 2 and "evil.pth" in answer.sentence and "code ran" not in answer.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["clip-baseline", "FILE", "out.safetensors"], "learns nothing"),
        (["anomalyclip", "missing.pth", "out.safetensors"], "missing.pth"),
        (["anomalyclip", "FILE", "out.bin"], ".safetensors"),
        (["anomalycli", "FILE", "out.safetensors"], "'anomalyclip'"),
    ],
)
def test_bad_input(zsad, authors_file, words, part) -> None:
    answer = zsad("convert", *[authors_file if word == "FILE" else word for word in words])
    assert answer.code == 2 and part in answer.sentence


def test_weights_of_another_kind_and_size(zsad, tiny, photo, authors_file, tmp_path) -> None:
    out = tmp_path / "weights.safetensors"
    zsad("convert", "anomalyclip", authors_file, out)
    words = ("predict", photo, "--backbone", tiny, "--out", tmp_path / "o")
    answer = zsad(*words, "--method", "clip-baseline", "--weights", out)
    assert answer.code == 2 and "learns nothing" in answer.sentence
    answer = zsad(*words, "--method", "anomalyclip", "--weights", authors_file)
    assert answer.code == 2 and "zsad convert" in answer.sentence
    wide = tmp_path / "wide.pth"
    torch.save(checkpoint(**{key: torch.zeros(*shape) for key, shape in {
        "ctx_pos": (1, 1, 12, 96), "ctx_neg": (1, 1, 12, 96),
        "compound_prompts_text.0": (4, 96), "compound_prompts_text.1": (4, 96)}.items()}), wide)  # fmt: skip
    zsad("convert", "anomalyclip", wide, out)
    answer = zsad(*words, "--method", "anomalyclip", "--weights", out, "--set", "profile=official")
    assert answer.code == 2 and "(2, 12, 96)" in answer.sentence and "(2, 12, 64)" in answer.sentence
    assert read_card(out).origin == "authors"


LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 39851234\n"
DRIVE = "<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>"


@pytest.mark.parametrize(("content", "what"), [(LFS, "a Git LFS pointer"), (DRIVE, "a web page")])
def test_what_a_failed_download_left_is_named_everywhere(zsad, photo, tmp_path, content, what) -> None:
    left, out = tmp_path / "left.pth", tmp_path / "out.safetensors"
    left.write_text(content)
    predict = ("predict", photo, "--out", tmp_path / "o")
    for words in (
        ("convert", "adaclip", left, out),
        (*predict, "--method", "clip-baseline", "--backbone", f"ViT-B-32@{left}"),
        (*predict, "--method", "anomalyclip", "--weights", left),
        ("weights", "info", left),
    ):
        answer = zsad(*words)
        assert answer.code == 2 and f"it is {what} (the download failed" in answer.sentence, words
        assert "left.pth" in answer.sentence
    assert not out.exists()


@pytest.mark.parametrize(
    "form", ["level", "model", "module", "module in entry", "flat", "half", "safetensors"]
)
def test_checkpoints_as_other_people_store_them(zsad, authors_file, tmp_path, form) -> None:
    entry = checkpoint()["prompt_learner"]
    flat = {f"prompt_learner.{key}": value for key, value in entry.items()}
    others = {"visual.conv1.weight": torch.zeros(2), "epoch": 3}
    forms = {
        "level": {"epoch": 15, "state_dict": {"prompt_learner": entry}},
        "model": {"model": flat | others, "optimizer": {"state": {0: {"step": 1}}}},
        "module": {f"module.{key}": value for key, value in flat.items()},
        "module in entry": {"prompt_learner": {f"module.{key}": value for key, value in entry.items()}},
        "flat": flat | others,
        "half": {"prompt_learner": {k: v.half() if v.is_floating_point() else v for k, v in entry.items()}},
        "safetensors": flat,
    }
    path, plain, out = tmp_path / "other.pth", tmp_path / "plain.safetensors", tmp_path / "out.safetensors"
    save_file(flat, path) if form == "safetensors" else torch.save(forms[form], path)
    assert zsad("convert", "anomalyclip", authors_file, plain).code == 0
    answer = zsad("convert", "anomalyclip", path, out)
    assert answer.code == 0, answer.err
    expected, found = load_file(plain), load_file(out)
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == torch.float32
        assert torch.equal(found[key], tensor.half().float() if form == "half" else tensor)
