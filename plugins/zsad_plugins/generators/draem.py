"""DRAEM's anomalies: a foreign texture where Perlin noise is high (Zavrtanik et al., ICCV 2021)."""

from __future__ import annotations

import numpy as np

from zsad.training.generators import Image, Mask
from zsad_plugins.generators.augmentations import augmented
from zsad_plugins.generators.options import DraemOptions
from zsad_plugins.generators.perlin import perlin_mask
from zsad_plugins.generators.region import finished, region_of
from zsad_plugins.generators.textures import DrawnTextures, FolderTextures, Textures


class Draem:
    """Mixes a texture A into an image I inside a mask M: (1 - beta) A + beta I, beta drawn evenly."""

    def __init__(self, options: DraemOptions) -> None:
        """Find the textures.

        Raises:
            InputError: The folder of textures does not exist or holds no image.
        """
        self.options = options
        self._textures: Textures = (
            DrawnTextures() if options.textures is None else FolderTextures(options.textures)
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the textures.

        Raises:
            InputError: A file cannot be read.
        """
        return self._textures.fingerprint

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return image and mask; see :class:`zsad.training.generators.Generator`.

        Raises:
            InputError: The file of a texture cannot be read.
        """
        options, shape = self.options, (image.shape[0], image.shape[1])
        mask = perlin_mask(random, shape, options.octaves, options.threshold)
        mask &= region_of(image, options.foreground)
        if not mask.any():
            return image.copy(), mask
        texture = augmented(random, self._textures.draw(random, shape), options.augmentations)
        beta = random.uniform(*options.opacity)
        mixed = np.clip(np.rint((1 - beta) * texture + beta * image), 0, 255).astype(np.uint8)
        return finished(image, mixed, mask)
