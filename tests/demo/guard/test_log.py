from __future__ import annotations

import logging

import pytest

from zsad_demo.guard.log import Steady, failed


def test_a_visitors_line_breaks_stay_on_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logger, handler = logging.getLogger("zsad.demo"), logging.StreamHandler()
    steady = Steady()
    logger.addHandler(handler)
    logger.addFilter(steady)
    try:
        try:
            raise ValueError("bad\nERROR: forged\r\n\x1b[31mred")
        except ValueError as error:
            failed("a callback failed", error)
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(steady)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(
        "a callback failed: ValueError: bad\ufffdERROR: forged\ufffd\ufffd\ufffd[31mred"
    )
    assert lines[1].startswith('  File "')  # where it was raised, for whoever runs the server
    assert not any(line.startswith("ERROR") for line in lines)


def test_a_flood_is_counted_and_not_written() -> None:
    now = [0.0]
    steady = Steady(per_minute=3, clock=lambda: now[0])

    def line() -> str | None:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "odd %s", ("request",), None)
        return record.msg if steady.filter(record) else None

    assert [line() for _ in range(5)] == ["odd request"] * 3 + [None, None]
    now[0] = 61
    assert line() == "odd request (and 2 more lines in the minutes before)"
    assert line() == "odd request"
