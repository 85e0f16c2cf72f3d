"""Open a cache on disk: what an earlier or another run has finished is kept, the rest is computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.files import check_writable, write_json
from zsad.training.cache.filling import Filling
from zsad.training.cache.key import StoredPrecision, describe, key_of, reading_of
from zsad.training.cache.layout import Layout
from zsad.training.cache.store import CachedFeatures
from zsad.training.examples import ExampleSource
from zsad.training.live import full_precision
from zsad.training.reading import ExampleReader

ABANDONED_SECONDS = 3600
"""Age at which an unfinished file cannot be one that another process is writing."""


def frozen_image_side(detector: Detector) -> bool:
    """Whether nothing that is learned stands before the features, so that they stay the same."""
    learned = any(part.kind in ("auxiliary", "attention_refiner") for part in detector.recipe.learnable)
    return not learned and not any(parameter.requires_grad for parameter in detector.tower.parameters())


def open_cache(
    detector: Detector,
    source: ExampleSource,
    folder: Path,
    *,
    batch_size: int = 8,
    shard_size: int = 64,
    workers: int = 0,
    dtype: StoredPrecision = "exact",
    report: Callable[[int, int], None] = lambda done, total: None,
    announce: Callable[[int, Path], None] = lambda size, folder: None,
    warn: Callable[[str], None] = lambda message: None,
) -> CachedFeatures:
    """Open the features of a training set, and compute what is missing of them.

    Every method that reads the same of the same images finds the same cache. It may be filled by several
    processes at once, which then share the work, and a run that was cut off is gone on with. Finished files
    are read once from beginning to end, to see that they are sound.

    Args:
        detector: Whose features are kept.
        source: The training images.
        folder: Holds one folder per cache, named by its key.
        batch_size: Images per pass.
        shard_size: Images per file; about two files' worth of memory is taken while one is written.
        workers: Processes that read images.
        dtype: ``exact``, or ``float16`` for half the size of a float32 tower's features.
        report: Is called with images done and their total.
        announce: Is called once with the bytes of the whole cache and its folder, before any is written; not
            where nothing is missing.
        warn: Is called with a sentence for every damaged file.

    Returns:
        The features; those of ``exact`` equal what a pass over the same images gives, bit for bit.

    Raises:
        InputError: The features change while the method learns or cannot be told from others, or an image
            cannot be read.
        ZsadError: The disk is too small or full, or the folder cannot be written to; finished files stay.
    """
    if not frozen_image_side(detector):
        raise InputError(
            f"the features of '{detector.recipe.method}' change while it learns and cannot be cached; "
            "use --no-cache"
        )
    description = describe(
        detector,
        source.key,
        images=len(source),
        batch_size=batch_size,
        shard_size=shard_size,
        dtype=dtype,
    )
    target = folder / key_of(description)
    layout = Layout(target, len(source), batch_size, shard_size)
    missing = layout.missing(range(layout.count), warn)
    if missing:
        _check_writable(target)
        _remove_abandoned(target)
        write_json(target / "description.json", description)
        reader = ExampleReader(detector, source, workers)
        filling = Filling(detector, reader, layout, dtype, report, announce)
        # What another process has written meanwhile is left out at first, and not believed unseen.
        while missing:
            missing = layout.missing(filling.fill(missing), warn)
    return CachedFeatures(
        target,
        images=len(source),
        shard_size=shard_size,
        reading=reading_of(detector.reading.request),
        size=detector.recipe.image_size,
        dtype=full_precision(detector),
    )


def _check_writable(folder: Path) -> None:
    try:
        check_writable(folder)
    except ZsadError as error:
        raise ZsadError(f"cache of features: {error} (--cache DIR), or do without (--no-cache)") from error


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left of unfinished files."""
    for file in folder.glob(".*.tmp"):
        try:
            if time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                file.unlink()
        except FileNotFoundError:  # by another process
            continue
