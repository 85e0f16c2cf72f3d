"""Wrong commands and damaged files end in one sentence, the right exit code, and nothing half-written."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Answer
from tests.cli.sweep import Case, cases, make_inputs

SECONDS = 60
"""What a refusal may take at most; a command that hangs has to fail by itself."""


class _Names(dict[str, str]):
    """Gives every input its name in braces, so that cases have the same ids wherever inputs lie."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


CASES = [
    pytest.param(case, id=case.name, marks=[] if place % 6 == 0 else pytest.mark.acceptance)
    for place, case in enumerate(cases(_Names()))
]


def test_the_sweep_is_long_and_says_nothing_twice() -> None:
    found = list(cases(_Names()))
    assert len(found) > 550
    assert len({case.words for case in found}) == len(found)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("sweep")
    return make_inputs(root) | {"tiny": TINY}


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail where something hangs."""

    def hangs(number: int, frame: object) -> None:
        raise AssertionError(f"not refused within {seconds} s")

    former = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


RECORDS = {"predictions.csv", "predictions.json", "predictions.jsonl"}
"""What a run leaves that could read none of its images."""


@pytest.mark.parametrize("case", CASES)
def test_wrong_is_one_sentence(
    case: Case, zsad: Callable[..., Answer], inputs: dict[str, str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.delenv("ZSAD_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)  # a default --out, or what an empty path would mean
    out = tmp_path / "out"
    with at_most(SECONDS):
        answer = zsad(*(word.format(**inputs, out=out) for word in case.words))
    said = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert (answer.code, len(said)) == (case.code, 1), answer.err
    assert answer.err.splitlines()[-1] == said[-1]
    assert re.search(case.pattern, "\n".join(said)), said
    assert "Traceback" not in answer.err
    assert not answer.out
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= (RECORDS if case.recorded else set())
    assert not (Path(inputs["root"]) / "ran").exists(), "a pickle ran"
