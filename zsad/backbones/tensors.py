"""Files of tensors as people have them: torch's or safetensors, nested, prefixed; no arbitrary objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from zsad.backbones.downloads import check_download, holds_safetensors, looks_pickled
from zsad.errors import InputError

PARALLEL = "module."
"""What DataParallel and its relatives write before every name."""

_STATES = ("state_dict", "model_state_dict", "model_state", "model", "weights", "params", "net", "network")
"""Entries under which training scripts keep a state dict; the first that is there counts."""

_DEPTH = 3
"""How many levels of nesting are looked through."""


def read_tensors(path: Path) -> Any:
    """Read a file of torch or safetensors on the CPU, whichever its name says; no code in it is run.

    Returns:
        What was saved: tensors in plain containers.

    Raises:
        InputError: No such file, no file of tensors, a damaged one, or one that holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    check_download(path)
    try:
        if holds_safetensors(path):
            return load_file(path)
        with path.open("rb") as stream:  # torch would go by the name's ending
            return torch.load(stream, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        if not looks_pickled(path):
            raise InputError(f"{path} is not a file of tensors, neither torch's nor safetensors") from error
        if "nsupported" in str(error):  # what torch says of objects that are no tensors
            raise InputError(
                f"{path} holds more than tensors and is not loaded, because reading it could run code; "
                "ask its authors for a plain state dict"
            ) from error
        raise InputError(
            f"{path} is damaged or truncated: torch cannot read it; fetch the file again"
        ) from error


def state_in(loaded: Any) -> Mapping[Any, Any] | None:
    """Return the state dict of a checkpoint, however deep it lies, without DataParallel's prefixes.

    Args:
        loaded: From :func:`read_tensors`.

    Returns:
        The dict that holds tensors, as it is but for the names; None where there is none, or several and no
        telling which.
    """
    found = _state(loaded, _DEPTH)
    return None if found is None else unprefixed(found)


def levels(loaded: Any, depth: int = _DEPTH) -> Iterator[Mapping[Any, Any]]:
    """Yield the dicts of a checkpoint, the outer ones first."""
    found = [loaded] if isinstance(loaded, Mapping) else []
    for _ in range(depth + 1):
        yield from found
        found = [value for level in found for value in level.values() if isinstance(value, Mapping)]


def unprefixed(state: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a state dict without DataParallel's prefix, where it is before every name."""
    while state and all(str(key).startswith(PARALLEL) for key in state):
        state = {str(key).removeprefix(PARALLEL): value for key, value in state.items()}
    return state


def _state(loaded: Any, depth: int) -> Mapping[Any, Any] | None:
    if not isinstance(loaded, Mapping):
        return None
    named = next((loaded[key] for key in _STATES if isinstance(loaded.get(key), Mapping)), None)
    if named is not None and (found := _state(named, depth - 1)) is not None:
        return found
    if any(isinstance(value, Tensor) for value in loaded.values()):
        return loaded
    if depth <= 0:
        return None
    nested = [found for value in loaded.values() if (found := _state(value, depth - 1)) is not None]
    return nested[0] if len(nested) == 1 else None


def check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, name: str) -> None:
    """Check that a state fills a model exactly.

    Args:
        state: The tensors of a file.
        expected: Those of the model, whose values do not matter.
        source: The file, for the message.
        name: The model, for the message.

    Raises:
        InputError: Keys or shapes are those of another model.
    """
    missing, unknown = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unknown:
        key, what = (missing[0], "lacks") if missing else (unknown[0], "has the unknown")
        raise InputError(
            f"{source} does not hold the weights of {name}: it {what} '{key}' "
            f"({len(missing)} keys missing, {len(unknown)} unknown)"
        )
    check_shapes(state, expected, source, name)


def check_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, name: str) -> None:
    """Check that the tensors that a state and a model both have are of one shape; as :func:`check_state`.

    Raises:
        InputError: One has another shape.
    """
    for key in (key for key in expected if key in state):
        if state[key].shape != expected[key].shape:
            raise InputError(
                f"{source} does not hold the weights of {name}: '{key}' has the shape "
                f"{tuple(state[key].shape)}, {name} needs {tuple(expected[key].shape)}"
            )
