"""zsad's drawn defects, painted on a photograph.

The photograph becomes the surface of a scene: its pixels are colours, its relief is flat and matt. Under an
even light such a scene looks exactly like the photograph; a defect changes colours and relief, and the light
falls on that. What differs between the two pictures is added to the photograph.
"""

from __future__ import annotations

import math

import numpy as np

from zsad.data.resize import resize
from zsad.errors import ZsadError
from zsad.training.generators import Image, Mask
from zsad_plugins.drawn.options import PaintedDefectsOptions
from zsad_plugins.drawn.procedural.camera import Camera, photograph
from zsad_plugins.drawn.procedural.canvas import Field, whole
from zsad_plugins.drawn.procedural.damage import VISIBLE, damage
from zsad_plugins.drawn.procedural.scene import Scene
from zsad_plugins.drawn.procedural.source import drawing_hash
from zsad_plugins.generators.region import region_of

_SMALLEST = 32
_GREY = 3


class PaintedDefects:
    """Paints one of zsad's drawn defects; soft ends of it, fainter than can be seen, lie outside the mask."""

    def __init__(self, options: PaintedDefectsOptions) -> None:
        self.options = options

    @property
    def fingerprint(self) -> str:
        """Hash of the drawing code and its libraries."""
        return drawing_hash()

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return image and mask; see :class:`zsad.training.generators.Generator`."""
        region = region_of(image, self.options.foreground)
        scene, window = self._scene(image, region)
        camera = _even_camera(random, scene.canvas.size)
        clean = photograph(scene, camera)
        defect = self.options.defects[int(random.integers(len(self.options.defects)))]
        seed = np.random.SeedSequence(int(random.integers(2**63)))
        try:
            found = damage(scene, clean, camera, defect, seed)
        except ZsadError:  # nothing can be seen on some surfaces, such as a pure black one
            return image.copy(), np.zeros_like(region)
        change = np.ascontiguousarray((found.picture - clean)[window].transpose(2, 0, 1))
        change = np.stack([_resized(channel, region.shape) for channel in change], axis=-1)
        mask = _resized(found.mask[window].astype(np.float32), region.shape) > 0.5
        mask |= np.abs(change).max(axis=-1) > VISIBLE  # enlarging spreads what has a sharp edge
        mask &= region
        if not mask.any():
            return image.copy(), mask
        changed = image + np.rint(change * 255) * region[..., None]
        return np.clip(changed, 0, 255).astype(np.uint8), mask

    def _scene(self, image: Image, region: Mask) -> tuple[Scene, tuple[slice, slice]]:
        """Return the photograph as a square scene, and where it lies in it."""
        longest = max(image.shape[:2])
        size = min(max(longest, _SMALLEST), self.options.resolution)
        height, width = (max(1, round(side * size / longest)) for side in image.shape[:2])
        small = resize(image, height, width, "box")
        above, before = (size - height) // 2, (size - width) // 2
        margins = (above, size - height - above), (before, size - width - before)
        albedo = np.pad(small.astype(np.float32) / 255, (*margins, (0, 0)), mode="edge")
        inside = np.pad(_resized(region.astype(np.float32), (height, width)), margins)
        flat = np.zeros((size, size), np.float32)
        grey = int(np.ptp(image, axis=-1).max()) <= _GREY
        scene = Scene(whole(size), albedo, flat, flat.copy(), inside, grey=grey)
        return scene, (slice(above, above + height), slice(before, before + width))


def _even_camera(random: np.random.Generator, size: int) -> Camera:
    """Return a camera that reproduces the colours of a flat, matt scene; the light's direction is drawn."""
    azimuth, elevation = random.uniform(0, 2 * math.pi), random.uniform(0.55, 1.3)
    across, up = math.cos(elevation), math.sin(elevation)
    return Camera(
        light=(math.cos(azimuth) * across, math.sin(azimuth) * across, up),
        ambient=0.45,
        illumination=np.ones((size, size), np.float32),
        balance=np.ones(3, np.float32),
        exposure=1.0,
        contrast=1.0,
        highlight=0.4,
        sharpness=4,
        nearness=0.2,
        softness=0.0,
        passes=0,
        noise=0.0,
        coloured_noise=False,
        block_step=0.0,
        seed=0,
    )


def _resized(field: Field, shape: tuple[int, ...]) -> Field:
    """Return a map [h, w] at another size."""
    if field.shape == shape:
        return field
    return resize(field.astype(np.float32), shape[0], shape[1], "bilinear")
