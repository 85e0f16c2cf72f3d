"""What metrics are computed from: collected in batches, saved, and merged across shards.

The same images give bit-equal metrics however they were split into batches and states, and in whatever order
they came.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from zsad.metrics.checks import as_float32, as_labels, check_batch
from zsad.metrics.curve import Counts, Curve, build_curve
from zsad.metrics.regions import split_maps
from zsad.metrics.storage import StoredState, read_state, write_state

Float32 = npt.NDArray[np.float32]
Level = Literal["image", "pixel", "severity"]


class State(ABC):
    """Float32 scores of normal and of anomalous items.

    Attributes:
        level: What is counted.
    """

    level: ClassVar[Level]

    def __init__(self) -> None:
        self._normal: list[Float32] = []
        self._anomalous: list[Float32] = []
        self._areas: list[Counts] = []
        self._regions = 0
        self._cached: Curve | None = None

    @abstractmethod
    def update(self, scores: npt.ArrayLike, labels: npt.ArrayLike, names: Sequence[str]) -> None:
        """Add a batch of images."""

    @property
    def n_normal(self) -> int:
        """Number of normal items."""
        return sum(chunk.size for chunk in self._normal)

    @property
    def n_anomalous(self) -> int:
        """Number of anomalous items."""
        return sum(chunk.size for chunk in self._anomalous)

    @property
    def curve(self) -> Curve:
        """Everything that metrics need, sorted once and kept until the next batch.

        Raises:
            UndefinedMetricError: If normal or anomalous items are missing.
        """
        if self._cached is None:
            normal, anomalous, areas = self._joined()
            pixels = self.level == "pixel"
            self._cached = build_curve(
                normal, anomalous, areas if pixels else None, self._regions, "pixels" if pixels else "images"
            )
            # Hold these scores only once: the curve's array is the same.
            self._normal = [normal]
        return self._cached

    def merge(self, other: Self) -> None:
        """Add everything that another state of the same kind holds; the other one stays as it is.

        Raises:
            TypeError: If the other state is of another kind.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
        # Arrays may be shared between states: none is written to after it has come into a list.
        self._normal += other._normal
        self._anomalous += other._anomalous
        self._areas += other._areas
        self._regions += other._regions
        self._cached = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state as ``.npz``, atomically.

        Raises:
            ZsadError: As ``zsad.files.atomic_write``.
        """
        write_state(path, StoredState(self.level, *self._joined(), self._regions))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a state that ``save`` wrote.

        Raises:
            InputError: If the file is missing, damaged, or holds a state of the other level.
        """
        stored = read_state(path, cls.level)
        state = cls()
        state._normal, state._anomalous = [stored.normal], [stored.anomalous]
        state._areas, state._regions = [stored.areas], stored.regions
        return state

    def _joined(self) -> tuple[Float32, Float32, Counts]:
        nothing = np.empty(0, np.float32)
        return (
            np.concatenate([nothing, *self._normal]),
            np.concatenate([nothing, *self._anomalous]),
            np.concatenate([np.empty(0, np.int64), *self._areas]),
        )


class ImageState(State):
    """Image scores by label; 4 bytes an image."""

    level = "image"

    def update(self, scores: npt.ArrayLike, labels: npt.ArrayLike, names: Sequence[str]) -> None:
        """Add a batch of images.

        Args:
            scores: [B], kept as float32.
            labels: [B] bool, True for anomalous.
            names: Names or paths of the B images, for the error.

        Raises:
            ZsadError: If a score is NaN or infinite: names the image, and nothing of the batch is added.
        """
        values, anomalous = as_float32(scores), as_labels(labels)
        check_batch(values, anomalous, 1, names)
        self._normal.append(values[~anomalous])
        self._anomalous.append(values[anomalous])
        self._cached = None


class PixelState(State):
    """Pixel scores by mask: 4 bytes a normal pixel, 12 bytes an anomalous one."""

    level = "pixel"

    @property
    def n_regions(self) -> int:
        """Number of 8-connected anomalous regions."""
        return self._regions

    def update(self, scores: npt.ArrayLike, labels: npt.ArrayLike, names: Sequence[str]) -> None:
        """Add the maps of a batch of images; batches may differ in size.

        Args:
            scores: [B, H, W] anomaly maps, kept as float32.
            labels: [B, H, W] bool masks, True for anomalous.
            names: Names or paths of the B images, for the error.

        Raises:
            ZsadError: If a score is NaN or infinite: names the image, and nothing of the batch is added.
        """
        maps, masks = as_float32(scores), as_labels(labels)
        check_batch(maps, masks, 3, names)
        split = split_maps(maps, masks)
        self._normal += split.normal
        self._anomalous += split.anomalous
        self._areas += split.areas
        self._regions += split.regions
        self._cached = None
