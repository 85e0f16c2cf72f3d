"""Room for decoded images: so many megapixels at once, whoever sends them and by whichever way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

MAX_PIXELS = 100_000_000
"""Most pixels in memory at once, and so the largest image: a decoded one takes gigabytes of it on the way."""
BLOCK = 64 << 20
"""Bytes that Pillow asks for at a time.

What is larger than 32 MiB glibc maps by itself and gives back at once. Pillow's own blocks of 16 MiB stay
with the thread that read the image, and every thread of a server had its own hundreds of megabytes.
"""
Image.core.set_block_size(BLOCK)  # type: ignore[attr-defined]


class Room:
    """Holds back who would decode more than there is room for; they get in one after the other. Thread-safe.

    Attributes:
        limit: Most pixels at once. What is larger by itself gets in alone.
        held: Pixels that are in memory now.
    """

    def __init__(self, limit: int = MAX_PIXELS) -> None:
        self.limit, self.held = limit, 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for an image, and hold it.

        Args:
            pixels: Of the image.
        """
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + pixels <= self.limit)
            self.held += pixels
        try:
            yield
        finally:
            with self._changed:
                self.held -= pixels
                self._changed.notify_all()


ROOM = Room()
"""The one of this process."""
