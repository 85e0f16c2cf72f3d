"""Losses of maps as the authors' code has them, one image and one place after the other, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]


def array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy()


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def softmax(logits: Array, axis: int) -> Array:
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def logits(tokens: Tensor, text: Tensor, temperature: float) -> Array:
    """Return an image's logits on the grid, [2, h, h], from tokens [N, C] and text features [2, C]."""
    found = unit(array(tokens)) @ array(text).T / temperature
    side = math.isqrt(len(found))
    return np.asarray(found.T.reshape(2, side, side))


def enlarged(plane: Array, side: int, how: str) -> Array:
    """Enlarge [K, h, h] to [K, side, side], pixel by pixel."""
    size = plane.shape[1]
    result = np.zeros((len(plane), side, side))
    for row, column in np.ndindex(side, side):
        if how == "nearest":
            result[:, row, column] = plane[:, row * size // side, column * size // side]
            continue
        places = []
        for pixel in (row, column):
            if how == "bilinear_aligned":
                place = pixel * (size - 1) / (side - 1)
            else:
                place = min(max((pixel + 0.5) * size / side - 0.5, 0), size - 1)
            low = min(int(place), size - 2)
            places.append((low, place - low))
        (top, down), (left, right) = places
        upper = (1 - right) * plane[:, top, left] + right * plane[:, top, left + 1]
        lower = (1 - right) * plane[:, top + 1, left] + right * plane[:, top + 1, left + 1]
        result[:, row, column] = (1 - down) * upper + down * lower
    return result


def focal(probabilities: Array, mask: Array) -> float:
    """Return -(1 - p)^2 log p, p of the truth, averaged; probabilities [2, ...], mask [...]."""
    terms = []
    for place in np.ndindex(mask.shape):
        chance = 1e-5
        for state in (0, 1):
            hot = 1 - 1e-5 if int(mask[place]) == state else 1e-5
            chance += hot * probabilities[(state, *place)]
        terms.append(-((1 - chance) ** 2) * math.log(chance))
    return sum(terms) / len(terms)


def dice(probability: Array, mask: Array) -> float:
    """Return 1 - (2 sum(p m) + 1) / (sum p + sum m + 1) over the places of one image, or one row."""
    overlap = sum(float(p) * float(m) for p, m in zip(probability.flat, mask.flat, strict=True))
    return 1 - (2 * overlap + 1) / (float(probability.sum()) + float(mask.sum()) + 1)


def cross_entropy(pair: Array, label: bool) -> float:
    """Return the cross entropy of two logits [2]."""
    return -math.log(float(softmax(pair, 0)[int(label)]))


def map_losses(
    first: Any, *, temperature: float, softmax_first: bool, how: str, both: bool
) -> tuple[float, float]:
    """Return focal and dice, summed over a first step's token sets and averaged over its images."""
    text, masks = first.conditioning.text_features, array(first.batch.masks)
    count, side = len(masks), masks.shape[-1]
    totals = [0.0, 0.0]
    for entry in first.adapted.token_sets:
        for image in range(count):
            plane = logits(entry.tokens[image], text[image], temperature)
            if softmax_first:
                maps = enlarged(softmax(plane, 0), side, how)
            else:
                maps = softmax(enlarged(plane, side, how), 0)
            totals[0] += focal(maps, masks[image]) / count
            totals[1] += dice(maps[1], masks[image]) / count
            if both:
                totals[1] += dice(maps[0], 1 - masks[image]) / count
    return totals[0], totals[1]
