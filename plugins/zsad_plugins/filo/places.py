"""Where boxes lie: the centre of the best one, its cell of nine, and the pixels inside of them.

A table of boxes is [k, 6] float32: left, top, right, bottom in pixels, score, accepted (1) or not (0). Rows
that stand for no box are zero. Boxes that are not accepted keep their centre and size as shares of the image,
as in the published code.
"""

from __future__ import annotations

import torch
from torch import Tensor

CELLS = 9
COLUMNS = 6
BOX, SCORE, ACCEPTED = slice(0, 4), 4, 5
PUBLISHED_SIDE = 518
RANGES = ((0, 172), (173, 344), (345, 517))
"""The published cells on an image of 518 pixels, both ends included."""


def centre(table: Tensor, scores: str) -> tuple[float, float] | None:
    """Return the centre (x, y) of the accepted box with the highest score, or None without one.

    Args:
        table: Boxes of an image, [k, 6] on the CPU.
        scores: ``cut`` compares the first four characters of scores, and the last of equal ones wins;
            ``full`` compares all of them, and the first wins.
    """
    accepted = table[table[:, ACCEPTED] > 0]
    if not len(accepted):
        return None
    values = accepted[:, SCORE].tolist()
    if scores == "cut":
        values = [float(str(value)[:4]) for value in values]
        best = max(range(len(values)), key=lambda row: (values[row], row))
    else:
        best = max(range(len(values)), key=values.__getitem__)
    left, top, right, bottom = accepted[best, BOX]
    return float((left + right) / 2), float((top + bottom) / 2)


def cell(point: tuple[float, float], size: tuple[int, int], cells: str) -> int | None:
    """Return the cell of a point, row by row from 0 to 8.

    Args:
        point: (x, y) in pixels.
        size: Height and width of the image in pixels.
        cells: ``integer`` is published: closed ranges with gaps between them, None in a gap or outside.
            ``thirds`` cuts the image in three, and points outside belong to the nearest cell.
    """
    height, width = size
    along = tuple(zip(point, (width, height), strict=True))
    if cells == "thirds":
        column, row = (min(max(int(3 * value / side), 0), 2) for value, side in along)
        return 3 * row + column
    columns, rows = (
        [
            place
            for place, (low, high) in enumerate(RANGES)
            if low * (side / PUBLISHED_SIDE) <= value <= high * (side / PUBLISHED_SIDE)
        ]
        for value, side in along
    )
    return 3 * rows[0] + columns[0] if rows and columns else None


def inside(table: Tensor, size: tuple[int, int], edges: str) -> Tensor:
    """Return which pixels lie in boxes: [H, W] bool.

    Args:
        table: Boxes of an image, [k, 6].
        size: Height and width of the image in pixels.
        edges: ``wrapped`` takes all corners, cut towards zero, as array slices: negative ones count from the
            far end. ``clipped`` takes those of accepted boxes, cut at the image's edge.
    """
    mask = torch.zeros(size, dtype=torch.bool, device=table.device)
    if edges == "clipped":
        table = table[table[:, ACCEPTED] > 0].clamp(min=0)
    for left, top, right, bottom in (list(map(int, row)) for row in table[:, BOX].tolist()):
        mask[top:bottom, left:right] = True
    return mask
