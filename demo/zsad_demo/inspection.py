"""One image under one method: what the page keeps of it, and what a threshold makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from zsad.detect.predictions import native_map
from zsad.detect.provenance import decision
from zsad.detect.regions import Mask, Region, find_regions, mask_at
from zsad.errors import InputError
from zsad.files import write_json, write_npy, write_png
from zsad.recipe.recipes import Display
from zsad_demo.answers import Answer, Question
from zsad_demo.drawing import VIEW_SIDE, Picture, fitted, mask_picture, overlay_picture, with_contours
from zsad_demo.engine import Engine
from zsad_demo.uploads import Upload
from zsad_demo.vocabulary import UnknownWord, vocabulary_facts

SHOWN_REGIONS = 20
"""Regions that the table shows."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """One visitor's image with its answer.

    Attributes:
        upload: The file.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        view: The image as the page shows it, [h, w, 3].
        view_map: The map at the view's size, [h, w] float32.
        overlay: The view under its map, [h, w, 3].
        answer: What the method says.
        noun: Object noun.
        passes: Passes through the backbone that this took.
        seconds: What the passes took.
        loads: Models that were loaded for it.
        unknown: Words that the backbone does not know.
    """

    upload: Upload
    height: int
    width: int
    view: Picture
    view_map: npt.NDArray[np.float32]
    overlay: Picture
    answer: Answer
    noun: str
    passes: int
    seconds: float
    loads: int
    unknown: tuple[UnknownWord, ...]

    @property
    def display(self) -> Display:
        """The fixed range of the map."""
        return self.answer.display

    def native_map(self) -> npt.NDArray[np.float32]:
        """Return the map at the image's own size, [H, W] float32."""
        return resized_map(self.answer.anomaly_map, self.height, self.width)

    def facts(self) -> dict[str, Any]:
        """Return the answer as plain data."""
        return answer_facts(self.answer) | {
            "image": self.upload.name,
            "object": self.noun,
            "image_height": self.height,
            "image_width": self.width,
            "backbone_passes": self.passes,
            "models_loaded": self.loads,
            **vocabulary_facts(self.unknown),
            "seconds_to_encode": round(self.seconds, 4),
        }


class Thresholded(NamedTuple):
    """What a threshold leaves of a view.

    Attributes:
        overlay: The overlay with the contours of the mask, [h, w, 3].
        mask: [h, w].
        regions: The highest peak first.
    """

    overlay: Picture
    mask: Mask
    regions: list[Region]


def resized_map(anomaly_map: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Return a map [h, w] at another size, [H, W] float32, bilinear."""
    return native_map(torch.from_numpy(anomaly_map), height, width)


def middle(display: Display) -> float:
    """Return the middle of a range: where a threshold starts that nobody has calibrated."""
    return (display.low + display.high) / 2


def inspect_image(engine: Engine, upload: Upload, noun: str, question: Question) -> Inspection:
    """Judge an uploaded image by one method.

    Raises:
        InputError: The image cannot be read, or the question does not fit.
    """
    before = engine.counts()
    with upload.opened() as image:
        answers = engine.ask([question], image, noun)
        height, width = image.shape[:2]
        view = fitted(image, VIEW_SIDE)
        del image
    (answer,) = answers.answers
    loads = engine.counts().loads - before.loads
    view_map = resized_map(answer.anomaly_map, *view.shape[:2])
    return Inspection(
        upload=upload,
        height=height,
        width=width,
        view=view,
        view_map=view_map,
        overlay=overlay_picture(view, view_map, answer.display),
        answer=answer,
        noun=noun,
        passes=answers.passes,
        seconds=answers.seconds,
        loads=loads,
        unknown=engine.unknown_words(question, noun),
    )


def answer_facts(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain data, without its map."""
    return {
        "score": answer.score,
        "score_from": list(answer.trace),
        "decision": decision(answer.score, None),
        "map_minimum": float(answer.anomaly_map.min()),
        "map_maximum": float(answer.anomaly_map.max()),
        "display_range": [answer.display.low, answer.display.high],
        **answer.info.plain(),
        "seconds_to_score": round(answer.seconds, 4),
    }


def thresholded(shown: Inspection, threshold: float) -> Thresholded:
    """Apply a threshold to the map; no model is asked.

    Args:
        shown: The inspected image.
        threshold: In the map's own values.
    """
    mask = mask_at(shown.view_map, threshold)
    return Thresholded(with_contours(shown.overlay, mask), mask, find_regions(mask, shown.view_map))


def write_files(shown: Inspection, threshold: float, folder: Path) -> list[Path]:
    """Write overlay, map, mask and facts at the image's own size.

    Args:
        shown: The inspected image.
        threshold: In the map's own values.
        folder: Where to.

    Returns:
        The files.

    Raises:
        InputError: The upload is no longer there.
    """
    if not shown.upload.path.is_file():
        raise InputError("the upload is no longer kept; send the image again")
    # A file name has at most 255 bytes, and letters have up to four.
    stem = Path(shown.upload.name).stem.encode()[:200].decode(errors="ignore") or "image"
    files = [folder / f"{stem}_{end}" for end in ("overlay.png", "map.npy", "mask.png", "result.json")]
    with shown.upload.opened() as image:
        anomaly_map = shown.native_map()
        mask = mask_at(anomaly_map, threshold)
        drawn = overlay_picture(image, anomaly_map, shown.display)
        del image
        write_png(files[0], with_contours(drawn, mask))
        del drawn
        write_npy(files[1], anomaly_map)
        write_png(files[2], mask_picture(mask))
        regions = [region.plain() for region in find_regions(mask, anomaly_map)]
    write_json(files[3], {**shown.facts(), "map_threshold": threshold, "regions": regions})
    return files


def region_rows(regions: list[Region]) -> list[list[str | int]]:
    """Return the rows of the table of regions: number, position, area, peak."""
    return [
        [number, region.position, f"{100 * region.area:.2f} %", f"{region.peak:.3f}"]
        for number, region in enumerate(regions[:SHOWN_REGIONS], start=1)
    ]
