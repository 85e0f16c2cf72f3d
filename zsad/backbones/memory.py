"""How large an image a tower has memory for, before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from zsad.backbones.opaque import Tower
from zsad.errors import InputError

GIB = 2**30

_STATES = 12
"""Arrays of all tokens that one block holds at once: its input, norms, projections, heads and MLP."""

_PIXELS = 48
"""Bytes for every pixel of the input: as read, normalised, and as maps."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


def needed_memory(tower: Tower, height: int, width: int) -> int:
    """Return an estimate in bytes of what one image takes, the least that methods get by with.

    Beside states and pixels that is one similarity of every patch with every other, on the coarsest grid that
    the tower has.

    Args:
        tower: The vision tower.
        height: Of the input in pixels.
        width: Likewise.
    """
    levels = tower.levels(height, width)
    tokens = min(count for count, _ in levels)
    states = max(count * width for count, width in levels)
    return tokens * tokens * 4 + _STATES * states * tower.dtype.itemsize + _PIXELS * height * width


def available_memory(device: torch.device) -> int | None:
    """Return how many bytes are free where a tower runs, or None where the system does not say."""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return None
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    found = [value for value in (_free_of_machine(), _free_of_group()) if value is not None]
    return min(found, default=None)


def check_memory(tower: Tower, height: int, width: int, available: int | None) -> None:
    """Check that one image of a size fits into memory.

    Args:
        tower: The vision tower.
        height: Of the input in pixels.
        width: Likewise.
        available: Bytes that are free, or None where nobody knows.

    Raises:
        InputError: It does not; the sentence names the largest size that does.
    """
    if available is None or (needed := needed_memory(tower, height, width)) <= available:
        return
    side = min(height, width)
    low, high = 0, side // tower.patch_size + 1  # in patches: the one fits, the other does not
    while high - low > 1:
        middle = (low + high) // 2
        short = middle * tower.patch_size
        fits = needed_memory(tower, height * short // side, width * short // side) <= available
        low, high = (middle, high) if fits else (low, middle)
    long = "" if height == width else f", with which this image has {width} x {height} pixels,"
    raise InputError(
        f"image size {side}{long} needs at least {needed / GIB:,.1f} GiB of memory for one image, and "
        f"{available / GIB:,.1f} GiB are free; use --image-size {max(low, 1) * tower.patch_size} or less"
    )


def _free_of_machine() -> int | None:
    try:
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return None
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _free_of_group() -> int | None:
    """Return what a container's limit leaves."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        return max(0, limit - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):  # no such limit
        return None
