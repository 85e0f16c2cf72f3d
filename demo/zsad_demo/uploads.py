"""Files that visitors send: what Gradio says of them, and the images in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from PIL import Image

from zsad.data.images import own_pixel_limit, read_image
from zsad.errors import InputError
from zsad_demo.drawing import Picture
from zsad_demo.pixels import MAX_PIXELS, ROOM
from zsad_demo.words import printable, shortened

MAX_FILE_SIZE = "50mb"
"""Largest upload, as Gradio writes it."""
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

    def pixels(self) -> int:
        """Return how many pixels the image takes by its header, or 0 where nothing can be read of it.

        Transparent ones count twice: to be put on white they take twice the memory.

        Raises:
            InputError: They are more than ``MAX_PIXELS``.
        """
        pixels, transparent = 0, False
        # What cannot be opened here is explained when it is read.
        with suppress(Exception), own_pixel_limit(), Image.open(self.path, formats=_FORMATS) as header:
            transparent = header.has_transparency_data
            pixels = header.width * header.height * (1 + transparent)
        if pixels > MAX_PIXELS:
            most, what = MAX_PIXELS // 10**6 // (1 + transparent), " with transparency" * transparent
            raise InputError(f"cannot read '{self.name}': it has more than {most} megapixels{what}")
        return pixels

    @contextmanager
    def opened(self) -> Iterator[Picture]:
        """Hold the image, [H, W, 3], and the room in memory that it takes.

        Raises:
            InputError: As :meth:`read`.
        """
        with ROOM.taken(self.pixels()):
            yield self.read()

    def read(self) -> Picture:
        """Return the image, [H, W, 3], without asking for room.

        Raises:
            InputError: As :func:`zsad.data.images.read_image`, under the visitor's name for the file, or more
                than ``MAX_PIXELS``.
        """
        self.pixels()
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
