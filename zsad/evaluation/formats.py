"""The files of results: ``run.json`` and ``cells/KEY.json`` are read and written here and nowhere else.

A file says its format; the first ones did not, and are of format 0. Every format that was ever written stays
readable: whoever adds, renames or removes a field counts ``FORMAT`` up, upgrades the former format here, and
adds a folder of the new one to ``tests/evaluation/fixtures``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from zsad.detect.record import Record
from zsad.errors import InputError
from zsad.evaluation.results import FORMAT, CellResult, RunInfo
from zsad.files import write_json

Model = TypeVar("Model", bound=Record)


class DamagedError(InputError):
    """A file of results that cannot be used, and can be computed again."""


MEND = "delete it and evaluate with --resume"


def read_cell(path: Path) -> CellResult:
    """Read ``cells/KEY.json`` of any format.

    Raises:
        DamagedError: Its content is not readable, or not of ``zsad eval``.
        InputError: It cannot be read at all, or is of a newer zsad.
    """
    found = _read(path, CellResult, _cell)
    if found.key != path.stem:
        raise DamagedError(f"{path} is damaged: it holds the cell {found.key}; {MEND}")
    return found


def read_run(path: Path) -> RunInfo:
    """Read ``run.json`` of any format.

    Raises:
        DamagedError: Its content is not readable, or not of ``zsad eval``.
        InputError: It is not there, cannot be read at all, or is of a newer zsad.
    """
    return _read(path, RunInfo, _run)


def write_result(path: Path, result: CellResult | RunInfo) -> None:
    """Write a file of the present format.

    Raises:
        ZsadError: As :func:`zsad.files.atomic_write`.
    """
    write_json(path, {"format": result.format, **result.plain()})


def _read(path: Path, model: type[Model], upgraded: Callable[[dict[str, Any]], dict[str, Any]]) -> Model:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}; name the folder that 'zsad eval' wrote") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not readable: {error}; {MEND}") from error
    except OSError as error:
        raise InputError(f"{path} is not readable: {error}; {MEND}") from error
    if isinstance(found, dict):
        number = found.get("format", 0)
        if isinstance(number, int) and number > FORMAT:
            raise InputError(
                f"{path} was written by a newer zsad, in format {number}, and this one reads up to {FORMAT}; "
                "update zsad, or evaluate into another folder"
            )
        found = upgraded(found)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise DamagedError(
            f"{path} is damaged, or not of 'zsad eval' ({f'{where}: ' if where else ''}{problem['msg']}); "
            f"{MEND}"
        ) from error


def _cell(found: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's data in the present format; what is damaged stays so for the model to name."""
    if "format" not in found:
        found = {"thresholds": {}, "error": None, **found}
        match found.get("weights"):  # of each part it said only what it was trained on
            case {"trained_on": dict(words), **others}:
                parts = {
                    part: {"origin": None, "trained_on": said, "source": None} for part, said in words.items()
                }
                found = found | {"weights": {**others, "parts": parts}}
    if found.get("format", 1) == 1:  # before there were corruptions and references
        found = {"corruption": None, **found, "format": FORMAT}
    return found


def _run(found: dict[str, Any]) -> dict[str, Any]:
    """Return a run's data in the present format; what is damaged stays so for the model to name."""
    if "format" not in found:
        found = {"former": [], **found}
        match found.get("environment"):
            case {**environment}:  # it named no GPU
                found = found | {"environment": {"gpus": [], **environment}}
    return {**found, "format": FORMAT} if found.get("format", 1) == 1 else found
