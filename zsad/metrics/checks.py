"""What metrics accept as scores and as labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.errors import ZsadError

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


def as_scores(values: npt.ArrayLike) -> Floats:
    """Return scores as float32 or float64, whichever holds them exactly.

    Raises:
        TypeError: If they are not real numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"scores have to be real numbers, not {array.dtype}")
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64, copy=False)


def as_float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return scores as float32; what lies beyond its range becomes infinite.

    Raises:
        TypeError: If they are not real numbers.
    """
    with np.errstate(over="ignore"):
        return as_scores(values).astype(np.float32, copy=False)


def as_labels(values: npt.ArrayLike) -> Bools:
    """Return labels or masks as bool: of whole numbers, all but 0 are anomalous.

    Raises:
        TypeError: If they are neither bool nor whole numbers; a threshold for others would be a guess.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biu":
        raise TypeError(f"labels and masks have to be bool or whole numbers, not {array.dtype}")
    return array.astype(np.bool_, copy=False)


def check_batch(scores: Floats, labels: Bools, dimensions: int, names: Sequence[str] | None = None) -> None:
    """Check that scores and labels belong together and that every score is a finite number.

    Args:
        scores: [B] or [B, H, W].
        labels: The same shape.
        dimensions: 1 or 3.
        names: The names of the B images, for the message.

    Raises:
        ValueError: If the shapes or the number of names do not fit.
        ZsadError: If a score is NaN or infinite: names the first such image.
    """
    if scores.shape != labels.shape or scores.ndim != dimensions:
        wanted = "[B, H, W]" if dimensions == 3 else "[B]"
        raise ValueError(
            f"scores and labels have to have one shape {wanted}, not {scores.shape} and {labels.shape}"
        )
    if names is not None and len(names) != len(scores):
        raise ValueError(f"{len(names)} names for {len(scores)} images")
    finite = np.isfinite(scores)
    if finite.all():
        return
    first = int(finite.reshape(len(finite), -1).all(axis=1).argmin())
    name = f"'{names[first]}'" if names is not None else f"item {first} (counted from 0)"
    raise ZsadError(
        f"the scores of {name} are not all finite numbers (NaN, infinity, or beyond float32), so no metric "
        "is defined; run with --dtype float32, or leave the image out"
    )
