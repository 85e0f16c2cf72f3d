"""The command line as a function, with a tiny backbone and an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from zsad.cli.main import main

TINY = f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:0"


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line that an error consists of."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line


@pytest.fixture
def zsad(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run ``zsad WORD ...`` in this process."""

    def run(*words: object) -> Answer:
        try:
            main([str(word) for word in words])
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def tiny() -> str:
    """Name of a small backbone with random weights."""
    return TINY


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image of 90 x 70 pixels."""
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
