"""``zsad train``: from a folder of images to weights that the other commands take."""

from __future__ import annotations

import csv
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.training.drawing import draw_set, pixels, save
from zsad.files import atomic_write
from zsad.weights.card import read_card

RUN_FILES = {"checkpoint.pt", "curve.svg", "weights.md", "weights.safetensors"}


@pytest.fixture
def root(tmp_path) -> Path:
    """Three normal and three anomalous images with masks."""
    return draw_set(tmp_path / "squares", 3, 3)


@pytest.fixture
def train(zsad, tiny, root, tmp_path, monkeypatch):
    """Run ``zsad train`` on the tiny backbone, by default AnomalyCLIP for one epoch into the folder ``w``."""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

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
    assert (fields["weights"], fields["method"], fields["epochs"]) == (str(path), "anomalyclip", 2)
    assert min(fields[name] for name in ("focal", "dice", "image")) > 0 and len(fields["recipe_hash"]) == 16
    lines = answer.err.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("epoch")] == ["epoch 1", "epoch 2"]
    assert all(line.endswith("images/s)") for line in lines if line.startswith("epoch"))
    (announced,) = [line for line in lines if line.startswith("features take")]
    assert str(tmp_path / "cache" / "zsad" / "features") in announced
    assert {file.name for file in path.parent.iterdir()} == RUN_FILES
    assert "trained on | squares" in (path.parent / "weights.md").read_text()
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
    assert report["weights"]["parts"]["prompt_learner"]["trained_on"] == "squares"
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
    answer = train("--set", "training.epochs=2", "--set", "training.losses.image=0", "--json", epochs=None)
    assert answer.code == 0
    assert "epoch 2:" in answer.err and "epoch 3:" not in answer.err
    assert "image" not in json.loads(answer.out)
    # An option says the same thing as --set: neither wins without a word.
    for said, words in (
        ("--epochs and --set training.epochs=3", ["--set", "training.epochs=3"]),
        ("--epochs and --set training={epochs: 3}", ["--set", "training={epochs: 3}"]),
        ("--lr and --set training.learning_rate=0.1",
         ["--lr", "0.1", "--set", "training.learning_rate=0.1"]),
        ("--batch-size and --set training.batch_size=2",
         ["--batch-size", "2", "--set", "training.batch_size=2"]),
        ("--image-size and --set image_size=80", ["--image-size", "80", "--set", "image_size=80"]),
    ):  # fmt: skip
        answer = train(*words, out=tmp_path / "other")
        assert answer.code == 2 and f"{said} say the same thing" in answer.sentence


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
        (["--set", "training.losses.focl=2"], ["'focl'", "'focal'"]),
        (["--set", "adapter.rank=2"], ["adapter.rank=2", "--adapter lora"]),
        (["--adapter", "lora", "--set", "adapter.rnk=2"], ["rnk"]),
        (["--generator", "draam"], ["'draam'", "'draem'"]),
        (["--set", "generator.clean=1"], ["--generator"]),
        (["--precision", "float16"], ["--precision float16 needs a GPU"]),
        (["--no-cache", "--cache-dtype", "float8"], ["--cache-dtype"]),
        (["--no-cache", "--cache", "x"], ["--no-cache: leave out --cache"]),
        (["--seed", "-1"], ["--seed -1", "0 to"]),
        (["--seed", str(2**64)], ["--seed", "0 to"]),
        (
            ["--set", 'training.learning_rates={"nothing.*": 0.1}'],
            ["training.learning_rates: no parameter", "'nothing.*'", "prompt_learner"],
        ),
        (["--lr", "0"], ["training.learning_rate", "0.0"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--data", "folder=/no/such"], ["/no/such"]),
        (["--data", "foldr=/tmp"], ["'foldr'", "'folder'"]),
        (["--image-size", "60"], ["60"]),
        (
            ["--set", "profile.image_resize=centre-crop"],
            ["masks cover whole images", "--set profile.image_resize=squash"],
        ),
        (["--weights", "x"], ["there is no weights file x"]),
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
    assert "--generator" in answer.sentence


def test_a_set_without_masks(train, tmp_path) -> None:
    answer = train(data=f"folder={draw_set(tmp_path / 'bare', masks=False)}")
    assert answer.code == 2
    assert "dataset 'bare' gives no mask for" in answer.sentence and "bare/bad/4.png" in answer.sentence


IMAGE_LOSS = ("--set", 'training.losses={"image": 1}')


def test_image_losses_need_no_masks_and_do_not_read_them(train, root, tmp_path) -> None:
    bare = draw_set(tmp_path / "bare" / "squares", 3, 3, masks=False)
    with_masks = train(*IMAGE_LOSS, "--seed", 3, out=tmp_path / "a")
    without = train(*IMAGE_LOSS, "--seed", 3, data=f"folder={bare}", out=tmp_path / "b")
    assert (with_masks.code, without.code) == (0, 0), without.err
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in "ab")
    assert all(np.array_equal(first[key], second[key]) for key in first) and len(first) == len(second) == 2
    begun = train(data=f"folder={root}", out=tmp_path / "c")
    assert begun.code == 0
    third = load_file(tmp_path / "c" / "weights.safetensors")
    assert not all(np.array_equal(first[key], third[key]) for key in first)


@pytest.mark.parametrize("losses", ['{"image": 1, "dice": 0.1}', '{"image": 1, "focal": {"weight": 1}}'])
def test_a_loss_of_maps_beside_them_needs_masks(train, tmp_path, losses) -> None:
    bare = draw_set(tmp_path / "bare", masks=False)
    answer = train("--set", f"training.losses={losses}", data=f"folder={bare}")
    assert answer.code == 2 and "dataset 'bare' gives no mask for" in answer.sentence
    assert "'zsad losses' tells which" in answer.sentence


def test_a_later_stage_s_losses_count_too(train, tmp_path) -> None:
    bare = draw_set(tmp_path / "bare", masks=False)
    stage = ("--set", 'training.then={"epochs": 1, "losses": {"dice": 1}}')
    answer = train(*IMAGE_LOSS, *stage, data=f"folder={bare}")
    assert answer.code == 2 and "gives no mask for" in answer.sentence


def test_mosaics_take_their_labels_from_masks(train, tmp_path) -> None:
    bare = draw_set(tmp_path / "bare", masks=False)
    words = (*IMAGE_LOSS, "--set", "training.mosaic=0.5")
    answer = train(*words, data=f"folder={bare}")
    assert answer.code == 2 and "labels of mosaics come from masks" in answer.sentence
    assert train(*words, "--set", "examples.mosaic_label=original", data=f"folder={bare}").code == 0


def test_an_unreadable_image(train, root) -> None:
    (root / "good" / "1.png").write_bytes(b"no image")
    answer = train()
    assert answer.code == 2 and "good/1.png" in answer.sentence


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoint.pt", "adapter/zsad.json"])
def test_what_an_earlier_run_left_is_kept(train, tmp_path, name) -> None:
    path = tmp_path / "w" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    answer = train()
    assert (
        answer.code == 2
        and f"holds {name.split('/')[0]} already; go on with it by --resume" in answer.sentence
    )
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
    assert sorted(f.name for f in (tmp_path / "w").iterdir()) == []


def interrupted_at(monkeypatch, words: str) -> None:
    """Have Ctrl-C come when a message with these words is printed."""

    def print_message(text: str) -> None:
        print(text, file=sys.stderr)
        if words in text:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("zsad.cli.output.print_message", print_message)


def test_an_interrupt_before_the_first_epoch_leaves_no_file(train, tmp_path, monkeypatch) -> None:
    interrupted_at(monkeypatch, "features take")
    answer = train()
    assert answer.code == 130 and "interrupted" in answer.err
    assert list((tmp_path / "w").iterdir()) == []


def test_an_interrupted_run_can_be_used_and_gone_on_with(
    train, zsad, tiny, root, tmp_path, monkeypatch
) -> None:
    assert train(epochs=3, out=tmp_path / "whole").code == 0
    with monkeypatch.context() as patch:
        interrupted_at(patch, "epoch 1:")
        answer = train(epochs=3)
    assert answer.code == 130 and f"epoch 1 is kept in {tmp_path / 'w'}; go on with --resume" in answer.err
    weights = tmp_path / "w" / "weights.safetensors"
    image = root / "bad" / "4.png"
    answer = zsad("predict", image, "--method", "anomalyclip", "--backbone", tiny, "--weights", weights,
                  "--out", tmp_path / "p")  # fmt: skip
    assert answer.code == 0
    answer = train("--resume", epochs=3)
    assert answer.code == 0 and "going on after epoch 1" in answer.err
    assert weights.read_bytes() == (tmp_path / "whole" / "weights.safetensors").read_bytes()


def test_a_resumed_run_is_the_same_run(train, tmp_path) -> None:
    assert "there is no checkpoint" in train("--resume").err
    answer = train("--resume", "--seed", 3)
    assert (
        answer.code == 2 and "--resume: the run in" in answer.sentence and "another seed" in answer.sentence
    )
    answer = train("--resume", method="crane")
    assert answer.code == 2 and "another method" in answer.sentence
    other = draw_set(tmp_path / "others", 2, 2, seed=9)
    answer = train("--resume", data=f"folder={other}")
    assert answer.code == 2 and "another data" in answer.sentence
    answer = train("--resume")
    assert answer.code == 0 and "epoch" not in answer.err.replace("going on after epoch 1", "")


def test_normal_images_and_a_generator(train, tmp_path) -> None:
    folder = tmp_path / "fine"
    for number in range(3):
        save(folder / f"{number}.png", pixels(np.random.default_rng(number), False)[0])
    answer = train("--generator", "cutpaste", "--copies", 2, data=f"folder={folder}")
    assert answer.code == 0 and "epoch 1:" in answer.err
    assert read_card(tmp_path / "w" / "weights.safetensors").trained_on[0].dataset == "fine"
    answer = train("--generator", "feature-noise", data=f"folder={folder}", out=tmp_path / "noise")
    assert answer.code == 0, answer.err


def test_without_a_cache_nothing_is_kept(train, tmp_path) -> None:
    answers = [train(*words, "--json", out=tmp_path / name) for name, words in
               {"live": ["--no-cache"], "cached": ["--cache", tmp_path / "mine"]}.items()]  # fmt: skip
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert kept <= {"contents.sqlite"} and len(list((tmp_path / "mine").iterdir())) == 1
    live, cached = (json.loads(answer.out) for answer in answers)
    for name in ("focal", "dice", "image"):
        assert live[name] == pytest.approx(cached[name], rel=1e-5)


def test_weights_to_begin_with(train, tmp_path) -> None:
    assert train(out=tmp_path / "first").code == 0
    first = tmp_path / "first" / "weights.safetensors"
    assert train("--weights", first, "--lr", "1e-12").code == 0
    found = load_file(tmp_path / "w" / "weights.safetensors")
    for name, tensor in load_file(first).items():
        assert float((found[name] - tensor).abs().max()) < 1e-9
    other = draw_set(tmp_path / "others", 2, 2, seed=9)
    words = ("--weights", first)
    assert train(*words, data=f"folder={other}", out=tmp_path / "both").code == 0
    both = read_card(tmp_path / "both" / "weights.safetensors").trained_on
    assert [entry.dataset for entry in both] == ["squares", "others"]
    answer = train("--resume", data=f"folder={other}", out=tmp_path / "both")
    assert answer.code == 2 and "another trained_on" in answer.sentence
    assert train(*words, "--resume", data=f"folder={other}", out=tmp_path / "both").code == 0
    answer = train("--weights", first, method="crane", out=tmp_path / "c")
    assert answer.code == 2 and "holds weights of method 'anomalyclip'" in answer.sentence


def test_an_adapter_is_learned_and_used(train, zsad, tiny, root, tmp_path) -> None:
    words = ("--adapter", "lora", "--set", "adapter.rank=2", "--set", "adapter.target=both", "--lr", "0.01")
    assert train(*words).code == 0
    run, image = tmp_path / "w", root / "bad" / "4.png"
    assert {file.name for file in run.iterdir()} == RUN_FILES | {"adapter"}
    predict = ("predict", image, "--method", "anomalyclip", "--backbone", tiny, "--json", "--weights",
               run / "weights.safetensors")  # fmt: skip
    answer = zsad(*predict, "--adapter", run / "adapter", "--out", tmp_path / "p")
    assert answer.code == 0, answer.err
    answer = zsad(*predict, "--out", tmp_path / "q")
    assert answer.code == 2 and "was learned with the adapter" in answer.sentence
    answer = train(*words, "--resume", epochs=2)
    assert answer.code == 0 and "epoch 2:" in answer.err
    alone = train(*words, method="clip-baseline", out=tmp_path / "alone")
    assert alone.code == 0 and not (tmp_path / "alone" / "weights.safetensors").exists()


def test_an_adapter_learns_where_the_recipe_names_what_else_does(train, tmp_path) -> None:
    plan = ("--set", "training.learn=[prompt_learner.*]", "--lr", "0.01")
    assert train("--adapter", "lora", "--set", "adapter.rank=2", *plan).code == 0
    state = load_file(tmp_path / "w" / "adapter" / "adapter_model.safetensors")
    assert any(bool(tensor.any()) for name, tensor in state.items() if "lora_B" in name)


def test_weights_without_a_checkpoint_are_kept(train, tmp_path) -> None:
    assert train().code == 0
    (tmp_path / "w" / "checkpoint.pt").unlink()
    before = (tmp_path / "w" / "weights.safetensors").read_bytes()
    answer = train("--resume")
    assert answer.code == 2 and "holds weights.safetensors but no checkpoint.pt" in answer.sentence
    assert (tmp_path / "w" / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(("module", "left"), [("zsad.training.checkpoint", set()),
                                              ("zsad.weights.loading", {"checkpoint.pt"})])  # fmt: skip
def test_an_interrupt_while_writing_leaves_nothing_half(train, tmp_path, monkeypatch, module, left) -> None:
    def half(path, writer):
        def interrupted(stream):
            stream.write(b"half")
            signal.raise_signal(signal.SIGINT)

        atomic_write(path, interrupted)

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.atomic_write", half)
        assert train().code == 130
    assert {file.name for file in (tmp_path / "w").iterdir()} == left
    assert train("--resume").code == 0
    assert train(out=tmp_path / "whole").code == 0
    contents = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("w", "whole")]
    assert contents[0] == contents[1]


def test_two_datasets_are_learned_together(train, root, tmp_path) -> None:
    other = draw_set(tmp_path / "more", 1, 2, seed=5)
    with (other / "manifest.csv").open("w") as stream:
        rows = ["image,mask,label,class_name", "good/0.png,,0,nut", "bad/1.png,masks/bad/1.png,1,nut"]
        stream.write("\n".join(rows) + "\n")
    answer = train("--data", f"manifest={other / 'manifest.csv'}", "--json")
    assert answer.code == 0 and json.loads(answer.out)["epochs"] == 1
    seen = read_card(tmp_path / "w" / "weights.safetensors").trained_on
    assert [(entry.dataset, entry.classes) for entry in seen] == [
        ("squares", ("squares",)),
        ("more", ("nut",)),
    ]


def test_training_takes_squares(train, tmp_path) -> None:
    answer = train("--set", "profile.image_resize=short-side")
    assert answer.code == 2 and answer.sentence == (
        "error: training takes images as squares, not by profile.image_resize 'short-side'; use --set "
        "profile.image_resize=squash"
    )
    assert not (tmp_path / "w").exists()


def test_images_of_any_size(train, root) -> None:
    for name in ("good/0.png", "bad/3.png", "masks/bad/3.png"):
        picture = Image.open(root / name)
        picture.resize((90, 50)).save(root / name)
    assert train().code == 0


def test_what_is_left_out_of_the_data_is_said(train, root) -> None:
    (root / "good" / "one more.HEIC").touch()
    answer = train("--no-cache")
    assert answer.code == 0
    assert (
        f"{root.name}: left out: 1, because .heic needs converting to PNG or JPEG (1)"
        in answer.err.splitlines()
    )
