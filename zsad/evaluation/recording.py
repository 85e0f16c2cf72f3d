"""What is kept of a cell while its images pass: metric states, a row per image, the cases worth a look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from zsad.data.dataset import DatasetImage
from zsad.data.levels import severity
from zsad.data.masks import MASK_RULE, resize_mask
from zsad.data.names import printable
from zsad.data.reading import NO_PIXELS, Loaded, Unreadable
from zsad.detect.memories import EVERY_CLASS, Remembered
from zsad.errors import ZsadError
from zsad.evaluation.cases import Cases
from zsad.evaluation.cells import Cell
from zsad.evaluation.results import FAILED, FailedImage, Figures, ImageRow
from zsad.metrics.errors import UndefinedMetricError
from zsad.metrics.functional import auroc
from zsad.metrics.metric import AtThreshold, Metric
from zsad.metrics.severity import SeverityState
from zsad.metrics.states import ImageState, PixelState
from zsad.plugin.imports import cause
from zsad.values import Features, Prediction

Truth = npt.NDArray[np.bool_]


class Recorder:
    """Follows one cell from its first batch to its result.

    Attributes:
        cell: The cell.
        cases: Images worth a look.
        seconds: What the method took beyond the passes.
        error: Why the method gave no answer for the class, or None. Nothing more is asked of it then.
    """

    def __init__(self, cell: Cell) -> None:
        """Follow a cell; one with references has to be told what is remembered of them before it is asked."""
        self.cell = cell
        self.cases = Cases(cell.contestant.detector.recipe.recipe.display)
        self.seconds = 0.0
        self.error: str | None = None
        self._scope = cell.contestant.detector.scope()
        self._waiting: list[tuple[Loaded, Truth | None]] = []
        self._images, self._pixels, self._severity = ImageState(), PixelState(), SeverityState()
        self._without_mask = 0
        self._rows: list[ImageRow] = []
        self._failed: list[Unreadable] = []

    def add(self, features: Features, batch: Sequence[Loaded]) -> None:
        """Score a batch."""
        with self._answering():
            prediction = self._timed(lambda: self.cell.contestant.detector.add(self._scope, features))
            entries = [(loaded, self._truth(loaded, features.whole_size)) for loaded in batch]
            if prediction is None:
                # Pixels of a whole class would not fit memory; the truth is small.
                self._waiting += [(_without_pixels(loaded), truth) for loaded, truth in entries]
            else:
                self._record(prediction, entries)

    def remember(self, found: Remembered) -> None:
        """Take what is remembered of the references of the cell's class."""
        self._scope = self.cell.contestant.detector.scope({EVERY_CLASS: found})

    def give_up(self, error: Exception) -> None:
        """Note why the method has no answer, and let go of what it gave before."""
        self.error = str(error) if isinstance(error, ZsadError) else cause(error)
        self.cases = Cases(self.cases.display)
        self._scope, self._waiting = self.cell.contestant.detector.scope(), []
        self._images, self._pixels, self._severity = ImageState(), PixelState(), SeverityState()

    def fail(self, image: Unreadable) -> None:
        """Note an image that could not be read."""
        self._failed.append(image)

    def finish(self) -> None:
        """Record the answers that waited for the end of the class."""
        if self.error is not None:
            return
        with self._answering():
            prediction = self._timed(lambda: self.cell.contestant.detector.finish(self._scope))
            if prediction is not None:
                self._record(prediction, self._waiting)
                self._waiting = []

    @contextmanager
    def _answering(self) -> Iterator[None]:
        # Whatever a method raises costs its own figures, not those of the others.
        try:
            yield
        except Exception as error:
            self.give_up(error)

    def _timed(self, work: Callable[[], Prediction | None]) -> Prediction | None:
        begun = time.perf_counter()
        prediction = _on_cpu(work())
        self.seconds += time.perf_counter() - begun
        return prediction

    def figures(self, metrics: Mapping[str, Metric]) -> Figures:
        """Return figures and counts; one that is undefined, or whose metric failed, is None and says why."""
        values: dict[str, float | None] = {}
        undefined: dict[str, str] = {}
        thresholds: dict[str, float] = {}
        for name, metric in metrics.items():
            try:
                if self.error is not None:
                    raise UndefinedMetricError(self.error)
                value = self._compute(metric)
                at = metric.threshold(self._state(metric)) if isinstance(metric, AtThreshold) else None
                values[name] = value
                thresholds |= {} if at is None else {name: float(at)}
            except UndefinedMetricError as error:
                values[name], undefined[name] = None, f"undefined: {error}"
            except Exception as error:  # whatever a metric raises costs its own figure, not those of others
                why = str(error) if isinstance(error, ZsadError) else cause(error)
                values[name], undefined[name] = None, f"{FAILED}{why}"
        labels = [image.anomalous for image in self._readable()]
        transductive = self.cell.contestant.detector.recipe.transductive
        return Figures(
            n_normal=labels.count(False),
            n_anomalous=labels.count(True),
            n_failed=len(self._failed),
            failed=tuple(
                FailedImage(image=printable(str(f.image.image)), error=printable(f.error))
                for f in self._failed
            ),
            metrics=values,
            undefined=undefined,
            thresholds=thresholds,
            error=self.error,
            resolution=self.cell.rules.resolution,
            transductive_batch=len(labels) if transductive else None,
            mask_rule=None if self.cell.rules.resolution == "native" else MASK_RULE,
        )

    def rows(self) -> list[ImageRow]:
        """Return a row per image, in the order of the dataset; unreadable ones have an error and no score."""
        failed = {
            entry.place: self._row(entry.place, entry.image, error=entry.error) for entry in self._failed
        }
        rows = [*self._rows, *failed.values()]
        if self.error is not None:
            places = enumerate(self.cell.images)
            rows = [failed.get(place) or self._row(place, image, error=self.error) for place, image in places]
        return sorted(rows, key=lambda row: row.place)

    def _readable(self) -> list[DatasetImage]:
        failed = {entry.place for entry in self._failed}
        return [image for place, image in enumerate(self.cell.images) if place not in failed]

    def _state(self, metric: Metric) -> ImageState | PixelState | SeverityState:
        if metric.level == "severity":
            return self._severity
        return self._images if metric.level == "image" else self._pixels

    def _compute(self, metric: Metric) -> float:
        if metric.level == "pixel" and self._without_mask:
            raise UndefinedMetricError(f"no masks for {self._without_mask} anomalous images")
        if metric.level == "severity":
            self._check_levels()
        value = float(metric.compute(self._state(metric)))  # a plugin's may be numpy's, which JSON lacks
        if not np.isfinite(value):
            raise ZsadError(
                f"it gave {value}; a figure without a value has to be said with UndefinedMetricError"
            )
        return value

    def _check_levels(self) -> None:
        if all(image.level is None for image in self.cell.images):
            raise UndefinedMetricError("no severity levels")
        lacking = sum(severity(image) is None for image in self._readable())
        if lacking:
            raise UndefinedMetricError(f"no severity level for {lacking} anomalous images")

    def _truth(self, loaded: Loaded, size: tuple[int, int]) -> Truth | None:
        """Return the mask at the resolution at which it is compared, or None without one."""
        if loaded.mask is None or self.cell.rules.resolution == "native":
            return loaded.mask
        return resize_mask(loaded.mask, *size)

    def _record(self, prediction: Prediction, entries: Sequence[tuple[Loaded, Truth | None]]) -> None:
        answers = zip(entries, prediction.score, prediction.anomaly_map, strict=True)
        for (loaded, truth), score, map_ in answers:
            self._record_image(loaded, truth, float(score), map_)

    def _record_image(self, loaded: Loaded, truth: Truth | None, score: float, anomaly_map: Tensor) -> None:
        entry, name = loaded.image, str(loaded.image.image)
        self._images.update(np.array([score], np.float32), np.array([entry.anomalous]), [name])
        if (level := severity(entry)) is not None:
            self._severity.update(np.array([score], np.float32), np.array([level]), [name])
        localisation = None
        if truth is None:
            self._without_mask += 1
        else:
            values = _resized(anomaly_map, truth.shape)
            self._pixels.update(values[None], truth[None], [name])
            if truth.any() and not truth.all():
                localisation = auroc(values.ravel(), truth.ravel())
        self._rows.append(
            self._row(
                loaded.place,
                entry,
                score=score,
                map_maximum=float(anomaly_map.max()),
                pixel_auroc=localisation,
            )
        )
        self.cases.offer(entry, score, localisation, anomaly_map.numpy())

    def _row(
        self,
        place: int,
        entry: DatasetImage,
        *,
        score: float | None = None,
        map_maximum: float | None = None,
        pixel_auroc: float | None = None,
        error: str | None = None,
    ) -> ImageRow:
        cell = self.cell
        return ImageRow(
            cell=cell.key,
            method=cell.contestant.method,
            backbone=cell.contestant.info.backbone.name,
            dataset=cell.dataset.name,
            class_name=cell.class_name,
            place=place,
            image=printable(str(entry.image)),
            anomalous=entry.anomalous,
            defect_type=entry.defect_type,
            score=score,
            map_maximum=map_maximum,
            pixel_auroc=pixel_auroc,
            error=None if error is None else printable(error),
        )


def _on_cpu(prediction: Prediction | None) -> Prediction | None:
    """Return a prediction in float32 on the CPU, which also waits for a GPU to have computed it."""
    if prediction is None:
        return None
    score, anomaly_map = prediction.score.float().cpu(), prediction.anomaly_map.float().cpu()
    return replace(prediction, score=score, anomaly_map=anomaly_map)


def _without_pixels(loaded: Loaded) -> Loaded:
    return replace(loaded, sample=replace(loaded.sample, image=NO_PIXELS, tensors={}), mask=None)


def _resized(anomaly_map: Tensor, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return a map [h, w] at the mask's size, bilinear where they differ."""
    if tuple(anomaly_map.shape) == tuple(shape):
        values: npt.NDArray[np.float32] = anomaly_map.numpy()
        return values
    size = (int(shape[0]), int(shape[1]))
    return F.interpolate(anomaly_map[None, None], size, mode="bilinear", align_corners=False)[0, 0].numpy()
