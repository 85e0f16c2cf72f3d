"""The files of a prediction run: results are there as they come, and a run that was killed goes on.

``predictions.jsonl`` gains a line per image once its pictures are written. ``predictions.json``, with
everything that stands behind the numbers, is there from the start and complete at the end, and with it
``predictions.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from zsad.data.contents import contents
from zsad.detect.wanted_files import KINDS
from zsad.errors import InputError
from zsad.files import write_json, write_text

LINES, REPORT, TABLE = "predictions.jsonl", "predictions.json", "predictions.csv"
COLUMNS = (
    "path", "score", "decision", "overlay", "map", "error", "mask", "regions", "confidence", "explanation",
)  # fmt: skip
MEND = "leave --resume out to score everything again, or name another --out"


def images_hash(paths: Sequence[Path]) -> str:
    """Return a hash of a list of images by their names, in order."""
    return hashlib.sha256(b"\0".join(map(os.fsencode, paths))).hexdigest()


class Journal:
    """Keeps the results of one run in its folder.

    Attributes:
        finished: The answers of a former run that count, by image.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any], *, resume: bool) -> None:
        """Open the folder, and read what it holds if the run goes on.

        Args:
            folder: The folder.
            request: What decides the answers, as JSON can say it; a run goes on only with the same.
            resume: Whether to go on with the run that the folder holds, if there is one.

        Raises:
            InputError: That run was of another request, is not readable, or an image has changed since.
        """
        self._folder, self._request = folder, dict(request)
        self.finished: dict[Path, dict[str, Any]] = {}
        if resume and any((folder / name).exists() for name in (LINES, REPORT)):
            self._check_request()
            self.finished = self._kept()
            _check_unchanged(self.finished)
        self._lines: TextIO | None = None

    def forget(self) -> None:
        """Drop what is finished: the answers depend on images whose answers are lacking."""
        self.finished = {}

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write what is known before the first answer.

        Args:
            about: What stands behind the numbers.

        Raises:
            ZsadError: The folder cannot be written to.
        """
        # The lines first: a kill in between must not leave those of another run beside this one's request.
        write_text(self._folder / LINES, "".join(map(_line, self.finished.values())))
        write_json(self._folder / REPORT, self._report(about, (), (), complete=False))
        self._lines = (self._folder / LINES).open("a", encoding="utf-8")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append an answer; it survives the end of this process, however that comes."""
        assert self._lines is not None, "begun"
        self._lines.write(_line(entry))
        self._lines.flush()

    def close(
        self,
        about: Mapping[str, Any],
        done: Sequence[Mapping[str, Any]],
        failed: Sequence[Mapping[str, Any]],
        *,
        complete: bool,
    ) -> dict[str, Any]:
        """Write the report and the table; return the report.

        Raises:
            ZsadError: The folder cannot be written to.
        """
        if self._lines is not None:
            self._lines.close()
        stream = io.StringIO()
        writer = csv.DictWriter(stream, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*map(_row, done), *failed])
        write_text(self._folder / TABLE, stream.getvalue())
        report = self._report(about, done, failed, complete=complete)
        write_json(self._folder / REPORT, report)
        return report

    def _report(
        self,
        about: Mapping[str, Any],
        done: Sequence[Mapping[str, Any]],
        failed: Sequence[Mapping[str, Any]],
        *,
        complete: bool,
    ) -> dict[str, Any]:
        found = {"images": list(done), "failed": list(failed), "complete": complete}
        return {**about, "request": self._request, **found}

    def _check_request(self) -> None:
        path = self._folder / REPORT
        try:
            former = json.loads(path.read_text(encoding="utf-8"))["request"]
            differing = [name for name in self._request if former.get(name) != self._request[name]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"--resume: {path} does not say what was asked for; {MEND}") from error
        if differing:
            name = differing[0]
            what = (
                "other images were given"
                if name == "images"
                else f"{name} was {former.get(name)!r}, and is {self._request[name]!r} now"
            )
            raise InputError(f"--resume: {self._folder} holds a run of another request ({what}); {MEND}")

    def _kept(self) -> dict[Path, dict[str, Any]]:
        """Return the lines that are whole and whose pictures are there."""
        try:
            lines = (self._folder / LINES).read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"cannot read '{self._folder / LINES}': {error.strerror or error}") from error
        kept = {}
        for line in lines:
            try:
                entry = json.loads(line)
                files = [Path(entry[name]) for name in KINDS if name in entry]
                if {"path", "score", "content"} <= entry.keys() and all(file.is_file() for file in files):
                    kept[Path(entry["path"])] = entry
            except (ValueError, TypeError, AttributeError):  # the line that a kill cut off
                continue
        return kept


def _row(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as the table holds it: of its regions, how many there are."""
    return {name: len(value) if name == "regions" else value for name, value in answer.items()}


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"


def _check_unchanged(finished: Mapping[Path, Mapping[str, Any]]) -> None:
    held = contents(finished)
    for path, entry in finished.items():
        if held[path] != entry["content"]:
            raise InputError(f"--resume: '{path}' has changed since it was scored; {MEND}")
