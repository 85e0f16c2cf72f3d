"""Scores and maps of image files, as they come."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from zsad.data.contents import content
from zsad.data.images import read_image
from zsad.data.preprocess import equal_sizes
from zsad.detect.detector import Detector
from zsad.detect.explanations import Explanation
from zsad.detect.scope import Scope
from zsad.detect.tiles import Mosaic, Tiling
from zsad.errors import InputError, ZsadError
from zsad.inputs import resized_size
from zsad.values import Prediction, Sample

_Answer = tuple[float, Tensor]
"""Score and map [h, w] of one view."""


@dataclass(frozen=True)
class ImageResult:
    """One image's answer.

    Attributes:
        path: The image.
        content: Size and hash of the file.
        score: Image score; higher is more anomalous.
        anomaly_map: [H, W] float32 at native size.
        pixels: [H, W, 3] uint8, or None where they would have had to wait for the end of the run.
        explanation: What there is to say of it, where that was asked for.
    """

    path: Path
    content: str
    score: float
    anomaly_map: np.ndarray
    pixels: npt.NDArray[np.uint8] | None
    explanation: Explanation | None = None

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
    """Return a map [h, w] at an image's native size: [H, W] float32, bilinear."""
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
    tiling: Tiling | None = None,
) -> Iterator[ImageResult | FailedImage]:
    """Score image files in batches; an unreadable one is reported and the rest goes on.

    For two-phase methods all images form one scope, and the answers come at the end. What waits for them is
    what the method keeps, never pixels. Images of a batch that are resized to different sizes pass apart.

    Args:
        detector: The method.
        paths: The images.
        class_name: What prompts call the object.
        batch_size: Images per pass.
        finished: Images whose answers are known. Batches stay what they would be without them, because some
            numbers depend on the batch; one of which all is known is left out.
        tiling: How images are cut, or None. A tile is an image to the method; the image's score is the
            highest of its tiles'.

    Raises:
        InputError: A two-phase method is to compare images that are resized to different sizes.
        ZsadError: The method gave a score that is no number.
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
                _check_size(detector, pixels, tiling)
            except InputError as error:
                if path not in finished:
                    yield FailedImage(path, str(error))
                continue
            entries.append(_Read(path, held, (pixels.shape[0], pixels.shape[1]), pixels))
        if not entries:
            continue
        answers = _answers(detector, scope, entries, class_name, batch_size, tiling)
        if scope.waits:
            _exhaust(answers)
            waiting.extend(replace(entry, pixels=None) for entry in entries)
        else:
            yield from _results(answers, entries, finished, tiling)
    last = detector.finish(scope)
    if last is not None:
        yield from _results(_single(last), waiting, finished, tiling)


def _answers(
    detector: Detector,
    scope: Scope,
    entries: Sequence[_Read],
    class_name: str,
    batch_size: int,
    tiling: Tiling | None,
) -> Iterator[_Answer]:
    """Yield the answers of all images, or of all their tiles; none where the scope waits."""
    samples = (
        Sample(pixels, class_name, entry.path)
        for entry in entries
        if entry.pixels is not None
        for pixels in _views(entry.pixels, tiling)
    )
    while chosen := list(islice(samples, batch_size)):
        answers: dict[int, _Answer] = {}
        for places in equal_sizes(chosen, detector.reading.form):
            prediction = detector.add(scope, detector.encode([chosen[place] for place in places], class_name))
            if prediction is not None:
                answers |= zip(places, _single(prediction), strict=True)
        del chosen
        yield from (answers[place] for place in sorted(answers))


def _check_size(detector: Detector, pixels: npt.NDArray[np.uint8], tiling: Tiling | None) -> None:
    """Check that there is memory for an image, or for a tile of it; tiles of an image are of one size.

    Raises:
        InputError: There is not.
    """
    height, width = pixels.shape[:2]
    if tiling is not None:
        left, top, right, bottom = tiling.boxes(height, width)[0]
        height, width = bottom - top, right - left
    form = detector.reading.form
    detector.reading.check_size(*resized_size(height, width, form.size, form.rule))


def _views(pixels: npt.NDArray[np.uint8], tiling: Tiling | None) -> Iterator[npt.NDArray[np.uint8]]:
    if tiling is None:
        yield pixels
        return
    for left, top, right, bottom in tiling.boxes(*pixels.shape[:2]):
        yield np.ascontiguousarray(pixels[top:bottom, left:right])


def _single(prediction: Prediction) -> Iterator[_Answer]:
    """Yield each image's score and map."""
    return zip(prediction.score.tolist(), prediction.anomaly_map, strict=True)


def _exhaust(answers: Iterator[_Answer]) -> None:
    for _ in answers:
        raise ZsadError("a method that waits for the end of its scope has answered before it")


def _results(
    answers: Iterator[_Answer], entries: Sequence[_Read], finished: Container[Path], tiling: Tiling | None
) -> Iterator[ImageResult]:
    for entry in entries:
        if tiling is None:
            score, anomaly_map = next(answers)
            if entry.path in finished:
                continue
            whole = native_map(anomaly_map, *entry.size)
        else:
            mosaic, score = Mosaic(tiling, *entry.size), -math.inf
            while not mosaic.complete:
                found, anomaly_map = next(answers)
                score = max(score, found)
                mosaic.add(native_map(anomaly_map, *mosaic.size))
            if entry.path in finished:
                continue
            whole = mosaic.result()
        yield ImageResult(entry.path, entry.content, score, whole, entry.pixels)
