"""A plugin of pytest that runs tests among pretended GPUs: ``pytest -p tests.devices.plugin``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.devices.pretended import pretended_devices


def pytest_configure() -> None:
    """Have two GPUs found, each with a random state."""
    torch.cuda.device_count = lambda: 2
    torch.cuda.default_generators = (torch.Generator(), torch.Generator())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with pretended_devices():
        return (yield)
