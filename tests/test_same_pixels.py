"""The same pixels, drawings and maps under a Pillow that turns the resizing of tall images round or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "pixels.py"
OTHER_ORDER = "one call"
"""The one result that is Pillow's own."""


def install(version: str, folder: Path, require: Callable[[str, str], None]) -> None:
    """Put a Pillow, and nothing else, into a folder."""
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--retries", "0", "--timeout", "30", "--only-binary", ":all:", "--target", str(folder),
            f"pillow=={version}"]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        require("pillow13", f"Pillow {version} cannot be installed: {reason}")


def hashes(version: str, folder: Path, require: Callable[[str, str], None]) -> dict[str, str]:
    """Return the hashes of every result under a version of Pillow."""
    install(version, folder / "site", require)
    environ = {**os.environ, "PYTHONPATH": str(folder / "site"), "ZSAD_CACHE": str(folder / "cache")}
    line = [sys.executable, "-W", "ignore", str(SCRIPT)]
    done = subprocess.run(line, env=environ, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["pillow"] == version
    kept: dict[str, str] = found["hashes"]
    return kept


@pytest.mark.acceptance
def test_under_both_orders_of_pillow(tmp_path, require) -> None:
    before, turned = (hashes(version, tmp_path / version, require) for version in ("12.3.0", "13.0.0"))
    # Else both would be of one order, and equal hashes no proof.
    assert before.pop(OTHER_ORDER) != turned.pop(OTHER_ORDER)
    assert len(before) > 200 and any(name.startswith("map of") for name in before)
    assert before == turned
