"""What a file's name says: an image, an image that cannot be read, or something that a system left behind.

Whoever looks for images asks here: the readers of datasets, ``zsad predict``, and the demo's archives.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePath

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".bmp", ".tif", ".tiff", ".webp", ".gif")
"""What counts as an image in a folder, in any mixture of upper and lower case."""

UNREADABLE = (
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".jxr"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw"),
    *(".dcm", ".dicom", ".nii", ".exr", ".hdr", ".psd", ".svg"),
    *(".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".dib"),
)  # fmt: skip
"""Images that zsad does not read."""

SYSTEM_FOLDERS = (
    *("__macosx", "@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "@tmp"),
    *("$recycle.bin", "system volume information", "lost+found", "__pycache__"),
)
"""Folders that Mac, Windows and NAS leave behind, in lower case."""

SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", ".ds_store", "icon\r")
"""Files that they leave behind, in lower case; so are those that begin with ``._``."""

SYSTEM = "left behind by a system"
"""Why such files are left out."""

HIDDEN = "hidden"
"""Why files are left out whose name begins with a dot, or that lie below such a folder."""


def no_image(name: str) -> str:
    """Return why a file is left out, or an empty string where its name says that it is an image."""
    lower = name.lower()
    if lower in SYSTEM_FILES or lower.startswith("._"):
        return SYSTEM
    if name.startswith("."):
        return HIDDEN
    suffix = os.path.splitext(lower)[1]
    if suffix in SUFFIXES:
        return ""
    if suffix in UNREADABLE:
        return f"{suffix} needs converting to PNG or JPEG"
    return f"{printable(suffix)} is no image" if suffix else "no suffix of an image"


def no_folder(name: str) -> str:
    """Return why what lies in a folder of that name is left out, or an empty string."""
    if name.lower() in SYSTEM_FOLDERS:
        return SYSTEM
    return HIDDEN if name.startswith(".") else ""


def no_place(path: PurePath) -> str:
    """Return why what lies in the folders of a path is left out, or an empty string."""
    above = (part for part in path.parts[:-1] if part not in (".", ".."))
    return next(filter(None, map(no_folder, above)), "")


def composed(text: str) -> str:
    """Return a name with accents composed (NFC), by which names from Mac and from elsewhere are the same."""
    return unicodedata.normalize("NFC", text)


def printable(text: str) -> str:
    r"""Return a name as text that any file can hold; bytes that are no UTF-8 come out as ``\udc..``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
