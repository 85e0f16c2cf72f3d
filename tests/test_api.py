"""``zsad.load``, ``zsad.calibrate``, ``zsad.evaluate`` and ``zsad.train`` do what the commands do."""

from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import zsad
from tests.cli.conftest import TINY
from tests.evaluation.drawing import draw
from tests.training.drawing import draw_set
from zsad.cli.main import main
from zsad.errors import InputError

METRICS = ["image_auroc", "pixel_ap"]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_methods_can_share_a_loaded_backbone(tmp_path) -> None:
    image = next((draw(tmp_path / "parts") / "gear" / "good").iterdir())
    first = zsad.load("clip-baseline", backbone=TINY, device="cpu", dtype="float32")
    second = zsad.load("clip-baseline", backbone=first.backbone, overrides=["scorer.temperature=0.5"])
    assert second.backbone is first.backbone and second.recipe.fidelity == "composed"
    twin = zsad.load(
        "clip-baseline", backbone=TINY, device="cpu", dtype="float32", overrides=["scorer.temperature=0.5"]
    )
    assert torch.equal(second.predict([image]).anomaly_map, twin.predict([image]).anomaly_map)
    with pytest.raises(InputError, match="say the same thing"):
        zsad.load("clip-baseline", backbone=TINY, image_size=80, overrides=["image_size=96"])


def test_evaluate_gives_what_the_command_writes(tmp_path) -> None:
    data = f"folder={draw(tmp_path / 'parts')}"
    seen: list[tuple[int, int]] = []
    found = zsad.evaluate(
        ["clip-baseline", "winclip"],
        data,
        tmp_path / "here",
        backbone=TINY,
        metrics=METRICS,
        workers=0,
        batch_size=5,
        progress=lambda done, total: seen.append((done, total)),
    )
    main(["eval", "--method", "clip-baseline", "--method", "winclip", "--data", data, "--out",
          str(tmp_path / "there"), "--backbone", TINY, "--workers", "0", "--batch-size", "5",
          *(word for name in METRICS for word in ("--metrics", name))])  # fmt: skip
    assert found.folder == tmp_path / "here" and len(found.cells) == 4
    assert table(found.folder) == table(tmp_path / "there") and len(table(found.folder)) == 6
    assert len(found.rows) == 6 and (found.folder / "report.html").is_file()
    # One pass for both methods over two classes of six images, five at a time; then the cells are written.
    assert seen == [(done, 12) for done in (5, 6, 6, 11, 12, 12)]
    runs = [json.loads((tmp_path / name / "run.json").read_text())["options"] for name in ("here", "there")]
    assert runs[0] == runs[1] and runs[0]["methods"] == ["clip-baseline", "winclip"]
    with pytest.raises(InputError, match="add --resume"):
        zsad.evaluate("winclip", data, tmp_path / "here", backbone=TINY)
    with pytest.raises(InputError, match="weights are given for 'winclp', which is not evaluated; did you"):
        zsad.evaluate("winclip", data, tmp_path / "x", backbone=TINY, weights={"winclp": "w"})


def test_train_gives_what_the_command_writes(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = f"folder={draw_set(tmp_path / 'squares', 2, 2)}"
    epochs = []
    trained = zsad.train(
        "anomalyclip",
        data,
        tmp_path / "here",
        backbone=TINY,
        epochs=2,
        learning_rate=0.02,
        overrides=["training.losses.image=0"],
        cache=False,
        workers=0,
        progress=epochs.append,
    )
    main(["train", "--method", "anomalyclip", "--data", data, "--out", str(tmp_path / "there"), "--backbone",
          TINY, "--epochs", "2", "--lr", "0.02", "--set", "training.losses.image=0", "--no-cache",
          "--workers", "0"])  # fmt: skip
    assert trained.weights == tmp_path / "here" / "weights.safetensors" and trained.adapter is None
    assert tuple(epochs) == trained.epochs and [epoch.number for epoch in epochs] == [1, 2]
    assert set(epochs[0].losses) == {"focal", "dice"}
    own, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("here", "there"))
    assert own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
    detector = zsad.load("anomalyclip", backbone=TINY, weights=trained.weights)
    assert detector.recipe.hash == trained.recipe_hash and detector.trained
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert set(kept) <= {"contents.sqlite"}  # hashes of files, and no features
    with pytest.raises(InputError, match=r"--epochs and --set training\.epochs=3 say the same thing"):
        zsad.train("anomalyclip", data, tmp_path / "x", epochs=1, overrides=["training.epochs=3"])
    with pytest.raises(InputError, match=r"adapter\.rank=3: there is no adapter; add --adapter lora"):
        zsad.train("anomalyclip", data, tmp_path / "x", overrides=["adapter.rank=3"])


def test_every_parameter_has_a_type() -> None:
    for name in ("load", "calibrate", "evaluate", "train"):
        signature = inspect.signature(getattr(zsad, name))
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
        words = [str(parameter.annotation) for parameter in signature.parameters.values()]
        assert not [word for word in words if "Any" in word or "empty" in word]


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = "import sys, zsad; print({'torch', 'pydantic', 'yaml', 'numpy', 'typer'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_wrong_types_are_one_sentence_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(InputError, match="whole number of pixels, not '64'"):
        zsad.load("clip-baseline", image_size="64")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'scorer\.temperature=1', not a string"):
        zsad.load("clip-baseline", overrides="scorer.temperature=1")
    with pytest.raises(InputError, match="one of image-size, native, not 'natve'"):
        zsad.evaluate("clip-baseline", "samples", tmp_path / "run", resolution="natve")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"unknown corruption 'blurr'.*did you mean 'blur'"):
        zsad.evaluate("clip-baseline", "samples", tmp_path / "run", corrupt=["none", "blurr:2"])
    with pytest.raises(InputError, match="--false-alarm is a number, not '5 %'"):
        zsad.calibrate("clip-baseline", tmp_path, tmp_path / "run", false_alarm="5 %")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
