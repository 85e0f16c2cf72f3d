"""Scores and maps of image files, as they come."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from zsad.data.contents import content
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Prediction, Sample


@dataclass(frozen=True)
class ImageResult:
    """One image's answer.

    Attributes:
        path: The image.
        content: Size and hash of the file.
        score: Image score; higher is more anomalous.
        anomaly_map: [H, W] float32 at native size.
        pixels: [H, W, 3] uint8, or None where they would have had to wait for the end of the run.
    """

    path: Path
    content: str
    score: float
    anomaly_map: np.ndarray
    pixels: npt.NDArray[np.uint8] | None

    def image(self) -> npt.NDArray[np.uint8]:
        """Return the image, [H, W, 3] uint8, read again where it was let go.

        Raises:
            InputError: It cannot be read any more, or has another size.
        """
        if self.pixels is not None:
            return self.pixels
        pixels = read_image(self.path)
        if pixels.shape[:2] != self.anomaly_map.shape:
            raise InputError(f"'{self.path}' has changed while it was scored; score it again")
        return pixels


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


@dataclass(frozen=True)
class _Read:
    """An image on its way to an answer.

    Attributes:
        path: The image.
        content: Size and hash of the file.
        size: Height and width.
        pixels: As in the result.
    """

    path: Path
    content: str
    size: tuple[int, int]
    pixels: npt.NDArray[np.uint8] | None


def predict_files(
    detector: Detector,
    paths: Sequence[Path],
    class_name: str,
    batch_size: int,
    finished: Container[Path] = (),
) -> Iterator[ImageResult | FailedImage]:
    """Score image files in batches; an unreadable one is reported and the rest goes on.

    For two-phase methods all images form one scope, and the answers come at the end. What waits for them is
    what the method keeps, never pixels.

    Args:
        detector: The method.
        paths: The images.
        class_name: What prompts call the object.
        batch_size: Images per pass.
        finished: Images whose answers are known. Batches stay what they would be without them, because some
            numbers depend on the batch; one of which all is known is left out.
    """
    scope = detector.scope()
    waiting: list[_Read] = []
    for low in range(0, len(paths), batch_size):
        batch = paths[low : low + batch_size]
        if not scope.waits and all(path in finished for path in batch):
            continue
        entries: list[_Read] = []
        for path in batch:
            try:
                held = content(path)  # before the pixels: what changes in between is noticed by a later run
                pixels = read_image(path)
            except InputError as error:
                if path not in finished:
                    yield FailedImage(path, str(error))
                continue
            entries.append(_Read(path, held, (pixels.shape[0], pixels.shape[1]), pixels))
        if not entries:
            continue
        samples = [
            Sample(entry.pixels, class_name, entry.path) for entry in entries if entry.pixels is not None
        ]
        prediction = detector.add(scope, detector.encode(samples, class_name))
        del samples
        if prediction is None:
            waiting.extend(replace(entry, pixels=None) for entry in entries)
        else:
            yield from _results(prediction, entries, finished)
    last = detector.finish(scope)
    if last is not None:
        yield from _results(last, waiting, finished)


def _results(
    prediction: Prediction, entries: Sequence[_Read], finished: Container[Path]
) -> Iterator[ImageResult]:
    for entry, score, anomaly_map in zip(entries, prediction.score, prediction.anomaly_map, strict=True):
        if entry.path not in finished:
            native = native_map(anomaly_map, *entry.size)
            yield ImageResult(entry.path, entry.content, float(score), native, entry.pixels)
