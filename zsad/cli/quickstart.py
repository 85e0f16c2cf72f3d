"""``zsad quickstart``: the embedded backbone on the drawn samples, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_json, print_message
from zsad.errors import InputError

METHODS = ("clip-baseline", "winclip", "anomalyclip")


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("zsad-quickstart"),
    as_json: JsonOption = False,
) -> None:
    """Evaluate three methods on drawn samples, offline: a table, pictures and a report."""
    from zsad.cli.evaluate import (
        DEFAULT_METRICS,
        check_all_read,
        default_workers,
        print_notices,
        print_results,
        run_with_progress,
    )
    from zsad.data.spec import open_dataset
    from zsad.evaluation.cells import Rules
    from zsad.evaluation.contestants import load_contestants
    from zsad.evaluation.session import prepare
    from zsad.evaluation.sheet import write_sheet
    from zsad.evaluation.store import ResultStore
    from zsad.host import get_host

    host = get_host()
    store = ResultStore(out)
    if store.holds_a_run and "quickstart" not in store.read_run()["options"]:
        raise InputError(f"--out {out} holds an evaluation of its own; name another folder")
    store.open(resume=True)
    print_message("drawing the samples, where they are not in the cache yet")
    samples = open_dataset("samples", host)
    contestants = load_contestants(METHODS, backbone="mini", weights={})
    evaluation = prepare(
        host, contestants, [samples], store, Rules(DEFAULT_METRICS), workers=default_workers()
    )
    cells = run_with_progress(
        evaluation, {"quickstart": True, "methods": METHODS, "data": ["samples"], "backbone": "mini"}
    )
    rows = evaluation.rows(cells)
    sheet = write_sheet(out, evaluation.plan.cells[-1].contestant.method)
    if as_json:
        print_json({"rows": rows, "pictures": sheet, "report": out / "report.html"})
    else:
        print_results(rows, evaluation)
    print_notices(cells, evaluation)
    check_all_read(cells, evaluation)
    print_message(f"pictures: {sheet}")
    print_message("next: zsad predict YOUR_PHOTO.jpg --method anomalyclip")
