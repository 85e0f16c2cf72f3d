"""``zsad train``: from a folder of images to weights that the other commands take."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

import zsad.cli.train as command
from tests.training.drawing import draw_set
from zsad.card import read_card
from zsad.files import atomic_write


@pytest.fixture
def root(tmp_path) -> Path:
    """Three normal and three anomalous images with masks."""
    return draw_set(tmp_path / "squares", 3, 3)


@pytest.fixture
def train(zsad, tiny, root, tmp_path):
    """Run ``zsad train`` on the tiny backbone, by default AnomalyCLIP for one epoch into the folder ``w``."""

    def run(*words: object, method="anomalyclip", data=None, out=None, epochs=1):
        plan = [] if epochs is None else ["--epochs", epochs]
        return zsad("train", "--method", method, "--backbone", tiny, "--data", data or f"folder={root}",
                    "--out", out or tmp_path / "w", "--workers", 0, *plan, *words)  # fmt: skip

    return run


def test_weights_serve_predict_and_eval(train, zsad, tiny, root, tmp_path) -> None:
    answer = train("--json", "--seed", 4, "--lr", "0.02", "--batch-size", 2, epochs=2)
    assert answer.code == 0
    fields = json.loads(answer.out)
    path = tmp_path / "w" / "weights.safetensors"
    assert (fields["weights"], fields["method"], fields["images"]) == (str(path), "anomalyclip", 6)
    assert fields["map"] > 0 and fields["image"] > 0 and len(fields["recipe_hash"]) == 16
    lines = answer.err.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("epoch")] == ["epoch 1", "epoch 2"]
    assert any(line.startswith("6 images encoded in") for line in lines)
    assert set(load_file(path)) == {"prompt_learner.context", "prompt_learner.deep"}
    card = read_card(path)
    assert [(entry.dataset, entry.classes) for entry in card.trained_on] == [("squares", ("squares",))]
    assert card.trained_on[0].manifest and card.origin == "own"

    image = root / "bad" / "4.png"
    answer = zsad("predict", image, "--method", "anomalyclip", "--backbone", tiny, "--weights", path,
                  "--out", tmp_path / "p", "--json")  # fmt: skip
    assert answer.code == 0
    report = json.loads(answer.out)
    assert report["recipe_hash"] == fields["recipe_hash"]
    assert report["weights"]["prompt_learner"]["trained_on"] == "squares"
    assert report["setting"] == "auxiliary-trained / inductive / zero-shot"

    other = draw_set(tmp_path / "others", 2, 2, seed=9)
    answer = zsad("eval", "--method", "anomalyclip", "--backbone", tiny, "--weights", path, "--data",
                  f"folder={other}", "--data", f"folder={root}", "--out", tmp_path / "e", "--workers", 0,
                  "--json")  # fmt: skip
    assert answer.code == 0, answer.err
    with (tmp_path / "e" / "summary.csv").open(newline="") as stream:
        rows = {row["dataset"]: row for row in csv.DictReader(stream) if row["class"] != "mean"}
    assert rows["others"]["weights_origin"] == rows["squares"]["weights_origin"] == "own"
    # The set it was learned on is marked.
    assert [rows[name]["contaminated"].lower() in ("true", "yes", "1") for name in ("others", "squares")] == [
        False, True,
    ]  # fmt: skip


def test_a_plain_answer_names_the_file(train, tmp_path) -> None:
    answer = train(data=f"mine:folder={tmp_path / 'squares'}")
    assert answer.code == 0
    assert str(tmp_path / "w" / "weights.safetensors") in answer.out
    assert read_card(tmp_path / "w" / "weights.safetensors").trained_on[0].dataset == "mine"


def test_set_reaches_the_plan(train, tmp_path) -> None:
    answer = train("--set", "training.epochs=2", "--set", "training.image_weight=0", "--json", epochs=None)
    assert answer.code == 0
    assert "epoch 2:" in answer.err and "epoch 3:" not in answer.err
    assert "image" not in json.loads(answer.out)
    # An option wins over --set.
    answer = train("--set", "training.epochs=3", out=tmp_path / "other")
    assert "epoch 1:" in answer.err and "epoch 2:" not in answer.err


def test_the_same_words_give_the_same_file(train, tmp_path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train("--seed", seed, out=tmp_path / name).code == 0
        contents.append((tmp_path / name / "weights.safetensors").read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--epochs", "0"], ["--epochs", "greater than or equal to 1"]),
        (["--epochs", "two"], ["--epochs", "integer"]),
        (["--set", "training.epochs=0"], ["training.epochs", "0"]),
        (["--set", "training.epoch=2"], ["training.epoch"]),
        (["--lr", "0"], ["training.learning_rate", "0.0"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--data", "folder=/no/such"], ["/no/such"]),
        (["--data", "foldr=/tmp"], ["'foldr'", "'folder'"]),
        (["--image-size", "60"], ["60"]),
        (["--weights", "x"], ["--weights"]),
    ],
)
def test_bad_input_is_one_sentence(train, tmp_path, words, parts) -> None:
    answer = train(*words, epochs=None)
    assert answer.code == 2
    assert all(part in answer.sentence for part in parts), answer.sentence
    assert not (tmp_path / "w" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ("anomalyclp", ["'anomalyclp'", "'anomalyclip'"]),
        ("clip-baseline", ["method 'clip-baseline' learns nothing"]),
        ("winclip", ["method 'winclip' learns nothing"]),
    ],
)
def test_methods_that_cannot_be_trained(train, method, parts) -> None:
    answer = train(method=method)
    assert answer.code == 2
    assert all(part in answer.sentence for part in parts), answer.sentence


def test_a_set_without_anomalies(train, tmp_path) -> None:
    answer = train(data=f"folder={draw_set(tmp_path / 'fine', anomalous=0)}")
    assert answer.code == 2 and "--data: no image of fine is anomalous" in answer.sentence


def test_a_set_without_masks(train, tmp_path) -> None:
    answer = train(data=f"folder={draw_set(tmp_path / 'bare', masks=False)}")
    assert answer.code == 2
    assert "dataset 'bare' gives no mask for" in answer.sentence and "bare/bad/4.png" in answer.sentence


def test_an_unreadable_image(train, root) -> None:
    (root / "good" / "1.png").write_bytes(b"no image")
    answer = train()
    assert answer.code == 2 and "good/1.png" in answer.sentence


def test_a_finished_file_is_kept(train, tmp_path) -> None:
    path = tmp_path / "w" / "weights.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    answer = train()
    assert answer.code == 2 and "holds weights.safetensors already" in answer.sentence
    assert path.read_bytes() == b"precious"


def test_a_folder_that_cannot_be_written(train, public_path, unprivileged, tmp_path) -> None:
    root = draw_set(public_path / "set", 1, 1)
    locked = public_path / "locked"
    locked.mkdir(mode=0o555)
    with unprivileged():
        answer = train(data=f"folder={root}", out=locked)
    assert answer.code == 1 and str(locked) in answer.sentence and "permission denied" in answer.sentence


def test_weights_of_another_backbone_or_method_are_refused(train, zsad, tiny, root, tmp_path) -> None:
    assert train().code == 0
    path, image = tmp_path / "w" / "weights.safetensors", root / "bad" / "4.png"
    words = ("predict", image, "--weights", path, "--out", tmp_path / "p")
    other = zsad(*words, "--method", "anomalyclip", "--backbone", tiny.replace("random:0", "random:1"))
    assert other.code == 2 and "learned on another backbone" in other.sentence
    assert "weights.safetensors" in other.sentence
    embedded = zsad(*words, "--method", "anomalyclip", "--backbone", "mini")
    assert embedded.code == 2 and "learned on another backbone" in embedded.sentence
    method = zsad(*words, "--method", "clip-baseline", "--backbone", tiny)
    assert method.code == 2 and "'clip-baseline' learns nothing; leave --weights out" in method.sentence


def test_divergence_leaves_no_file(train, tmp_path) -> None:
    answer = train("--lr", "1e38", epochs=3)
    assert answer.code == 1 and "training has diverged" in answer.sentence and "--lr" in answer.sentence
    assert list((tmp_path / "w").iterdir()) == []


@pytest.mark.parametrize("when", ["images encoded", "epoch 1"])
def test_an_interrupt_leaves_no_file(train, tmp_path, monkeypatch, when) -> None:
    def interrupted(text: str) -> None:
        if when in text:
            signal.raise_signal(signal.SIGINT)  # what Ctrl-C does

    monkeypatch.setattr(command, "print_message", interrupted)
    answer = train(epochs=2)
    assert answer.code == 130 and "interrupted" in answer.err
    assert list((tmp_path / "w").iterdir()) == []


def test_an_interrupt_while_writing_leaves_no_file(train, tmp_path, monkeypatch) -> None:
    def half(path, writer):
        def interrupted(stream):
            stream.write(b"half")
            signal.raise_signal(signal.SIGINT)

        atomic_write(path, interrupted)

    monkeypatch.setattr("zsad.weights.atomic_write", half)
    assert train().code == 130
    assert list((tmp_path / "w").iterdir()) == []


def test_two_datasets_are_learned_together(train, root, tmp_path) -> None:
    other = draw_set(tmp_path / "more", 1, 2, seed=5)
    with (other / "manifest.csv").open("w") as stream:
        rows = ["image,mask,label,class_name", "good/0.png,,0,nut", "bad/1.png,masks/bad/1.png,1,nut"]
        stream.write("\n".join(rows) + "\n")
    answer = train("--data", f"manifest={other / 'manifest.csv'}", "--json")
    assert answer.code == 0 and json.loads(answer.out)["images"] == 8
    seen = read_card(tmp_path / "w" / "weights.safetensors").trained_on
    assert [(entry.dataset, entry.classes) for entry in seen] == [
        ("squares", ("squares",)),
        ("more", ("nut",)),
    ]


def test_images_of_any_size(train, root) -> None:
    for name in ("good/0.png", "bad/3.png", "masks/bad/3.png"):
        picture = Image.open(root / name)
        picture.resize((90, 50)).save(root / name)
    assert train().code == 0
