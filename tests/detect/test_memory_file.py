from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import zsad
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect import memory_file
from zsad.detect.detector import Detector
from zsad.detect.memory_file import METADATA_KEY, load_memories, read_memory_card, save_memories
from zsad.errors import InputError, ZsadError
from zsad.files import atomic_write

SIZE = 64
TINY = f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:0"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def load(backbone: ClipBackbone, *overrides: str, **wanted: Any) -> Detector:
    wanted = {"image_size": SIZE, **wanted}
    return load_detector("nearest-neighbour", backbone=backbone, overrides=overrides, **wanted)


@pytest.fixture
def saved(tiny_backbone: ClipBackbone, tmp_path: Path) -> Path:
    """A file with memories of two classes."""
    detector, path = load(tiny_backbone), tmp_path / "kept.safetensors"
    for name, seeds in (("bolt", (0, 1)), ("nut", (2,))):
        detector.remember([picture(seed) for seed in seeds], name)
    save_memories(path, detector, detector.memories, shots=2, seed=5)
    return path


def test_what_is_saved_is_what_is_loaded(tiny_backbone: ClipBackbone, saved: Path) -> None:
    before, after = load(tiny_backbone), load(tiny_backbone, memory=saved)
    for name, seeds in (("bolt", (0, 1)), ("nut", (2,))):
        made, read = before.remember([picture(seed) for seed in seeds], name), after.memories[name]
        assert made.references == read.references and made.digest == read.digest
        assert made.buffers.keys() == read.buffers.keys()
        assert all(torch.equal(made.buffers[key], read.buffers[key]) for key in made.buffers)
        mine, other = before.predict([picture(9)], name), after.predict([picture(9)], name)
        assert torch.equal(mine.anomaly_map, other.anomaly_map)
    card = read_memory_card(saved)
    assert (card.method, card.shots, card.seed) == ("nearest-neighbour", 2, 5)
    assert [entry.class_name for entry in card.classes] == ["bolt", "nut"]


def test_another_scorer_or_what_follows_takes_the_same_memory(
    tiny_backbone: ClipBackbone, saved: Path
) -> None:
    detector = load(tiny_backbone, "post_processors.gaussian.sigma=2", memory=saved)
    assert detector.memories.keys() == {"bolt", "nut"}


@pytest.mark.parametrize(
    ("overrides", "wanted", "why"),
    [
        ((), {"image_size": 96}, "was made with image size 64, this run has 96"),
        (("readout.taps=[4]",), {}, r"was made with readout.blocks \[1, 2, 3, 4\], this run has \[4\]"),
        (("readout.stage=joint",), {}, "was made with readout.stage raw, this run has joint"),
        (("reference_store.share=0.5",), {}, "was made with reference_store.share 1.0, this run has 0.5"),
        (
            ("attention_refiner=standard.self_attention",),
            {},
            "refiner nothing, this run has standard",
        ),
        (("profile.activation=quick_gelu",), {}, "was made with activation gelu, this run has quick_gelu"),
    ],
)
def test_a_memory_that_was_made_otherwise_is_refused_by_what_differs(
    tiny_backbone: ClipBackbone,
    saved: Path,
    overrides: tuple[str, ...],
    wanted: dict[str, Any],
    why: str,
) -> None:
    with pytest.raises(InputError, match=f"{why}.*; make it again with 'zsad remember'"):
        load(tiny_backbone, *overrides, memory=saved, **wanted)


def test_another_backbone_and_other_precision_are_refused(saved: Path) -> None:
    for backbone, dtype, why in (
        (
            TINY.replace("random:0", "random:1"),
            "float32",
            r"with backbone [0-9a-f]{12}\.\.\., this run has [0-9a-f]",
        ),
        (TINY, "bfloat16", "was made with dtype float32, this run has bfloat16"),
    ):
        with pytest.raises(InputError, match=why):
            load_detector("nearest-neighbour", backbone=backbone, dtype=dtype, image_size=SIZE, memory=saved)


