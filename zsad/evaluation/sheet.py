"""One picture of a run's best cases, for people who will not open a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zsad.data.images import read_image
from zsad.evaluation.results import CasePictures
from zsad.evaluation.store import ResultStore
from zsad.files import write_png

FILE = "pictures.png"
COLUMNS = 2
GAP = 6


def write_sheet(folder: Path, method: str) -> Path:
    """Write the best cases of a method, a row of image, truth and overlay each, two cases side by side.

    Args:
        folder: Folder of an evaluation.
        method: Whose cases to show.

    Returns:
        The file.

    Raises:
        InputError: The folder holds no evaluation.
    """
    store = ResultStore(folder)
    _, cells = store.read_results()
    cases = [case for cell in cells if cell.method == method for case in cell.cases if case.kind == "best"]
    strips = [_strip(store, case.pictures) for case in cases]
    rows = [_side_by_side(strips[low : low + COLUMNS]) for low in range(0, len(strips), COLUMNS)]
    widest = max((row.shape[1] for row in rows), default=1)
    padded = [_padded(row, GAP, widest - row.shape[1]) for row in rows]
    sheet = np.concatenate(padded) if padded else np.full((1, 1, 3), 255, np.uint8)
    write_png(folder / FILE, sheet)
    return folder / FILE


def _strip(store: ResultStore, pictures: CasePictures) -> np.ndarray:
    shown = (pictures.image, pictures.truth, pictures.overlay)
    return _side_by_side([read_image(store.picture(name)) for name in shown])


def _side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([_padded(picture, 0, GAP) for picture in pictures], axis=1)


def _padded(picture: np.ndarray, below: int, beside: int) -> np.ndarray:
    return np.pad(picture, ((0, below), (0, beside), (0, 0)), constant_values=255)
