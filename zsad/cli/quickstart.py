"""``zsad quickstart``: the embedded backbone on the drawn samples, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_json, print_message

METHODS = ("clip-baseline", "winclip", "anomalyclip")
CONTROL = "mini-random"


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("zsad-quickstart"),
    as_json: JsonOption = False,
) -> None:
    """Evaluate three methods on drawn samples, offline: a table, pictures and a report."""
    from zsad.cli.evaluate import DEFAULT_METRICS, default_workers, print_results, run_and_report
    from zsad.data.spec import open_dataset
    from zsad.evaluation.cells import Rules
    from zsad.evaluation.contestants import load_contestants
    from zsad.evaluation.session import prepare
    from zsad.evaluation.sheet import write_sheet
    from zsad.files import check_writable
    from zsad.host import get_host

    host = get_host()
    check_writable(out)
    print_message("drawing the samples, where they are not in the cache yet")
    samples = open_dataset("samples", host)
    contestants = load_contestants(METHODS, backbone="mini", weights={})
    evaluation = prepare(
        host, contestants, [samples], out, Rules(DEFAULT_METRICS), workers=default_workers(), resume=True
    )
    rows, _ = run_and_report(evaluation, {"methods": METHODS, "data": ["samples"], "backbone": "mini"})
    sheet = write_sheet(out, evaluation.plan.cells[-1].contestant.method)
    if as_json:
        print_json({"rows": rows, "pictures": sheet, "report": out / "report.html"})
        return
    print_results(rows, evaluation)
    print_message(f"pictures: {sheet}")
    print_message("next: zsad predict YOUR_PHOTO.jpg --method anomalyclip")
