"""Where files for visitors are made: folders of their own inside the one that Gradio serves from."""

from __future__ import annotations

import secrets
from pathlib import Path

from gradio.utils import get_upload_folder


def fresh_folder() -> Path:
    """Make a folder whose name nobody can guess."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder
