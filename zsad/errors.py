"""Errors and warnings that a user can mend: one clear sentence, and the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZsadError(Exception):
    """Something failed while running. The message is one sentence for the user; exit code 1."""

    exit_code = 1


class InputError(ZsadError):
    """Wrong usage or input: names the file, the option and the mend; exit code 2."""

    exit_code = 2


class ZsadWarning(UserWarning):
    """Something that a user should know and that stops nothing. The message is one sentence."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to ``name``, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
