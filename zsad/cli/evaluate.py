"""``zsad eval``: methods on datasets, with everything that stands behind the figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zsad.cli.common import (
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    SeedOption,
    SetOption,
    UntrainedOption,
    WeightsOption,
    WorkersOption,
    method_weights,
)
from zsad.cli.output import JsonOption, ProgressLine, print_json, print_message, print_table
from zsad.errors import ZsadError

if TYPE_CHECKING:
    from zsad.evaluation.session import Evaluation

DEFAULT_METRICS = ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max",
                   "aupro")  # fmt: skip
TABLE = ("method", "dataset", "class", "n_normal", "n_anomalous")


def evaluate(
    methods: Annotated[
        list[str], typer.Option("--method", help="Method; may be given several times.", show_default=False)
    ],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="SPEC",
            help="[NAME:]LAYOUT=PATH[:CLASS,CLASS] or samples; may be given several times.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.", show_default=False)],
    backbone: BackboneOption = "mini",
    weights: WeightsOption = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metrics", help="A metric ('zsad metrics' lists them) instead of the standard ones."),
    ] = None,
    resolution: Annotated[
        Literal["image-size", "native"],
        typer.Option("--resolution", help="Where maps and masks are compared."),
    ] = "image-size",
    resume: Annotated[bool, typer.Option("--resume", help="Keep finished cells of the folder.")] = False,
    include_contaminated: Annotated[
        bool,
        typer.Option("--include-contaminated", help="Let cells whose images were seen in training count."),
    ] = False,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    untrained: UntrainedOption = False,
    workers: WorkersOption = None,
    engine: Annotated[Literal["local"], typer.Option("--engine", help="Where cells run.")] = "local",
    as_json: JsonOption = False,
) -> None:
    """Evaluate methods on datasets."""
    from zsad.data.spec import open_dataset
    from zsad.evaluation.cells import Rules
    from zsad.evaluation.contestants import load_contestants
    from zsad.evaluation.session import prepare
    from zsad.files import check_writable
    from zsad.host import get_host

    host = get_host()
    wanted = tuple(dict.fromkeys(metrics or DEFAULT_METRICS))
    for name in wanted:
        host.metrics.get(name)
    for name in methods:
        host.recipes.get(name)
    sources = method_weights(weights, methods)
    datasets = [open_dataset(spec, host) for spec in data]
    # Refused before seconds go into a backbone: a folder that cannot be written to.
    check_writable(out)
    contestants = load_contestants(
        methods,
        backbone=backbone,
        weights=sources,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=overrides or (),
        seed=seed,
        untrained=untrained,
    )
    evaluation = prepare(
        host,
        contestants,
        datasets,
        out,
        Rules(wanted, resolution, seed),
        batch_size=batch_size,
        workers=default_workers() if workers is None else workers,
        resume=resume,
        include_contaminated=include_contaminated,
    )
    asked = {"methods": methods, "data": data, "backbone": backbone, "weights": weights or [],
             "image_size": image_size, "batch_size": batch_size, "dtype": dtype, "seed": seed,
             "overrides": overrides or [], "resolution": resolution, "engine": engine}  # fmt: skip
    rows, failed = run_and_report(evaluation, asked)
    if as_json:
        print_json(rows)
    else:
        print_results(rows, evaluation)
    if failed:
        raise ZsadError(f"{failed} images could not be read; the report names them, the rest was evaluated")


def default_workers() -> int:
    """Return how many processes decode images: one per core, but for the one that computes; at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores - 1))


def run_and_report(evaluation: Evaluation, asked: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Run with progress on stderr; return the rows of the table and the number of unreadable images."""
    plan = evaluation.plan
    total = sum(len(task.images) for task in plan.tasks)
    print_message(
        f"{len(plan.cells)} cells, {plan.passes} image passes (one method at a time would take "
        f"{plan.separate_passes})"
    )
    finished: list[dict[str, Any]] = []
    with ProgressLine(total, "images") as progress:
        for step in evaluation.run(asked):
            finished += step.cells
            progress.show(step.images)
            if step.resumed:
                progress.note(f"{len(step.cells)} cells were finished already")
            for failure in step.cells[0]["failed"] if step.cells else ():
                progress.note(f"error: {failure['error']}")
    unreadable = {failure["image"] for cell in finished for failure in cell["failed"]}
    return evaluation.rows(finished), len(unreadable)


def print_results(rows: Sequence[Mapping[str, Any]], evaluation: Evaluation) -> None:
    """Print the table in per cent: the means, and single classes where a dataset has several."""
    from zsad.evaluation.summary import MEAN

    count = {(row["method"], row["dataset"]): 0 for row in rows}
    for row in rows:
        count[row["method"], row["dataset"]] += row["class"] != MEAN
    shown = [row for row in rows if row["class"] == MEAN or count[row["method"], row["dataset"]] > 1]
    names = [name for name in evaluation.metrics if any(row.get(name) is not None for row in rows)]
    print_table(
        [{**row, **{name: _per_cent(row.get(name)) for name in names}} for row in shown], (*TABLE, *names)
    )
    for sentence in undefined_sentences(evaluation):
        print_message(sentence)
    print_message(f"report: {evaluation.store.folder / 'report.html'}")


def undefined_sentences(evaluation: Evaluation) -> list[str]:
    """Return one sentence per dataset and reason for figures that have no value."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for cell in evaluation.plan.cells:
        result = evaluation.store.read_cell(cell.key) or {"undefined": {}}
        for name, reason in result["undefined"].items():
            found.setdefault((cell.dataset.name, reason), {})[name] = None
    return [f"{dataset}: {', '.join(names)} {reason}" for (dataset, reason), names in found.items()]


def _per_cent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}"
