"""Device and precision: what ``auto`` means."""

from __future__ import annotations

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
        InputError: Unknown dtype.
    """
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise InputError(f"--dtype {name} is not one of auto, {', '.join(DTYPES)}")
    return DTYPES[name]
