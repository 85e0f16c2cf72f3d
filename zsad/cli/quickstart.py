"""``zsad quickstart``: the default backbone on the example images, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_json, print_message
from zsad.cli.paths import path
from zsad.errors import InputError


def quickstart(
    out: Annotated[
        Path, typer.Option("--out", parser=path, metavar="DIR", help="Folder for the results.")
    ] = Path("zsad-quickstart"),
    as_json: JsonOption = False,
) -> None:
    """Evaluate a few methods on example images, offline: a table, pictures and a report."""
    from zsad.backbones.names import default_backbone
    from zsad.cli.evaluate import check_all_read, print_notices, print_results, run_with_progress
    from zsad.data.examples import example_layout
    from zsad.evaluation.request import EvaluationRequest
    from zsad.evaluation.sheet import write_sheet
    from zsad.evaluation.store import ResultStore
    from zsad.plugin.host import get_host
    from zsad.recipe.recipes import starters

    host = get_host()
    methods = starters(host)
    backbone, layout = default_backbone(host), example_layout(host)
    store = ResultStore(out)
    if store.holds_a_run and "quickstart" not in store.read_run().options:
        raise InputError(f"--out {out} holds an evaluation of its own; name another folder")
    print_message(f"making the {layout}, where they are not in the cache yet")
    request = EvaluationRequest(
        methods=tuple(methods), data=(layout,), folder=out, backbone=backbone, resume=True
    )
    found = run_with_progress(request, {"quickstart": True})
    evaluation, rows = found.evaluation, found.rows
    sheet = write_sheet(out, evaluation.plan.cells[-1].contestant.method)
    if as_json:
        print_json(
            {"rows": [row.columns() for row in rows], "pictures": sheet, "report": out / "report.html"}
        )
    else:
        print_results(rows, evaluation)
    print_notices(found.cells, evaluation)
    check_all_read(found.cells, evaluation)
    print_message(f"pictures: {sheet}")
    print_message(f"next: zsad predict YOUR_PHOTO.jpg --method {methods[-1]}")