def test_other_learned_weights_are_refused(tiny_backbone: ClipBackbone, tmp_path: Path) -> None:
    words = ("feature_adapter=aprilgan.linear_heads",)
    first, second = (load(tiny_backbone, *words, untrained=True, seed=seed) for seed in (0, 1))
    first.remember([picture(0)])
    save_memories(tmp_path / "a.safetensors", first, first.memories)
    with pytest.raises(InputError, match="was made with learned weights"):
        load_memories(tmp_path / "a.safetensors", second)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)


def rewrite(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            card = json.loads(file.metadata()[METADATA_KEY])
        change(card)
        save_file(load_file(path), path, {METADATA_KEY: json.dumps(card)})

    return apply


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut, "is no memory file, or damaged"),
        (flip, "is damaged: it does not hold what its card says"),
        (lambda path: path.write_text("hello"), "is no memory file, or damaged"),
        (lambda path: path.unlink(), "there is no memory file"),
        (lambda path: save_file({"a": torch.zeros(1)}, path), "holds no memory of reference images"),
        (rewrite(lambda card: card.update(format=2)), "card of .* is not readable: format"),
        (rewrite(lambda card: card.pop("made_by")), "card of .* is not readable: made_by"),
    ],
)
def test_a_file_that_is_no_memory_is_refused_in_a_sentence(
    tiny_backbone: ClipBackbone, saved: Path, damage: Callable[[Path], None], why: str
) -> None:
    damage(saved)
    with pytest.raises(InputError, match=why):
        load(tiny_backbone, memory=saved)


def test_a_method_without_a_store_takes_no_memory(tiny_backbone: ClipBackbone, saved: Path) -> None:
    with pytest.raises(InputError, match="method 'clip-baseline' takes no reference images; leave --memory"):
        load_detector("clip-baseline", backbone=tiny_backbone, memory=saved)


def test_a_break_while_writing_leaves_the_former_file(
    tiny_backbone: ClipBackbone, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = saved.read_bytes(), sorted(saved.parent.iterdir())
    detector = load(tiny_backbone)
    detector.remember([picture(7)])

    def broken(path: Path, writer: Callable[[Any], object]) -> None:
        def half(stream: Any) -> None:
            stream.write(b"half")
            raise KeyboardInterrupt

        atomic_write(path, half)

    monkeypatch.setattr(memory_file, "atomic_write", broken)
    with pytest.raises(KeyboardInterrupt):
        save_memories(saved, detector, detector.memories)
    assert saved.read_bytes() == before and sorted(saved.parent.iterdir()) == files


def test_from_folders_to_a_file_and_back(tmp_path: Path) -> None:
    for name, seeds in (("bolt", (0, 1, 2)), ("metal_nut", (3, 4, 5))):
        (tmp_path / "good" / name).mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(picture(seed)).save(tmp_path / "good" / name / f"{seed}.png")
    out = tmp_path / "new" / "kept.safetensors"
    wanted: dict[str, Any] = {"backbone": TINY, "image_size": SIZE, "device": "cpu", "dtype": "float32"}
    made = zsad.remember("nearest-neighbour", tmp_path / "good", out, shots=2, seed=3, **wanted)
    assert made.path == out and {name: kept.shots for name, kept in made.memories.items()} == {
        "bolt": 2,
        "metal_nut": 2,
    }
    detector = zsad.load("nearest-neighbour", memory=out, **wanted)
    known = made.files.of("metal nut")[0].image
    assert float(detector.predict([known], "metal nut").score) < 1e-5
    assert float(detector.predict([known], "bolt").score) > 1e-3

    with pytest.raises(InputError, match=r"a memory is a .safetensors file"):
        zsad.remember("nearest-neighbour", tmp_path / "good", tmp_path / "kept.bin", **wanted)
    with pytest.raises(InputError, match=r"'winclip' takes no .* .those that do: .*; leave --reference out"):
        zsad.remember("winclip", tmp_path / "good", out, **wanted)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ZsadError, match="cannot write in folder"):
        zsad.remember("nearest-neighbour", tmp_path / "good", tmp_path / "file" / "k.safetensors", **wanted)
