"""Random numbers that follow from a seed, and leave the caller's own as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generators_of(device: torch.device | None = None) -> list[torch.Generator]:
    """Return torch's default generators of the CPU and, where it has one of its own, of a device in use."""
    found = [torch.default_generator]
    if device is not None and device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    elif device is not None and device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found


def reseed(seed: int, device: torch.device | None = None) -> None:
    """Seed the generators of the CPU and of one device, where ``torch.manual_seed`` seeds all devices."""
    for generator in generators_of(device):
        generator.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from a seed, and give the generators their former states back.

    Args:
        seed: The seed.
        device: Device whose generator counts too; without one, what is drawn there stays the caller's.
    """
    generators = generators_of(device)
    states = [generator.get_state() for generator in generators]
    reseed(seed, device)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
