"""The files of one image's answer: picture, map, mask, and the regions that a threshold leaves of the map."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.data.pictures import captioned, overlay, overlay_above
from zsad.detect.explanations import measured
from zsad.detect.output_names import OutputNames
from zsad.detect.predictions import FailedImage, ImageResult
from zsad.detect.regions import find_regions, mask_at
from zsad.detect.wanted_files import WantedFiles
from zsad.errors import InputError
from zsad.files import write_npy, write_png
from zsad.recipe.recipes import Display

WAITING = 8
"""Results that may wait for their files to be written."""

Written = tuple[ImageResult, dict[str, Any]] | FailedImage


class ResultFiles:
    """Writes the files of a run's answers.

    Attributes:
        wanted: Which ones.
    """

    def __init__(self, names: OutputNames, display: Display, wanted: WantedFiles) -> None:
        """Hold what the files are made of.

        Args:
            names: Names of the files.
            display: Range of the method's map, for the picture.
            wanted: Which ones.
        """
        self.wanted = wanted
        self._names, self._display = names, display

    def write(self, result: ImageResult) -> dict[str, Any]:
        """Write what is wanted; return the answer as plain data, with the paths of its files.

        Raises:
            InputError: The image had to be read again, and cannot be.
            ZsadError: The folder cannot be written to.
        """
        base, wanted = self._names.folder / self._names.base(result.path), self.wanted
        files = {"overlay": f"{base}_overlay.png", "map": f"{base}_map.npy", "mask": f"{base}_mask.png"}
        answer: dict[str, Any] = {"path": str(result.path), "score": result.score}
        if wanted.overlays:
            write_png(files["overlay"], self._picture(result))
            answer["overlay"] = files["overlay"]
        if wanted.maps:
            write_npy(files["map"], result.anomaly_map)
            answer["map"] = files["map"]
        if wanted.pixel is not None:
            mask = mask_at(result.anomaly_map, wanted.pixel.threshold)
            told = result.explanation
            regions = told.regions if told else measured(find_regions(mask, result.anomaly_map), wanted.pixel)
            answer["regions"] = [region.plain() for region in regions]
            if told is not None:
                answer["explanation"] = told.sentence
            if wanted.masks:
                write_png(files["mask"], np.where(mask, np.uint8(255), np.uint8(0)))
                answer["mask"] = files["mask"]
        answer["content"] = result.content
        return answer

    def _picture(self, result: ImageResult) -> npt.NDArray[np.uint8]:
        """Return the image with its map: on the method's fixed scale, or above a threshold that has one."""
        level = self.wanted.pixel
        if level is None or level.scale is None:
            picture = overlay(result.image(), result.anomaly_map, self._display.low, self._display.high)
        else:
            picture = overlay_above(result.image(), result.anomaly_map, level.threshold, level.scale)
        return captioned(picture, result.explanation.sentence) if result.explanation else picture

    def written(self, results: Iterable[ImageResult | FailedImage]) -> Iterator[Written]:
        """Write results while the next ones are computed; yield each, in order, once its files are there.

        Args:
            results: From :func:`zsad.detect.predictions.predict_files`.

        Raises:
            ZsadError: The folder cannot be written to.
        """

        def write(result: ImageResult | FailedImage) -> Written:
            if isinstance(result, FailedImage):
                return result
            try:
                return result, self.write(result)
            except InputError as error:  # it had to be read again
                return FailedImage(result.path, str(error))

        with ThreadPoolExecutor(1) as writer:  # one thread, so that results come in their order
            pending: deque[Future[Written]] = deque()
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
