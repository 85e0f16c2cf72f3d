"""What is said beside results: on stderr, as much of it as was asked for, and in a log file."""

from __future__ import annotations

import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from zsad.errors import InputError, ZsadWarning

ERROR = "error: "
"""How a line begins that is shown whatever was asked for."""

OWN_WORDS = (
    (
        re.compile(r"Image size \((\d+) pixels\) exceeds limit"),
        "an image has {0} pixels, and decoding it takes three bytes for each",
    ),
    (
        re.compile(
            r"This DataLoader will create (\d+) worker processes.*max number of worker.* is (\d+)", re.S
        ),
        "--workers {0}: this machine has cores for {1}; more processes do not decode faster",
    ),
)
"""Warnings of libraries that concern a user, and what is said in their place."""


@dataclass
class Notices:
    """Where notices go.

    Attributes:
        quiet: Show errors only.
        verbose: Show what libraries warn of, and the traceback of an error.
        log: Gets every notice, whatever is shown.
        results: Standard output while only JSON may go there.
    """

    quiet: bool = False
    verbose: bool = False
    log: TextIO | None = None
    results: TextIO | None = None
    _warned: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        """Print a notice."""
        if not self.quiet or text.startswith(ERROR):
            print(text, file=sys.stderr)
        self.note(text)

    def note(self, text: str) -> None:
        """Write a notice to the log file alone."""
        if self.log is not None:
            self.log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")

    def fail(self, error: BaseException, text: str, *, debug: bool) -> None:
        """Print an error in one line, after its traceback where that is wanted."""
        if debug or self.verbose:
            traceback.print_exception(error)
        if self.log is not None:
            self.note("".join(traceback.format_exception(error)).rstrip())
        self.say(f"{ERROR}{' '.join(text.split())}")

    def write_log(self, path: str) -> None:
        """Append every notice from now on to a file.

        Raises:
            InputError: It cannot be opened.
        """
        try:
            self.log = open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InputError(f"--log-file {path} cannot be written: {why}") from error

    def keep_results_apart(self) -> None:
        """From now on print to stderr what anybody prints: standard output is for one JSON value."""
        if self.results is None:
            self.results, sys.stdout = sys.stdout, sys.stderr

    def warn(
        self, message: Warning | str, category: type[Warning], filename: str, line: int, *rest: object
    ) -> None:
        """Say a warning in one sentence, once; what libraries tell programmers is for the log."""
        text = " ".join(str(message).split())
        own = next(
            (words.format(*found.groups()) for form, words in OWN_WORDS if (found := form.search(text))), None
        )
        shown = own or (text if issubclass(category, ZsadWarning) or self.verbose else None)
        if shown is None:
            self.note(f"warning: {text} ({filename}:{line})")
        elif shown not in self._warned:
            self._warned.add(shown)
            self.say(f"warning: {shown}")


_present = Notices()


def present() -> Notices:
    """Return where notices go at present."""
    return _present


@contextmanager
def notices() -> Iterator[Notices]:
    """Give a command notices of its own; put everything back afterwards."""
    global _present
    former, _present = _present, Notices()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _present.warn  # type: ignore[assignment]
            yield _present
    finally:
        if _present.results is not None:
            sys.stdout = _present.results
        if _present.log is not None:
            _present.log.close()
        _present = former
