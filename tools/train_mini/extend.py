"""Learn rows for the words that mini's table adds: ``python -m tools.train_mini.extend --out FOLDER``.

Draws images, takes the frozen vision tower's features of them once, learns one row per added word that says
something of what is drawn, and writes ``words.safetensors``. Nothing that ``mini`` learned before moves. Then
measures the words on other drawn images.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from tools.train_mini.added_words import WordLearner, WordPlan, WordReader
from tools.train_mini.evidence import Evidence, evidence_of
from tools.train_mini.pool import PoolPlan, make_pool
from tools.train_mini.word_figures import WordMeasure, table
from zsad_plugins.drawn.procedural import HELD_OUT_FAMILIES
from zsad_plugins.mini.added_rows import FILE, AddedRows, begun, write_added_rows
from zsad_plugins.mini.backbone import read_mini
from zsad_plugins.mini.model import MiniModel
from zsad_plugins.mini.tokenizer import UNKNOWN_ROW, RowTokenizer
from zsad_plugins.mini.words import read_words

SHARE_OF_HELD_OUT = 3
"""There are few held-out families, and so fewer images of them are measured on."""


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser("python -m tools.train_mini.extend", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for pools, the file and the figures")
    parser.add_argument("--images", type=int, default=1500, help="images to learn from")
    parser.add_argument("--steps", type=int, default=250, help="optimiser steps")
    parser.add_argument("--rate", type=float, default=0.002, help="highest learning rate")
    parser.add_argument("--anchor", type=float, default=0.1, help="pull of a row to where it began")
    parser.add_argument("--seed", type=int, default=2001, help="seed of everything random")
    parser.add_argument("--measured", type=int, default=900, help="images per figure; 0 measures nothing")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw images")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Learn and measure; returns the exit code."""
    options = arguments(given)
    torch.set_num_threads(options.threads)
    model, ids, _ = read_mini()
    words = read_words()
    added = begun(words, RowTokenizer(ids, model.shape.context_length).rows_of, model.shape.text_width)
    reader = WordReader(model, ids, added)

    begin = time.perf_counter()
    evidence = drawn_evidence(model, options, "learned_from", options.images, options.seed)
    drawn = time.perf_counter()
    _say(f"features of {options.images} images after {drawn - begin:.0f} s")
    plan = WordPlan(steps=options.steps, rate=options.rate, anchor=options.anchor, seed=options.seed)
    learner = WordLearner(reader, evidence, plan)
    learner.run(
        lambda step, means: _say(f"step {step} " + " ".join(f"{k} {v:.3f}" for k, v in means.items()))
    )
    finished = learner.finished()
    decisive = ("images", "steps", "rate", "anchor", "seed")
    notes = {
        "plan": json.dumps({name: getattr(options, name) for name in decisive}),
        "learning_seconds": f"{time.perf_counter() - drawn:.0f}",
        "torch": torch.__version__,
    }
    path = options.out / FILE
    write_added_rows(path, finished, notes)
    count, size = len(finished.places), path.stat().st_size / 1e3
    _say(f"{path}: {count} of {len(words.added)} rows learned, {size:.0f} kB")
    if options.measured:
        measure(reader, model, finished, options)
    return 0


def measure(reader: WordReader, model: MiniModel, finished: AddedRows, options: argparse.Namespace) -> None:
    """Print figures of the added words on drawn images that none was learned from."""
    unknown = reader.embedding[UNKNOWN_ROW].expand(len(finished.counts), -1)
    rows = {
        "learned": finished.rows(reader.embedding),
        "at their start": reader.added.rows(reader.embedding),
        "unknown": unknown,
    }
    for place, (title, count, families) in enumerate(
        (
            ("trained families", options.measured, None),
            ("held-out families", options.measured // SHARE_OF_HELD_OUT, HELD_OUT_FAMILIES),
        ),
        start=1,
    ):
        folder = title.replace(" ", "_").replace("-", "_")
        evidence = drawn_evidence(model, options, folder, count, options.seed + place, families)
        found = WordMeasure(reader, evidence)
        columns = {name: found.figures(values) for name, values in rows.items()}
        _say(f"\n{title}\n\n{table(columns | {'known words': found.known()})}")


def drawn_evidence(
    model: MiniModel,
    options: argparse.Namespace,
    folder: str,
    count: int,
    seed: int,
    families: tuple[str, ...] | None = None,
) -> Evidence:
    """Return features of drawn images of the training families, or of others."""
    plan = PoolPlan(count, seed, model.shape.image_size, families)
    return evidence_of(model, make_pool(options.out / folder, plan, model.stem, options.workers))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
