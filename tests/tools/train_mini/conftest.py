"""One run of the whole training, as small as it gets, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.train_mini.__main__ import main, start, vocabulary_ids
from tools.train_mini.pool import Pool, PoolPlan, Record, make_pool
from tools.train_mini.sentences import Sentences, all_texts
from tools.train_mini.train import Plan, Trainer
from tools.train_mini.words import phrases, prompt_texts
from zsad_plugins.drawn.procedural import captions_vocabulary, generate
from zsad_plugins.mini.backbone import read_mini
from zsad_plugins.mini.model import MiniModel, MiniShape
from zsad_plugins.mini.stem import ConvolutionalStem
from zsad_plugins.mini.tokenizer import row_ids

SIZE, IMAGES = 80, 12
"""The smallest side whose smallest crop still holds a window, and a few images."""


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """The folder of ``python -m tools.train_mini`` with 12 images of 80 pixels and 2 steps."""
    folder = tmp_path_factory.mktemp("mini")
    words = f"--images {IMAGES} --steps 2 --batch 4 --size {SIZE} --workers 1 --threads 1 --held-out 0"
    assert main([*words.split(), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def stem() -> ConvolutionalStem:
    return read_mini()[0].stem


@pytest.fixture(scope="session")
def pool(finished_run, stem) -> Pool:
    # No worker: the pool that the run left has to do.
    return make_pool(finished_run / "pool", PoolPlan(IMAGES, 0, SIZE), stem, 0)


@pytest.fixture(scope="session")
def records() -> tuple[Record, ...]:
    """What is known of a hundred images."""
    drawn = [generate(3, index, size=48) for index in range(100)]
    return tuple(
        Record(d.caption, d.class_name, d.family, d.material, (d.defect,) if d.defect else ()) for d in drawn
    )


@pytest.fixture(scope="session")
def ids(pool, records) -> torch.Tensor:
    """CLIP's id of every row, as the training takes them from all texts."""
    texts = [*captions_vocabulary(), *prompt_texts()]
    return row_ids(vocabulary_ids(all_texts(phrases(), [*pool.records, *records], texts)))


@pytest.fixture
def make_trainer(ids, stem):
    """Return a trainer of a narrow model on a pool."""

    def run(pool: Pool, **plan) -> Trainer:
        torch.manual_seed(0)
        grid = pool.features.shape[-1]
        shape = MiniShape(grid=grid, width=24, depth=4, heads=2, text_width=16, text_depth=2, text_heads=2,
                          joint=16, rows=len(ids))  # fmt: skip
        model = MiniModel(shape)
        start(model, stem)
        sentences = Sentences(phrases(), pool.records, np.random.default_rng(0))
        return Trainer(model, ids, pool, sentences, Plan(**{"steps": 2, "batch": 4, **plan}))

    return run
