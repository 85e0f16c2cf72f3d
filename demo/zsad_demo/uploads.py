"""Files that visitors send: what Gradio says of them, and the images in them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from PIL import Image

from zsad.data.images import own_pixel_limit, read_image
from zsad.errors import InputError
from zsad_demo.drawing import Picture
from zsad_demo.words import printable, shortened

MAX_FILE_SIZE = "50mb"
"""Largest upload, as Gradio writes it."""
MAX_PIXELS = 100_000_000
"""Largest image: beyond it, what strangers send would take gigabytes of memory."""
MAX_NAME = 200
"""Longest name that is shown, in characters."""
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")


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
    def of(cls, payload: object) -> Upload:
        """Return what a file component holds, as its event gets it unprocessed.

        Raises:
            InputError: It holds nothing, or no file.
        """
        if payload and not isinstance(payload, Mapping):
            raise InputError(f"an uploaded file has to be given, not {shortened(payload)}")
        path = payload.get("path") if isinstance(payload, Mapping) else None
        if not path:
            raise InputError("no image was given: upload, paste or take one, or choose an example")
        name = payload.get("orig_name") if isinstance(payload, Mapping) else None
        return cls(Path(path), shown_name(PurePath(name if isinstance(name, str) and name else path).name))

    def read(self) -> Picture:
        """Return the image, [H, W, 3].

        Raises:
            InputError: As :func:`zsad.data.images.read_image`, under the visitor's name for the file, or more
                than ``MAX_PIXELS``.
        """
        pixels = 0
        # What cannot be opened here is explained below.
        with suppress(Exception), own_pixel_limit(), Image.open(self.path, formats=_FORMATS) as header:
            pixels = header.width * header.height
        if pixels > MAX_PIXELS:
            raise InputError(f"cannot read '{self.name}': it has more than {MAX_PIXELS // 10**6} megapixels")
        try:
            return read_image(self.path)
        except InputError as error:
            raise InputError(without_path(str(error), self.path, self.name)) from error


def shown_name(name: str) -> str:
    """Return a name on one line, and of a length that fits a page and a table."""
    name = printable(name)
    half = MAX_NAME // 2
    return name if len(name) <= MAX_NAME else f"{name[: half - 1]}…{name[-half:]}"


def without_path(sentence: str, path: Path, name: str) -> str:
    """Put a visitor's name for a file in the place of the server's."""
    return sentence.replace(str(path), name)
