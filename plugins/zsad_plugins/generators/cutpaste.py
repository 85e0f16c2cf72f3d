"""CutPaste and its scar: pieces of an image, pasted elsewhere in it (Li et al., CVPR 2021)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as Pillow

from zsad.training.generators import Image, Mask
from zsad_plugins.generators.jitter import jittered
from zsad_plugins.generators.options import CutPasteOptions, ScarOptions
from zsad_plugins.generators.region import corner, finished, region_of

REFERENCE_SIDE = 256
"""Shorter side of the images that a scar's pixels refer to."""

_MARGIN = 2


class CutPaste:
    """Pastes a rectangle.

    Its share of the image is drawn evenly, and its aspect evenly from (a, 1) or, as often, (1, 1 / a); a side
    that would leave the image is cut to it, and the other one keeps the share.
    """

    def __init__(self, options: CutPasteOptions) -> None:
        self.options = options

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return image and mask; see :class:`zsad.training.generators.Generator`."""
        region = region_of(image, self.options.foreground)
        height, width = self._size(random, *region.shape)
        top, left = corner(random, np.ones_like(region), height, width)
        patch = jittered(random, image[top : top + height, left : left + width], self.options.jitter)
        top, left = corner(random, region, height, width)
        changed, mask = image.copy(), np.zeros_like(region)
        changed[top : top + height, left : left + width] = patch
        mask[top : top + height, left : left + width] = True
        return finished(image, changed, mask & region)

    def _size(self, random: np.random.Generator, rows: int, columns: int) -> tuple[int, int]:
        low, high = (share * rows * columns for share in self.options.area)
        area, slim = random.uniform(low, high), self.options.aspect
        aspect = random.uniform(slim, 1) if random.random() < 0.5 else random.uniform(1, 1 / slim)
        height = min(max(round(math.sqrt(area / aspect)), 1), rows)
        # Rounded so that the share stays within its bounds, where whole pixels can do that.
        width = min(max(round(area / height), math.ceil(low / height)), max(1, int(high / height)))
        return height, min(width, columns)


class Scar:
    """Pastes a thin strip, turned by up to some angle."""

    def __init__(self, options: ScarOptions) -> None:
        self.options = options

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return image and mask; see :class:`zsad.training.generators.Generator`."""
        region = region_of(image, self.options.foreground)
        strip, cover = self._strip(image, random)
        height, width = cover.shape
        top, left = corner(random, region, height, width)
        changed, mask = image.copy(), np.zeros_like(region)
        changed[top : top + height, left : left + width] = strip
        mask[top : top + height, left : left + width] = cover
        return finished(image, changed, mask & region)

    def _strip(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return the smallest rectangle around the turned strip, and where the strip lies in it."""
        rows, columns = image.shape[:2]
        scale = min(rows, columns) / REFERENCE_SIDE
        width = min(max(1, round(random.uniform(*self.options.width) * scale)), columns)
        height = min(max(1, round(random.uniform(*self.options.length) * scale)), rows)
        top, left = int(random.integers(rows - height + 1)), int(random.integers(columns - width + 1))
        patch = jittered(random, image[top : top + height, left : left + width], self.options.jitter)
        angle = float(random.uniform(-self.options.rotation, self.options.rotation))
        # With a margin of its own colours, so that turning mixes no black into its edges.
        padded = np.pad(patch, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
        inside = np.zeros(padded.shape[:2], np.uint8)
        inside[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = 255
        turned = Pillow.fromarray(padded).rotate(angle, Pillow.Resampling.BILINEAR, expand=True)
        cover = (
            np.asarray(Pillow.fromarray(inside).rotate(angle, Pillow.Resampling.BILINEAR, expand=True)) > 127
        )
        return _trimmed(np.asarray(turned), cover, rows, columns)


def _trimmed(strip: Image, cover: Mask, rows: int, columns: int) -> tuple[Image, Mask]:
    """Cut a strip to where it covers anything, and to the image's size."""
    down, across = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    if not len(down):  # a strip of one pixel may fall between the pixels it is turned to
        middle = tuple(side // 2 for side in cover.shape)
        return strip[middle][None, None], np.ones((1, 1), np.bool_)
    window = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
    return strip[window][:rows, :columns], cover[window][:rows, :columns]
