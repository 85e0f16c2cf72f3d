"""Files that hold a whole module where a state dict belongs: its tensors, and nothing of its code."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.backbones.downloads import check_download
from zsad.backbones.tensors import read_tensors
from zsad.errors import InputError
from zsad.weights.unpickler import Inert, Name, Refusal, unpickle

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""What torch calls the numbers of each type."""

WIDEST = 2**26
"""Elements of a tensor that repeats its numbers by strides; without repetition there is no limit."""

MODULES, DEPTH = 10_000, 32
"""How many modules are looked through, and how deep they may lie in one another."""


def read_module(path: Path) -> Any:
    """Read the tensors of a module that was pickled whole; no class of the file is imported, none is called.

    A file of plain tensors is read as well. This is for converters of methods whose authors published such
    files; all others read tensors only (:func:`zsad.backbones.tensors.read_tensors`).

    Args:
        path: In torch's zip format.

    Returns:
        The module's parameters and buffers by name, as in its state dict; or what else was saved.

    Raises:
        InputError: No such file, a damaged one, or one that asks for anything but tensors and containers.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    check_download(path)
    if not zipfile.is_zipfile(path):
        return read_tensors(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = _Archive(archive, path.stat().st_size).load()
        return dict(_tensors(found)) if isinstance(found, Inert) else found
    except Refusal as error:
        raise InputError(
            f"{path} is not loaded, because reading it could run code or fill the memory: {error}; ask its "
            "authors for a plain state dict"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        raise InputError(f"{path} is damaged or truncated; fetch the file again") from error


class _Archive:
    """A file of torch: a pickle, and the numbers of each storage as an entry of its own.

    Attributes:
        left: Bytes that may still be read: never more than the file has.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive, self.left = archive, size
        (pickle,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        self.root = pickle.removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}

    def load(self) -> Any:
        """Return what was saved."""
        order = f"{self.root}byteorder"
        if order in self.archive.namelist() and self._entry(order) != b"little":
            raise Refusal("its numbers are big-endian")
        calls = {
            "torch._utils._rebuild_tensor_v2": lambda given: _rebuilt(*given),
            "torch._utils._rebuild_parameter": lambda given: _tensor(given[0]),
        }
        return unpickle(self._entry(f"{self.root}data.pkl"), calls, self.storage)

    def storage(self, identifier: Any) -> Tensor:
        """Return the numbers that a persistent identifier means, one axis."""
        word, kind, key, _, count = identifier
        if word != "storage" or not isinstance(kind, Name) or not isinstance(key, str):
            raise TypeError("no identifier of a storage")
        dtype = STORAGES[kind.text.removeprefix("torch.")]
        if key not in self._storages:
            self._storages[key] = _numbers(self._entry(f"{self.root}data/{key}"), dtype)
        found = self._storages[key]
        if found.dtype != dtype or len(found) != count:
            raise ValueError("a storage of another size or type than its entry")
        return found

    def _entry(self, name: str) -> bytes:
        info = self.archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise Refusal("its entries are compressed")
        self.left -= info.file_size
        if self.left < 0:
            raise Refusal("its entries overlap")
        return self.archive.read(info)


def _numbers(data: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _rebuilt(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return the view of a storage that a tensor is."""
    found = _tensor(storage)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("no sizes and strides")
    count = 1
    for axis in size:
        count *= axis
    last = offset + sum((axis - 1) * step for axis, step in zip(size, stride, strict=True))
    if count and last >= len(found):
        raise ValueError("a tensor beyond its storage")
    if count > max(WIDEST, len(found)):
        raise Refusal(f"it spreads {len(found):,} numbers over a tensor of {count:,}")
    return found.as_strided(tuple(size), tuple(stride), offset)


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError("no tensor")
    return value


def _tensors(module: Inert) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and persistent buffers of a module by their names in its state dict."""
    waiting, seen = [("", module, 0)], 0
    while waiting:
        prefix, entry, depth = waiting.pop()
        seen += 1
        if depth > DEPTH or seen > MODULES:
            raise Refusal("its modules lie in one another without end")
        state = entry.state
        if not isinstance(state, Mapping):
            raise TypeError(f"'{entry.kind}' has no state")
        left_out = state.get("_non_persistent_buffers_set") or ()
        for name, tensor in (
            dict(state.get("_parameters") or {}) | dict(state.get("_buffers") or {})
        ).items():
            if isinstance(tensor, Tensor) and name not in left_out:
                yield f"{prefix}{name}", tensor
        for name, part in dict(state.get("_modules") or {}).items():
            if isinstance(part, Inert):
                waiting.append((f"{prefix}{name}.", part, depth + 1))
