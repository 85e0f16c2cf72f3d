from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from zsad.backbones.hub import hub_errors
from zsad.errors import InputError, ZsadError


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("ViT-B-32:laion2b_s34b_b79k", "ViT-B-32:laion2b_s34b_b79k@/path/to/file"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ARCH@/path/to/file"),
    ],
)
def test_unreachable_hub_is_one_sentence_without_retries(closed_port, tmp_path, name, mend) -> None:
    code = (
        "from zsad.backbones.loading import load_backbone\n"
        "from zsad.errors import ZsadError\n"
        f"try: load_backbone({name!r}, 'cpu', 'float32')\n"
        "except ZsadError as error: print(error)"
    )
    environ = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{closed_port}", "HF_HOME": str(tmp_path)}
    environ.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    (sentence,) = done.stdout.splitlines()
    assert name in sentence and "hub cannot be reached" in sentence and mend in sentence
    assert "Retry" not in done.stderr


def test_other_failures_keep_their_reason() -> None:
    with pytest.raises(ZsadError, match="could not load 'x': no such revision"), hub_errors("x", "y"):
        raise ValueError("no such revision\nsecond line")


def test_own_errors_pass_through() -> None:
    with pytest.raises(InputError, match="as it was"), hub_errors("x", "y"):
        raise InputError("as it was")
