"""Natural synthetic anomalies: patches blended in without a seam (Schlueter et al., ECCV 2022).

The published method takes its patches from another image of the set. A generator sees one image, so they come
from elsewhere in the same one, as the method's own code offers, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from zsad.data.resize import resize
from zsad.training.generators import Image, Mask
from zsad_plugins.generators.options import SeamlessPatchesOptions
from zsad_plugins.generators.region import corner, finished, region_of

_MEDIAN = 5


class SeamlessPatches:
    """Blends one or several resized patches of an image into other places of it."""

    def __init__(self, options: SeamlessPatchesOptions) -> None:
        self.options = options

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return image and mask; see :class:`zsad.training.generators.Generator`."""
        region = region_of(image, self.options.foreground)
        changed = image.copy()
        if min(image.shape[:2]) < 3:  # no pixel has neighbours on all sides
            return changed, np.zeros_like(region)
        for _ in range(int(random.integers(1, self.options.patches + 1))):
            self._blend(image, changed, region, random)
        change = np.abs(changed.astype(np.int16) - image).mean(axis=-1)
        mask = ndimage.median_filter(change > self.options.tolerance, _MEDIAN)
        return finished(image, changed, mask & region)

    def _blend(self, image: Image, changed: Image, region: Mask, random: np.random.Generator) -> None:
        rows, columns = region.shape
        low, high = self.options.side
        height, width = (min(max(3, round(random.uniform(low, high) * side)), side) for side in region.shape)
        factor = random.uniform(*self.options.resize)
        cut_height, cut_width = (
            min(max(1, round(length / factor)), side)
            for length, side in zip((height, width), (rows, columns), strict=True)
        )
        top, left = corner(random, np.ones_like(region), cut_height, cut_width)
        cut = image[top : top + cut_height, left : left + cut_width]
        patch = resize(cut, height, width, "bilinear")
        top, left = corner(random, region, height, width)
        place = changed[top : top + height, left : left + width]
        place[:] = np.clip(np.rint(seamless(patch, place)), 0, 255)


def seamless(patch: npt.NDArray[Any], place: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return what has the border of ``place`` and, inside, the gradients of ``patch`` (Perez et al., 2003).

    With g the patch, the result is g + h, where h vanishes under the discrete Laplacian inside and equals
    place - g on the border. On a rectangle the sine transform solves this exactly.

    Args:
        patch: [h, w, channels], at least 3 x 3 pixels.
        place: [h, w, channels].

    Returns:
        [h, w, channels], not clipped.
    """
    result = place.astype(np.float64) - patch
    inside = np.zeros_like(result[1:-1, 1:-1])
    inside[0] += result[0, 1:-1]
    inside[-1] += result[-1, 1:-1]
    inside[:, 0] += result[1:-1, 0]
    inside[:, -1] += result[1:-1, -1]
    down, across = (2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) for n in inside.shape[:2])
    waves = fft.dstn(inside, type=1, axes=(0, 1)) / (down[:, None] + across[None, :])[..., None]
    result[1:-1, 1:-1] = fft.idstn(waves, type=1, axes=(0, 1))
    blended: npt.NDArray[np.float64] = result + patch
    return blended
