"""Where files for visitors are made: folders of their own inside the one that Gradio serves from."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from pathlib import Path

from gradio.utils import get_upload_folder

from zsad_demo.guard.disk import Disk
from zsad_demo.guard.visitors import visitor

disk: ContextVar[Disk | None] = ContextVar("disk", default=None)
"""Counts what is made, where the app is served."""


def fresh_folder() -> Path:
    """Make a folder whose name nobody can guess, and which counts as the visitor's."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    if (counting := disk.get()) is not None:
        counting.give(folder, visitor.get())
    return folder
