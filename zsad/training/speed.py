"""How long an epoch takes from cached features, beside one that encodes every image."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zsad.data.examples import example_dataset
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.request import DetectorRequest
from zsad.plugin.host import Host, get_host
from zsad.training.batches import BatchSource
from zsad.training.cache.build import open_cache
from zsad.training.examples import Example
from zsad.training.learner import learned_parameters, stage_detector
from zsad.training.live import LiveFeatures
from zsad.training.sources import DatasetExamples
from zsad.training.trainer import Epoch, Trainer

MIB = 2**20


class HeldExamples:
    """The example images with and without defects, held in memory; beyond their number they come again.

    Attributes:
        key: Says which they are.
    """

    def __init__(self, host: Host, count: int) -> None:
        source = DatasetExamples([example_dataset(host)])
        step = max(1, len(source) // count)
        self._examples = [source[place * step % len(source)] for place in range(count)]
        self.key = f"{source.key} {count}"

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place: int) -> Example:
        return self._examples[place]


def bench_train(request: DetectorRequest, *, images: int = 64, host: Host | None = None) -> dict[str, Any]:
    """Train the first epoch of a method's first stage twice from the same start.

    The images are read beforehand and held in memory, so that reading them costs the epoch without a cache
    nothing. The clock of the epoch from the cache does not count filling it, which is reported by itself.

    Args:
        request: A method that learns, with an image side that does not.
        images: Number of example images.
        host: Plugin host, by default the process's own.

    Returns:
        What was measured with, and ``rows``: a row per source of features, with its losses; ``speedup`` is
        relative to the epoch without a cache.

    Raises:
        InputError: Whatever does not exist or does not fit.
    """
    host = host or get_host()
    plain = load(request, host)
    loaded = plain.backbone
    first = stage_detector(plain, plain.recipe.recipe.training, host)
    source = HeldExamples(host, images)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        cache = open_cache(first, source, Path(folder))
        filled = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in cache.folder.iterdir())

        def epoch(open_batches: Callable[[Detector], BatchSource]) -> Epoch:
            fresh = load(request, host, loaded)
            stage = fresh.recipe.recipe.training
            detector = stage_detector(fresh, stage, host)
            trainer = Trainer(
                detector,
                stage,
                open_batches(detector),
                learned_parameters(detector, stage.learn),
                host=host,
                seed=request.seed,
            )
            return next(trainer.epochs())

        live = epoch(lambda detector: LiveFeatures(detector, source))
        cached = epoch(lambda detector: cache)
    rows = [_row("encoded anew", live, live), _row("from the cache", cached, live)]
    return {
        "method": request.method,
        "backbone": loaded.card.name,
        "image_size": first.recipe.image_size,
        "device": str(loaded.device),
        "dtype": loaded.native_profile.dtype,
        "threads": torch.get_num_threads(),
        "images": images,
        "fill_seconds": filled,
        "cache_mib": size / MIB,
        "largest_difference": max(
            abs(cached.losses[name] - value) / abs(value) for name, value in live.losses.items()
        ),
        "rows": [row | {"seconds": images / row["images_per_second"]} for row in rows],
    }


def _row(name: str, epoch: Epoch, slowest: Epoch) -> dict[str, Any]:
    return {
        "features": name,
        "images_per_second": epoch.images_per_second,
        "speedup": epoch.images_per_second / slowest.images_per_second,
        **epoch.losses,
    }
