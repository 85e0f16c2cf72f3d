"""The server's log: one line for what one visitor did, and no more of them than somebody can read."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable

from zsad_demo.words import printable

PER_MINUTE = 20
"""Lines a minute of one kind, about odd requests and failures; further ones are counted."""

_log = logging.getLogger("zsad.demo")


class Steady(logging.Filter):
    """Lets so many lines of a kind through in a minute, and says afterwards how many it kept back."""

    def __init__(self, per_minute: int = PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._per_minute, self._clock = per_minute, clock
        self._start = float("-inf")
        self._counts: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; what a visitor may have put into it stays on one line."""
        now, kept_back = self._clock(), 0
        if now - self._start >= 60:
            kept_back = sum(max(0, count - self._per_minute) for count in self._counts.values())
            self._start = now
            self._counts.clear()
        kind = str(getattr(record, "what", record.msg))  # as the code has it, without a visitor's words
        self._counts[kind] += 1
        record.msg, record.args = _one_line(record), ()
        if kept_back:
            record.msg += f" (and {kept_back} more lines in the minutes before)"
        return self._counts[kind] <= self._per_minute


def failed(what: str, error: BaseException) -> None:
    """Write that something failed: what was raised on one line, and where below it."""
    where = "".join(traceback.format_tb(error.__traceback__))
    said = printable(f"{type(error).__name__}: {error}"[:500])
    _log.error("%s: %s", what, said, extra={"where": where, "what": what})


def _one_line(record: logging.LogRecord) -> str:
    where = getattr(record, "where", "")
    line = printable(record.getMessage())
    if record.exc_info and record.exc_info[1] is not None:
        where = "".join(traceback.format_tb(record.exc_info[2]))
        line += printable(f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"[:500])
        record.exc_info = record.exc_text = None
    return f"{line}\n{where}".rstrip()


def steady_logs() -> None:
    """Have the server's and the demo's loggers write through one :class:`Steady` each."""
    for name in ("uvicorn.error", "zsad.demo", "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, Steady) for known in logger.filters):
            logger.addFilter(Steady())
