"""Run the sections one after another, each in a process of its own and within its time.

``python -m benchmarks.gpu`` runs them all; ``benchmarks/gpu.sh`` calls it on a bare machine. A section that
fails, hangs or takes the device down with it costs the others nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.report import STATES, Report, read, state_of, text_of
from benchmarks.settings import QUICK, ROOT, Settings

BUDGETS = {"machine": 20, "parity": 120, "speed": 120, "batches": 60, "precision": 50, "training": 100}
"""Seconds that each section may take of ``MINUTES``, in the order in which they run."""
MINUTES = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run sections; return 0 if all passed, else 1."""
    given = make_parser().parse_args(argv)
    base = QUICK if given.quick else Settings()
    wanted = {
        entry.name: value for entry in fields(Settings) if (value := getattr(given, entry.name)) is not None
    }
    settings = Settings(**{**asdict(base), **wanted})
    if given.section:
        _run_section(given.section, settings, given.report)
        return 0
    names = given.only.split(",") if given.only else list(BUDGETS)
    if unknown := set(names) - set(BUDGETS):
        sys.exit(f"--only {given.only}: there is no section {sorted(unknown)[0]} ({', '.join(BUDGETS)})")
    return _run_all(names, settings, given.out, given.minutes * 60)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description="Check and time zsad on a device.")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or "gpu"), help="folder")
    together = f"time for everything together ({MINUTES}); of more, every section gets its share"
    parser.add_argument("--minutes", type=float, default=MINUTES, help=together)
    parser.add_argument("--only", metavar="SECTIONS", help=f"some of {','.join(BUDGETS)}")
    parser.add_argument("--quick", action="store_true", help="a tiny model and few images, for a CPU")
    for entry in fields(Settings):
        kind = int if entry.type == "int" else str
        parser.add_argument(f"--{entry.name.replace('_', '-')}", type=kind, help=f"({entry.default})")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    return parser


def _run_section(name: str, settings: Settings, path: Path) -> None:
    from benchmarks import sections  # imports torch

    getattr(sections, name)(settings, Report(path))


def _run_all(names: Sequence[str], settings: Settings, out: Path, seconds: float) -> int:
    out.mkdir(parents=True, exist_ok=True)
    begun, share = time.monotonic(), max(1.0, seconds / 60 / MINUTES)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            left = seconds - (time.monotonic() - begun)
            found[name] = _section(name, settings, Path(folder), min(share * BUDGETS[name], left))
            text = text_of(name, found[name])
            print(text, flush=True)
            _write(out, settings, found)
    failed = [name for name, section in found.items() if STATES[section["state"]]]
    print(f"{out / 'gpu.json'}: {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def _section(name: str, settings: Settings, folder: Path, seconds: float) -> dict[str, Any]:
    """Run a section in a process of its own, and end it with all that it started when its time is over."""
    if seconds < 5:
        return {**read(folder / "none"), "state": "not run", "seconds": 0.0}
    path, log = folder / f"{name}.json", folder / f"{name}.log"
    options = [f"--{key.replace('_', '-')}={value}" for key, value in asdict(settings).items()]
    command = [sys.executable, "-m", "benchmarks.gpu", "--section", name, "--report", str(path), *options]
    environment = os.environ | {"ZSAD_CACHE": str(folder / "cache")}
    begun = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    content = read(path)
    state = state_of(content, code)
    tail = log.read_text(encoding="utf-8", errors="replace")[-3000:] if state != "passed" else ""
    return {**content, "state": state, "seconds": time.monotonic() - begun, "error": tail}


def _write(out: Path, settings: Settings, found: dict[str, dict[str, Any]]) -> None:
    content = {"format": 1, "settings": asdict(settings), "sections": found}
    (out / "gpu.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(text_of(name, section) for name, section in found.items())
    (out / "gpu.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
