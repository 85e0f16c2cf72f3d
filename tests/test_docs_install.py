"""The README's lines for pip are lines that pip understands, and say what is to be installed."""

from __future__ import annotations

import shlex

import pytest
from pip._internal.commands import create_command

from tests.documents import ROOT

LINES = [
    part.strip()
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("    ")
    for part in line.split("&&")
    if part.strip().startswith("python -m pip ")
]


def test_there_is_a_line_for_machines_without_a_gpu() -> None:
    assert len(LINES) == 4
    options, wanted = create_command("install").parse_args(shlex.split(LINES[1])[4:])
    assert wanted == ["torch", "torchvision"] and options.index_url.endswith("/whl/cpu")


@pytest.mark.parametrize("line", LINES)
def test_pip_understands_every_line(line) -> None:
    python, dash_m, pip, command, *words = shlex.split(line)
    assert (python, dash_m, pip, command) == ("python", "-m", "pip", "install")
    options, wanted = create_command("install").parse_args(words)
    assert wanted or options.editables == [".[test]"]
