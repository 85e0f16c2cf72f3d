"""``--adapter``: a LoRA folder beside a method, in predict, in eval and in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import zsad as package
from tests.evaluation.drawing import draw
from zsad.backbones.card import TrainedOn
from zsad.weights.adapter.lora import adapt_backbone, adapter_parameters, save_adapter
from zsad.weights.adapter.options import LoraOptions


@pytest.fixture
def adapter(tiny_backbone, tmp_path):
    """Write an adapter of a target that has learned something."""

    def write(target: str, *trained_on: TrainedOn) -> Path:
        adapted = adapt_backbone(tiny_backbone, LoraOptions.model_validate({"target": target}))
        random = torch.Generator().manual_seed(1)
        for parameter in adapter_parameters(adapted).values():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=random)
        folder = tmp_path / f"lora-{target}"
        save_adapter(adapted, folder, method="clip-baseline", trained_on=trained_on)
        return folder

    return write


@pytest.mark.parametrize("target", ["vision", "text"])
def test_predict_scores_otherwise_and_says_why(zsad, tiny, photo, tmp_path, adapter, target) -> None:
    folder = adapter(target, TrainedOn(dataset="squares"))

    def predict(*words: object):
        answer = zsad("predict", photo, "--method", "clip-baseline", "--backbone", tiny, "--out",
                      tmp_path / "p", "--json", *words)  # fmt: skip
        assert answer.code == 0, answer.err
        return json.loads(answer.out), answer.err

    plain, _ = predict()
    adapted, said = predict("--adapter", folder)
    again, _ = predict()
    assert abs(adapted["images"][0]["score"] - plain["images"][0]["score"]) > 1e-4
    assert again["images"][0]["score"] == plain["images"][0]["score"]
    assert adapted["recipe_hash"] != plain["recipe_hash"] == again["recipe_hash"]
    assert plain["setting"].startswith("training-free")
    assert adapted["setting"].startswith("auxiliary-trained")
    assert str(folder) in said and "adapter on squares" in said
    loaded = package.load("clip-baseline", backbone=tiny, adapter=folder)
    score = float(loaded.predict([photo]).score[0])
    assert score == pytest.approx(adapted["images"][0]["score"], abs=1e-6)


def test_wrong_folders_are_one_sentence(zsad, tiny, photo, tmp_path, adapter) -> None:
    folder = adapter("vision")
    words = ("predict", photo, "--method", "clip-baseline", "--out", tmp_path / "p", "--backbone")
    cases = {
        ("mini", folder): "was learned on another backbone",
        (tiny, tmp_path): "is not a folder of a PEFT adapter: it lacks adapter_config.json",
        (tiny, tmp_path / "nowhere"): "there is no such folder",
    }
    for (backbone, named), reason in cases.items():
        answer = zsad(*words, backbone, "--adapter", named)
        assert answer.code == 2 and reason in answer.sentence and str(named) in answer.sentence


def test_eval_marks_what_the_adapter_saw(zsad, tiny, tmp_path, adapter) -> None:
    folder = adapter("text", TrainedOn(dataset="parts", classes=("gear",)))
    root = draw(tmp_path / "parts", normal=2, anomalous=2)

    def evaluate(out: str, *words: object) -> tuple[dict, list[dict[str, str]], dict[str, dict]]:
        answer = zsad("eval", "--method", "clip-baseline", "--method", "winclip", "--backbone", tiny,
                      "--data", f"folder={root}", "--out", tmp_path / out, "--workers", 0,
                      "--metrics", "image_auroc", *words)  # fmt: skip
        assert answer.code == 0, answer.err
        with (tmp_path / out / "summary.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["class"] != "mean"]
        cells = [json.loads(path.read_text()) for path in (tmp_path / out / "cells").glob("*.json")]
        run = json.loads((tmp_path / out / "run.json").read_text())
        return run, rows, {cell["key"]: cell for cell in cells}

    plain_run, plain_rows, plain_cells = evaluate("plain")
    run, rows, cells = evaluate("adapted", "--adapter", folder)
    assert not set(cells) & set(plain_cells)
    assert {(row["class"], row["contaminated"]) for row in rows} == {("gear", "true"), ("screw", "false")}
    assert all(row["setting"].startswith("auxiliary-trained") for row in rows)
    assert all(row["setting"].startswith("training-free") for row in plain_rows)
    seen = {cell["class"]: cell["contaminated_by"] for cell in cells.values()}
    assert str(folder) in seen["gear"] and seen["screw"] == ""
    assert run["options"]["adapter"] == str(folder) and plain_run["options"]["adapter"] is None
    for method, facts in run["methods"].items():
        assert facts["recipe_hash"] != plain_run["methods"][method]["recipe_hash"]
        assert facts["backbone_sha256"] == plain_run["methods"][method]["backbone_sha256"]
        assert facts["backbone_trained_on"].endswith("; adapter on parts")
    assert run["passes"] == plain_run["passes"]
