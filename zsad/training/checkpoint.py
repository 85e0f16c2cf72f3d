"""What a broken run goes on from: everything of an epoch's end, in one file that is there whole or not."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zsad.errors import InputError
from zsad.files import atomic_write

FILE = "checkpoint.pt"


def save_checkpoint(folder: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a run's state with what it belongs to.

    Args:
        folder: The run's folder.
        identity: Everything that decides the run's numbers, as plain data.
        state: Tensors and plain values, nested in dicts and lists.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    content = {"identity": json.dumps(dict(identity), sort_keys=True), "state": dict(state)}
    # Straight to a file, torch would hide why a write failed.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic_write(folder / FILE, lambda stream: stream.write(buffer.getbuffer()))


def load_checkpoint(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a run's state, or None where none was kept.

    Raises:
        InputError: The file is none of these, or belongs to another run; the sentence says what differs.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found: dict[str, Any] = json.loads(content["identity"])
        state: dict[str, Any] = content["state"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise InputError(f"{path} is no checkpoint of zsad train; delete it to begin anew") from error
    wanted = json.loads(json.dumps(dict(identity), sort_keys=True))
    for name in sorted(set(found) | set(wanted)):
        before, now = found.get(name), wanted.get(name)
        if before != now:
            raise InputError(
                f"--resume: the run in {folder} was begun with another {name} ({_difference(before, now)}); "
                "give the same again, or another --out"
            )
    return state


def _difference(before: Any, now: Any, name: str = "") -> str:
    """Return the innermost place where two plain values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(set(before) | set(now)):
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    words = f"{_short(before)}, and now it is {_short(now)}"
    return f"{name} was {words}" if name else f"it was {words}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
