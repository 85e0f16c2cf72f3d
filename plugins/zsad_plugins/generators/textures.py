"""Where foreign textures come from: drawn materials, or a folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from zsad.data.images import read_image
from zsad.data.resize import resize
from zsad.data.walk import find_images
from zsad.errors import InputError
from zsad.training.generators import Image
from zsad_plugins.drawn.procedural.canvas import Canvas, whole
from zsad_plugins.drawn.procedural.materials import hard, metal, soft
from zsad_plugins.drawn.procedural.scene import Surface
from zsad_plugins.drawn.procedural.source import drawing_hash

MATERIALS: tuple[Callable[[np.random.Generator, Canvas], Surface], ...] = (
    hard.wood,
    hard.marble,
    hard.terrazzo,
    hard.concrete,
    hard.asphalt,
    hard.baked,
    metal.brushed,
    metal.rolled,
    metal.ground,
    metal.cast,
    soft.leather,
    soft.skin,
    soft.carpet,
    soft.woven,
    soft.felt,
)
"""The drawn materials with a structure."""

_SMALLEST, _LARGEST = 32, 256


class Textures(Protocol):
    """Gives textures."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides them beside the random numbers."""

    def draw(self, random: np.random.Generator, shape: tuple[int, int]) -> Image:
        """Return a texture [H, W, 3] of that shape (H, W).

        Raises:
            InputError: Its file cannot be read.
        """


class DrawnTextures:
    """Textures of zsad's drawn materials, without light."""

    @property
    def fingerprint(self) -> str:
        """Hash of the drawing code and its libraries."""
        return drawing_hash()

    def draw(self, random: np.random.Generator, shape: tuple[int, int]) -> Image:
        """Return a texture [H, W, 3]; above 256 pixels it is drawn at that size and enlarged."""
        canvas = whole(min(max(*shape, _SMALLEST), _LARGEST))
        surface = MATERIALS[int(random.integers(len(MATERIALS)))](random, canvas)
        return _fitted(np.clip(np.rint(surface.albedo * 255), 0, 255).astype(np.uint8), shape)


class FolderTextures:
    """The images in a folder and below, each resized to what is wanted."""

    def __init__(self, folder: Path) -> None:
        """List the images.

        Raises:
            InputError: There is no such folder, or no image in it.
        """
        try:
            self._files = find_images(folder.expanduser()).images
        except InputError as error:
            raise InputError(f"option 'textures' of generator 'draem': {error}") from error

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the files' contents, in their order.

        Raises:
            InputError: A file cannot be read.
        """
        digest = hashlib.sha256()
        for file in self._files:
            try:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError as error:
                raise InputError(f"cannot read '{file}': {error.strerror or error}") from error
        return digest.hexdigest()

    def draw(self, random: np.random.Generator, shape: tuple[int, int]) -> Image:
        """Return a texture [H, W, 3].

        Raises:
            InputError: Its file cannot be read.
        """
        return _fitted(read_image(self._files[int(random.integers(len(self._files)))]), shape)


def _fitted(texture: Image, shape: tuple[int, int]) -> Image:
    if texture.shape[:2] == shape:
        return texture
    return resize(texture, *shape, "bilinear")
