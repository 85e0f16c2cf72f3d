"""A folder serves one run at a time, and is free again when that ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zsad.errors import InputError
from zsad.training.claim import claimed

HOLD = """
import sys
from pathlib import Path
from zsad.training.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_is_killed(tmp_path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"--out {folder}: another run is training"), claimed(folder):
            pass
        other.kill()
        other.wait()
    with claimed(folder):
        assert list(folder.iterdir()) == []


def test_an_error_gives_the_folder_free(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path):
        1 / 0  # noqa: B018
    with claimed(tmp_path), pytest.raises(InputError), claimed(tmp_path):
        pass
