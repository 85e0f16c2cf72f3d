"""Gradio's Blocks with what the guard has to know from within: files, sessions, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
from gradio.utils import get_upload_folder

from zsad_demo import folders
from zsad_demo.errors import page_error
from zsad_demo.guard.disk import Disk
from zsad_demo.guard.log import failed
from zsad_demo.guard.sessions import Sessions, places_of
from zsad_demo.guard.visitors import visitor, visitor_of

_OTHER_FORM = "the inputs do not have the form that this endpoint documents"


class GuardedBlocks(gr.Blocks):
    """Blocks whose events take files only from uploads, and count under the visitor who causes them.

    Gradio fetches an address in the place of a file, and looks at a path only where the visitor was so kind
    as to mark it as one: neither may lead out of the folder of uploads.

    Attributes:
        sessions: Of all visitors, once the app is served.
        disk: The folder of uploads and made files, once the app is served.
    """

    sessions: Sessions | None = None
    disk: Disk | None = None

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run an event in its visitor's name; whatever goes wrong becomes a sentence.

        Raises:
            gr.Error: In the place of what was raised.
        """
        request = kwargs.get("request")
        who = visitor_of(getattr(request, "client", None))
        visitor.set(who)
        folders.disk.set(self.disk)
        if self.sessions is not None and kwargs.get("session_hash"):
            self.sessions.claim(kwargs["session_hash"], who)
        try:
            return await super().process_api(block_fn, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:  # of Gradio: callbacks turn their own into sentences
            failed("an event failed", error)
            raise page_error(_OTHER_FORM) from None
        finally:
            if self.disk is not None and getattr(block_fn, "queue", False):
                await anyio.to_thread.run_sync(self.disk.make_room, who)

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Refuse files from elsewhere, then go on as any Blocks.

        Raises:
            gr.Error: There is one, or the data has another form than the event's inputs.
        """
        if not only_uploads(inputs, Path(get_upload_folder()).resolve()):
            raise page_error("only uploaded files are taken, no addresses and no other paths")
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except ValueError as error:  # of pydantic, or a number of inputs that is not the event's
            raise page_error(_OTHER_FORM) from error

    def places(self, who: str) -> int:
        """Return how many places in the queue a visitor has."""
        return places_of(self._queue, who)


def only_uploads(value: Any, folder: Path) -> bool:
    """Whether every file that an event's data names, however deep, lies in the folder of uploads.

    Args:
        value: The data.
        folder: The folder, without links.
    """
    if isinstance(value, Mapping):
        path = value.get("path")
        return (path is None or _lies_in(path, folder)) and all(
            only_uploads(inner, folder) for inner in value.values()
        )
    return not isinstance(value, list | tuple) or all(only_uploads(inner, folder) for inner in value)


def _lies_in(path: Any, folder: Path) -> bool:
    try:
        return "://" not in path and Path(path).resolve().is_relative_to(folder)
    except (TypeError, ValueError, OSError, RuntimeError):  # no text, a null character, a loop of links
        return False
