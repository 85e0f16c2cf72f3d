"""Scores, maps and pictures of images as files, written as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from zsad.data.images import read_image
from zsad.data.pictures import overlay
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.files import write_npy, write_png
from zsad.values import Prediction, Sample

WAITING = 8
"""Results that may wait for their files to be written."""


@dataclass(frozen=True)
class ImageResult:
    """One image's answer.

    Attributes:
        path: The image.
        sample: The image as read.
        score: Image score; higher is more anomalous.
        anomaly_map: [H, W] float32 at native size.
    """

    path: Path
    sample: Sample
    score: float
    anomaly_map: np.ndarray


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be read, and why."""

    path: Path
    error: str


def native_map(anomaly_map: Tensor, height: int, width: int) -> np.ndarray:
    """Return a map [S, S] at an image's native size: [H, W] float32, bilinear."""
    resized = F.interpolate(
        anomaly_map[None, None].float(), (height, width), mode="bilinear", align_corners=False
    )
    return resized[0, 0].cpu().numpy()


def predict_files(
    detector: Detector, paths: Sequence[Path], class_name: str, batch_size: int
) -> Iterator[ImageResult | FailedImage]:
    """Score image files in batches; an unreadable one is reported and the rest goes on.

    For two-phase methods all images form one scope, and the answers come at the end.
    """
    scope = detector.scope()
    waiting: list[Sample] = []
    for low in range(0, len(paths), batch_size):
        samples: list[Sample] = []
        for path in paths[low : low + batch_size]:
            try:
                samples.append(Sample(read_image(path), class_name, path))
            except InputError as error:
                yield FailedImage(path, str(error))
        if not samples:
            continue
        prediction = detector.add(scope, detector.encode(samples, class_name))
        if prediction is None:
            waiting.extend(samples)
        else:
            yield from _results(prediction, samples)
    last = detector.finish(scope)
    if last is not None:
        yield from _results(last, waiting)


def _results(prediction: Prediction, samples: Sequence[Sample]) -> Iterator[ImageResult]:
    for sample, score, anomaly_map in zip(samples, prediction.score, prediction.anomaly_map, strict=True):
        assert sample.path is not None
        height, width = sample.image.shape[:2]
        yield ImageResult(sample.path, sample, float(score), native_map(anomaly_map, height, width))


class OutputNames:
    """A name per image in one folder: its stem, with a number where stems repeat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, int] = {}

    def base(self, path: Path) -> str:
        """Return a name that no other image of this run has."""
        count = self._seen.get(path.stem, 0) + 1
        self._seen[path.stem] = count
        return path.stem if count == 1 else f"{path.stem}-{count}"


def written(
    results: Iterable[ImageResult | FailedImage],
    names: OutputNames,
    detector: Detector,
    *,
    save_map: bool,
    save_overlay: bool = True,
) -> Iterator[tuple[ImageResult, dict[str, Any]] | FailedImage]:
    """Write results while the next ones are computed; yield each, in order, once its files are there.

    Args:
        results: From :func:`predict_files`.
        names: Names of the files.
        detector: The detector, for the range of its map.
        save_map: Whether to write the map too.
        save_overlay: Whether to write the picture.

    Raises:
        ZsadError: The folder cannot be written to.
    """

    def write(result: ImageResult | FailedImage) -> tuple[ImageResult, dict[str, Any]] | FailedImage:
        if isinstance(result, FailedImage):
            return result
        return result, write_result(result, names, detector, save_map=save_map, save_overlay=save_overlay)

    with ThreadPoolExecutor(1) as writer:  # one thread, so that names come in the order of the results
        pending: deque[Future[tuple[ImageResult, dict[str, Any]] | FailedImage]] = deque()
        try:
            for result in results:
                pending.append(writer.submit(write, result))
                if len(pending) > WAITING:
                    yield pending.popleft().result()
        except (Exception, KeyboardInterrupt):
            # What was computed before is kept, and the caller hears of it.
            yield from (entry.result() for entry in pending)
            raise
        yield from (entry.result() for entry in pending)


def write_result(
    result: ImageResult, names: OutputNames, detector: Detector, *, save_map: bool, save_overlay: bool
) -> dict[str, Any]:
    """Write overlay and map where wanted; return what was written, as plain data.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    base = names.base(result.path)
    display = detector.recipe.recipe.display
    written: dict[str, Any] = {"path": str(result.path), "score": result.score}
    if save_overlay:
        picture = names.folder / f"{base}_overlay.png"
        write_png(picture, overlay(result.sample.image, result.anomaly_map, display.low, display.high))
        written["overlay"] = str(picture)
    if save_map:
        file = names.folder / f"{base}_map.npy"
        write_npy(file, result.anomaly_map)
        written["map"] = str(file)
    return written
