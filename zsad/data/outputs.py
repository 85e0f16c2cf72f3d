"""Recognise what zsad itself wrote, so that nobody scores zsad's own pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

WRITTEN = "written by zsad"
"""Why such files are left out."""

PREDICTIONS = ("predictions.json", "predictions.jsonl")
"""What ``zsad predict`` writes beside its pictures, and names them in."""

_RUN, _CELLS = "run.json", "cells"


def own_outputs(folder: Path, names: Collection[str]) -> frozenset[str]:
    """Return the names in a folder that ``zsad predict`` or ``zsad eval`` wrote there.

    Args:
        folder: The folder.
        names: All names in it.
    """
    found = {
        name
        for record in PREDICTIONS
        if record in names and (folder / record).is_file()
        for written in named_outputs((folder / record).read_bytes)
        for name in (record, written)
    }
    if _RUN in names and (folder / _RUN).is_file() and _is_run(folder / _RUN):
        found |= {_RUN, _CELLS}
    return frozenset(found & set(names))


def named_outputs(read: Callable[[], bytes]) -> Iterator[str]:
    """Yield the file names that the record of a prediction names as its outputs.

    Args:
        read: Returns the record's bytes; what is no such record names nothing.
    """
    try:
        text = read().decode("utf-8", "surrogatepass")
    except (OSError, ValueError):
        return
    for entry in _entries(text):
        if isinstance(entry, dict) and "path" in entry and "score" in entry:
            for key, value in entry.items():
                if key != "path" and isinstance(value, str) and value.lower().endswith((".png", ".npy")):
                    yield os.path.basename(value.replace("\\", "/"))


def _entries(text: str) -> list[Any]:
    """Return the images of a record, whether it is one JSON object or one a line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return [entry for line in text.splitlines() if (entry := _line(line)) is not None]
    if isinstance(whole, dict) and isinstance(whole.get("images"), list):
        return list(whole["images"])
    return [whole]


def _line(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a line that was cut off
        return None


def _is_run(file: Path) -> bool:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"cells", "methods", "environment"} <= set(found)
