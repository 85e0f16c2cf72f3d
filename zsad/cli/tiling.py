"""The options by which commands cut images into tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.detect.tiles import Tiling

TileOption = Annotated[
    int | None,
    typer.Option(
        "--tile",
        help="Cut images into square tiles of this side in pixels, for defects that are small beside the "
        "image.",
        metavar="N",
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(
        "--overlap",
        help="Share of a tile's side that neighbours have in common; by default 0.25.",
        show_default=False,
    ),
]


def tiling_of(tile: int | None, overlap: float | None) -> Tiling | None:
    """Return how images are cut, or None.

    Raises:
        InputError: An overlap without tiles, or values that do not go together.
    """
    from zsad.detect.tiles import Tiling

    if overlap is not None and tile is None:
        raise InputError("--overlap says how tiles overlap; give --tile N too")
    return None if tile is None else Tiling(tile, 0.25 if overlap is None else overlap)
