"""States as files."""

from __future__ import annotations

import os
import zipfile
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError
from zsad.files import atomic_write

FORMAT = 1


class StoredState(NamedTuple):
    """What a file of a state holds.

    Attributes:
        level: ``"image"`` or ``"pixel"``.
        normal: float32 [N] scores.
        anomalous: float32 [P] scores.
        areas: int64 [P] areas of the regions, empty for images.
        regions: Number of regions.
    """

    level: str
    normal: npt.NDArray[np.float32]
    anomalous: npt.NDArray[np.float32]
    areas: npt.NDArray[np.int64]
    regions: int


def write_state(path: str | os.PathLike[str], state: StoredState) -> None:
    """Write a state as ``.npz``, atomically.

    Raises:
        ZsadError: As ``atomic_write``.
    """
    # Numbers and one text: nothing that numpy would pickle. Before 2.1, savez has no option to forbid it.
    arrays = {**state._asdict(), "format": FORMAT}
    atomic_write(path, lambda stream: np.savez(stream, **arrays))


def read_state(path: str | os.PathLike[str], level: str) -> StoredState:
    """Read a state of one level.

    Raises:
        InputError: If the file is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            version = int(archive["format"])
            state = StoredState(
                level=str(archive["level"]),
                normal=archive["normal"],
                anomalous=archive["anomalous"],
                areas=archive["areas"],
                regions=int(archive["regions"]),
            )
    except FileNotFoundError:
        raise InputError(f"there is no metric state '{path}'") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is not a metric state; compute it anew") from error
    if version != FORMAT:
        raise InputError(f"'{path}' was written by another version of zsad; compute it anew")
    if state.level != level:
        raise InputError(f"'{path}' holds a state of level '{state.level}', not '{level}'")
    if not _is_sound(state):
        raise InputError(f"'{path}' is a damaged metric state; compute it anew")
    return state


def _is_sound(state: StoredState) -> bool:
    arrays = (state.normal, state.anomalous, state.areas)
    if [array.dtype for array in arrays] != [np.float32, np.float32, np.int64]:
        return False
    if any(array.ndim != 1 for array in arrays):
        return False
    finite = bool(np.isfinite(state.normal).all() and np.isfinite(state.anomalous).all())
    pixels = state.anomalous.size if state.level == "pixel" else 0
    complete = state.areas.size == pixels and (state.regions > 0) == (pixels > 0)
    return finite and complete and bool((state.areas > 0).all())
