"""Files that visitors send: what Gradio says of them, and the images in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from zsad.data.images import read_image
from zsad.errors import InputError
from zsad_demo.drawing import Picture

MAX_FILE_SIZE = "50mb"
"""Largest upload, as Gradio writes it."""


@dataclass(frozen=True)
class Upload:
    """A file of a visitor.

    Attributes:
        path: Where the server keeps it.
        name: What the visitor calls it; the only one that answers may show.
    """

    path: Path
    name: str

    @classmethod
    def of(cls, payload: Mapping[str, Any] | None) -> Upload:
        """Return what a file component holds, as its event gets it unprocessed.

        Raises:
            InputError: It holds nothing.
        """
        path = (payload or {}).get("path")
        if not payload or not path:
            raise InputError("no image was given: upload, paste or take one, or choose an example")
        return cls(Path(path), PurePath(payload.get("orig_name") or path).name)

    def read(self) -> Picture:
        """Return the image, [H, W, 3].

        Raises:
            InputError: As :func:`zsad.data.images.read_image`, under the visitor's name for the file.
        """
        try:
            return read_image(self.path)
        except InputError as error:
            raise InputError(without_path(str(error), self.path, self.name)) from error


def without_path(sentence: str, path: Path, name: str) -> str:
    """Put a visitor's name for a file in the place of the server's."""
    return sentence.replace(str(path), name)
