"""The images of a cell that are worth a look: where the method fails and where it works."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from zsad.data.corruption import Corruption
from zsad.data.dataset import DatasetImage
from zsad.data.images import read_image
from zsad.data.masks import mask_of
from zsad.data.names import printable
from zsad.data.pictures import colours, overlay
from zsad.data.resize import resize
from zsad.evaluation.results import CaseKind, CasePictures, CaseResult
from zsad.files import atomic_write
from zsad.recipe.recipes import Display

KEPT = 2
"""Cases of each kind."""
PICTURE_SIDE = 256
"""Longer side of the case pictures in pixels; they have the shape of the map, as the tower sees the image."""
QUALITY = 85

Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One image worth a look.

    Attributes:
        kind: Why.
        rank: What it was chosen by, the first being the most telling.
        image: What the dataset says of it.
        score: Image score.
        anomaly_map: [h, w] float16.
    """

    kind: CaseKind
    rank: float
    image: DatasetImage
    score: float
    anomaly_map: npt.NDArray[np.float16]


@dataclass
class Cases:
    """Keeps the few most telling images of a cell.

    Defects are ranked by the pixel AUROC within their own image, where there is a mask, else by the score.
    """

    display: Display
    _kept: dict[CaseKind, list[Case]] = field(default_factory=dict)

    def offer(
        self,
        image: DatasetImage,
        score: float,
        localisation: float | None,
        anomaly_map: npt.NDArray[np.float32],
    ) -> None:
        """Look at one image.

        Args:
            image: What the dataset says of it.
            score: Image score.
            localisation: Pixel AUROC within the image, or None.
            anomaly_map: [h, w].
        """
        if not image.anomalous:
            self._keep("false alarm", -score, image, score, anomaly_map)
            return
        value = score if localisation is None else localisation
        self._keep("worst", value, image, score, anomaly_map)
        self._keep("best", -value, image, score, anomaly_map)

    def all(self) -> list[Case]:
        """Return the kept cases, kind by kind, the most telling first."""
        return [case for kind in ("worst", "false alarm", "best") for case in self._kept.get(kind, ())]

    def _keep(
        self,
        kind: CaseKind,
        rank: float,
        image: DatasetImage,
        score: float,
        anomaly_map: npt.NDArray[np.float32],
    ) -> None:
        kept = self._kept.setdefault(kind, [])
        if len(kept) == KEPT and rank >= kept[-1].rank:
            return
        kept.append(Case(kind, rank, image, score, anomaly_map.astype(np.float16)))
        kept.sort(key=lambda case: case.rank)
        del kept[KEPT:]


@dataclass(frozen=True)
class Seen:
    """How a cell's images were changed before the method saw them.

    Attributes:
        corruption: What was done to them, or None.
        seed: Seed of what is random in it.
    """

    corruption: Corruption | None = None
    seed: int = 0

    def read(self, image: DatasetImage) -> tuple[Pixels, Truth]:
        """Return an image's pixels as they were seen, and its mask, empty where there is none."""
        pixels = read_image(image.image)
        mask = mask_of(image, pixels.shape[:2])
        if self.corruption is not None:
            pixels, mask = self.corruption(pixels, mask, self.seed)
        return pixels, np.zeros(pixels.shape[:2], np.bool_) if mask is None else mask


def write_case(case: Case, display: Display, folder: Path, number: int, seen: Seen) -> CaseResult:
    """Write a case's pictures; return what is kept of it.

    Args:
        case: The case.
        display: The fixed range of the map.
        folder: Where to.
        number: Number of the case in its cell.
        seen: How the images of the cell were changed.
    """
    pixels, truth = seen.read(case.image)
    longer = max(case.anomaly_map.shape)
    height, width = (max(1, PICTURE_SIDE * side // longer) for side in case.anomaly_map.shape)
    small = resize(pixels, height, width, "bicubic")
    values = resize(case.anomaly_map.astype(np.float32), height, width, "bicubic")
    white = resize(truth.astype(np.uint8) * np.uint8(255), height, width, "nearest")
    scaled = (values - display.low) / (display.high - display.low)
    panels = {
        "image": small,
        "truth": np.repeat(white[..., None], 3, axis=2),
        "map": np.rint(colours(scaled)).astype(np.uint8),
        "overlay": overlay(small, values, display.low, display.high),
    }
    names = {name: f"{folder.name}/{number}-{name}.jpg" for name in panels}
    for name, panel in panels.items():
        _write_jpeg(folder.parent / names[name], panel)
    return CaseResult(
        kind=case.kind,
        image=printable(str(case.image.image)),
        defect_type=case.image.defect_type,
        score=case.score,
        masked=case.image.mask is not None,
        pictures=CasePictures(**names),
    )


def _write_jpeg(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    picture = Image.fromarray(pixels)
    atomic_write(path, lambda stream: picture.save(stream, format="JPEG", quality=QUALITY))
