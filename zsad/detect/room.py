"""Whether a device has room for one image of a size at all, before seconds go into finding out."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from zsad.errors import InputError

PIXEL_BYTES = 32
"""Bytes for every input pixel, at least: three channels in, two states and the map out, in float32."""

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""What a container may use; ``max`` where it is not limited."""


def check_room(image_size: int, device: torch.device) -> None:
    """Refuse an image size for which the device cannot have the memory, whatever the method.

    What is not refused may still be too much: attention, batches and other programs come on top.

    Args:
        image_size: Side of the square input in pixels.
        device: Where the method runs.

    Raises:
        InputError: One image alone needs more than there is.
    """
    needed, there = PIXEL_BYTES * image_size**2, memory_of(device)
    if there is not None and needed > there:
        raise InputError(
            f"--image-size {image_size} needs more than {needed / 2**30:.0f} GB of memory for one image, and "
            f"this machine has {there / 2**30:.0f} GB; give a smaller one"
        )


def memory_of(device: torch.device) -> int | None:
    """Return all memory of a device in bytes, or None where that cannot be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
    try:
        return min(machine, int(CGROUP.read_text()))
    except (OSError, ValueError):
        return machine
