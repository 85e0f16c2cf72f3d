"""Masks by a linear classifier that is fitted to one image, from what its map is surest of.

After TTT4AS (CVPR workshop 2024, arXiv 2404.03743), of which no official code was found. **inspired**: the
published linear SVM (C = 0.001, features as they are) is a ridge regression here, in closed form, on unit
features, with both classes of the same weight. The steps are those of the paper as others report them: local
maxima of the map above its 99th percentile and their neighbours are anomalous, 500 of the remaining pixels,
drawn at random, are taken for nominal.

A percentile finds such pixels in every image, so that a mask is asked for only where the image's verdict is
anomalous: ``anomalous`` says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.detect.regions import Map, Mask
from zsad.errors import InputError

QUANTILE = 0.99
NOMINAL = 500
PENALTY = 0.01
"""Of the weights' squared length, beside the mean squared error of unit features."""


def fitted_mask(
    anomaly_map: Map,
    features: Tensor,
    *,
    anomalous: bool,
    seed: int = 0,
    quantile: float = QUANTILE,
    nominal: int = NOMINAL,
    penalty: float = PENALTY,
) -> Mask:
    """Return the pixels that a classifier, fitted to the image itself, calls anomalous.

    A linear classifier commutes with bilinear interpolation, so that features are read at the fitted pixels
    alone, and its answer on the grid is what is enlarged.

    Args:
        anomaly_map: [H, W].
        features: [D, h, w], patch features of the image on a grid.
        anomalous: The image's verdict; a normal image has an empty mask.
        seed: Seed of the drawn pixels.
        quantile: Share of the map below which no pixel is surely anomalous.
        nominal: How many of the remaining pixels are taken for nominal.
        penalty: Of the classifier's weights.

    Returns:
        [H, W]: empty for a normal image or a constant map. Where one of the two sets of pixels is empty, what
        reaches the quantile.

    Raises:
        InputError: The map or the features are not finite, or a number is out of range.
    """
    if not 0 < quantile < 1 or nominal < 1 or not (penalty > 0 and np.isfinite(penalty)):
        raise InputError(
            "a mask by a classifier takes a quantile between 0 and 1, 1 or more nominal pixels and a penalty "
            f"above 0, not {quantile:g}, {nominal} and {penalty:g}"
        )
    if not (np.isfinite(anomaly_map).all() and bool(features.isfinite().all())):
        raise InputError("a mask by a classifier needs finite map values and features")
    empty = np.zeros(anomaly_map.shape, np.bool_)
    if not anomalous or anomaly_map.max() == anomaly_map.min():
        return empty
    level = np.quantile(anomaly_map, quantile)
    sure = sure_pixels(anomaly_map, float(level))
    drawn = _drawn(~sure, nominal, seed)
    if not sure.any() or not len(drawn):
        mask: Mask = anomaly_map >= level
        return mask
    places = np.concatenate([np.argwhere(sure), drawn])
    labels = torch.cat([torch.ones(int(sure.sum())), -torch.ones(len(drawn))])
    unit = F.normalize(features.detach().to("cpu", torch.float64), dim=0)
    weights, bias = _ridge(_read(unit, places, anomaly_map.shape), labels.double(), penalty)
    answer = torch.einsum("d,dhw->hw", weights, unit) + bias
    size = (anomaly_map.shape[0], anomaly_map.shape[1])
    whole = F.interpolate(answer[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    found: Mask = whole.numpy() > 0
    return found


def sure_pixels(anomaly_map: Map, level: float) -> Mask:
    """Return the local maxima [H, W] of a map that reach a level, each with its eight neighbours."""
    from scipy import ndimage

    peaks = (ndimage.maximum_filter(anomaly_map, 3) == anomaly_map) & (anomaly_map >= level)
    found: Mask = ndimage.binary_dilation(peaks, np.ones((3, 3), np.bool_))
    return found


def _drawn(left: Mask, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return rows and columns [n, 2] of at most so many pixels, drawn without replacement."""
    places = np.argwhere(left)
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    return places[np.sort(chosen)]


def _read(features: Tensor, places: npt.NDArray[np.intp], shape: tuple[int, ...]) -> Tensor:
    """Return features [D, h, w] at pixels (row, column) of a map of a shape: [n, D], bilinear."""
    shares = (torch.from_numpy(places).double() + 0.5) / torch.tensor(shape, dtype=torch.float64)
    grid = (2 * shares - 1).flip(1)[None, None]  # columns first
    read = F.grid_sample(features[None], grid, padding_mode="border", align_corners=False)
    return read[0, :, 0].T


def _ridge(rows: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weights [D] and bias that minimise the mean squared error to labels of -1 and 1.

    Both labels weigh a half, whatever their number; only the weights are penalised.
    """
    first = labels > 0
    shares = torch.where(first, 0.5 / first.sum().to(rows), 0.5 / (~first).sum().to(rows))
    centre = shares @ rows
    moved = rows - centre  # labels have the mean 0
    square = (moved * shares[:, None]).T @ moved
    square.diagonal().add_(penalty)
    weights = torch.linalg.solve(square, (moved * shares[:, None]).T @ labels)
    return weights, -(centre @ weights)
