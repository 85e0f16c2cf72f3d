"""Device and precision: what ``auto`` means, and what float32 does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

from zsad.errors import InputError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps``.

    Raises:
        InputError: Not a device, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"--device {name} is not one of auto, cpu, cuda, cuda:0 ..., mps")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"--device {name}: this machine has {count} CUDA devices; use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: this machine has no MPS device; use --device cpu")
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products have hardware of their own (CUDA from Ampere on, AMX)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype for ``auto`` (bfloat16 where it is fast, else float32) or a dtype's name.

    Raises:
        InputError: Unknown dtype, or one that the device has not.
    """
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise InputError(f"--dtype {name} is not one of auto, {', '.join(DTYPES)}")
    if name == "float64" and device.type == "mps":
        raise InputError("--dtype float64: MPS devices have none; use float32, or --device cpu")
    return DTYPES[name]


class _Rounding:
    """Keeps off whatever rounds the inputs of float32 products and convolutions.

    The switches are the process's own: the first of several threads to come in turns them off, and the last
    one to leave sets them back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._former: list[tuple[Any, str, Any]] = []

    def keep_off(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            name, off, exact = _switch()
            self._former = [
                (owner, name, value) for owner in _owners() if (value := getattr(owner, name)) not in exact
            ]
            for owner, name, _ in self._former:
                setattr(owner, name, off)

    def set_back(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for owner, name, value in self._former:
                    setattr(owner, name, value)


def _switch() -> tuple[str, Any, tuple[Any, ...]]:
    """Return the name of the switches, what turns them off, and the values that round nothing."""
    if hasattr(torch.backends.cudnn, "conv"):  # since torch 2.9, where the older name is refused beside it
        return "fp32_precision", "ieee", ("ieee", "none")
    return "allow_tf32", False, (False,)


def _owners() -> tuple[Any, ...]:
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        return backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul
    return backends.cudnn, backends.cuda.matmul


_rounding = _Rounding()


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute in float32 what is in float32: no TF32 on CUDA, no bfloat16 within products on the CPU.

    Convolutions on CUDA round their inputs to TF32 unless told otherwise, which moves maps by up to a percent
    of their spread. Other dtypes are not touched. It also decorates functions.
    """
    _rounding.keep_off()
    try:
        yield
    finally:
        _rounding.set_back()
