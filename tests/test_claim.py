"""A folder serves one run at a time, and is free again when that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from zsad.claim import claimed
from zsad.errors import InputError, ZsadError

HOLD = """
import sys
from pathlib import Path
from zsad.claim import claimed
with claimed(Path(sys.argv[1]), "training into"):
    print("held", flush=True)
    sys.stdin.read()
"""
FORKED = """
import os, sys, time
from pathlib import Path
from zsad.claim import claimed
with claimed(Path(sys.argv[1]), "writing into"):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_is_killed(tmp_path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=f"--out {folder}: another run is writing into"),
            claimed(folder, "writing into"),
        ):
            pass
        other.kill()
        other.wait()
    with claimed(folder, "writing into"):
        assert list(folder.iterdir()) == []


def test_an_error_gives_the_folder_free(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path, "writing into"):
        1 / 0  # noqa: B018
    with claimed(tmp_path, "writing into"), pytest.raises(InputError), claimed(tmp_path, "writing into"):
        pass


def test_a_worker_that_outlives_its_killed_parent_claims_nothing(tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            with claimed(tmp_path, "writing into"):
                os.kill(worker, 0)  # it is still there
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ZsadError, match="a part of the path is a file"),
        claimed(tmp_path / "file" / "x", "in"),
    ):
        pass
