"""Pictures of anomaly maps, on a colour scale that the caller fixes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError

# 17 equidistant colours of Matplotlib's "inferno" (CC0, see NOTICE): lightness grows evenly with the value.
_INFERNO = (
    (0, 0, 4),
    (11, 7, 36),
    (33, 12, 74),
    (61, 9, 101),
    (87, 16, 110),
    (113, 25, 110),
    (138, 34, 106),
    (163, 44, 97),
    (188, 55, 84),
    (210, 70, 68),
    (228, 90, 49),
    (241, 115, 29),
    (249, 142, 9),
    (252, 172, 17),
    (249, 203, 53),
    (242, 234, 105),
    (252, 255, 164),
)
_STRONGEST = 0.75


def colours(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Colour values on the scale 0..1; values outside take the colour of the nearer end.

    Args:
        values: [...], without NaN.

    Returns:
        [..., 3] RGB in 0..255.
    """
    table = np.asarray(_INFERNO, dtype=np.float32)
    position = np.clip(values, 0.0, 1.0).astype(np.float32) * np.float32(len(table) - 1)
    left = np.minimum(position.astype(np.intp), len(table) - 2)
    part = (position - left)[..., None].astype(np.float32)
    mixed: npt.NDArray[np.float32] = table[left] * (1 - part) + table[left + 1] * part
    return mixed


def overlay(
    image: npt.NDArray[np.uint8], anomaly_map: npt.NDArray[np.floating[Any]], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Lay an anomaly map over its image.

    The scale is the caller's and never the image's own, so that pictures of one run can be compared. At
    ``low`` and below the image shows as it is; the colour gets stronger up to ``high``.

    Args:
        image: [H, W, 3].
        anomaly_map: [H, W]; infinite values count as beyond the scale.
        low: Value of the lowest colour.
        high: Value of the highest colour.

    Returns:
        [H, W, 3].

    Raises:
        InputError: If the sizes differ, the map has NaN, or ``low`` and ``high`` are no finite rising scale.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"an RGB image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if anomaly_map.shape != image.shape[:2]:
        raise InputError(
            f"the anomaly map {list(anomaly_map.shape)} and the image {list(image.shape[:2])} differ in size"
        )
    if not (math.isfinite(high - low) and low < high):
        raise InputError(f"the colour scale must go from a lower to a higher value, not from {low} to {high}")
    if np.isnan(anomaly_map).any():
        raise InputError("the anomaly map has NaN values")
    value = np.clip((anomaly_map.astype(np.float64) - low) / (high - low), 0.0, 1.0).astype(np.float32)
    weight = (_STRONGEST * value)[..., None]
    mixed = image.astype(np.float32) * (1 - weight) + colours(value) * weight
    blended: npt.NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return blended
