"""``zsad eval``: methods on datasets, with everything that stands behind the figures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zsad.cli.common import (
    AdapterOption,
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
    from zsad.evaluation.results import CellResult
    from zsad.evaluation.session import Evaluation
    from zsad.evaluation.summary import SummaryRow

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
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    adapter: AdapterOption = None,
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
    from zsad.evaluation.store import ResultStore
    from zsad.plugin.host import get_host

    host = get_host()
    wanted = tuple(dict.fromkeys(metrics or DEFAULT_METRICS))
    for name in wanted:
        host.metrics.get(name)
    for name in methods:
        host.recipes.get(name)
    sources = method_weights(weights, methods)
    datasets = [open_dataset(spec, host) for spec in data]
    # Refused before seconds go into a backbone: a folder that holds a run, or cannot be written to.
    store = ResultStore(out)
    store.open(resume=resume)
    contestants = load_contestants(
        methods,
        backbone=backbone,
        weights=sources,
        adapter=adapter,
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
        store,
        Rules(wanted, resolution, seed, batch_size),
        workers=default_workers() if workers is None else workers,
        include_contaminated=include_contaminated,
    )
    asked = {"methods": methods, "data": data, "backbone": backbone, "weights": weights or [],
             "adapter": None if adapter is None else str(adapter),
             "image_size": image_size, "batch_size": batch_size, "dtype": dtype, "seed": seed,
             "device": device, "untrained": untrained, "workers": evaluation.workers,
             "overrides": overrides or [], "resolution": resolution, "engine": engine}  # fmt: skip
    cells = run_with_progress(evaluation, asked)
    rows = evaluation.rows(cells)
    if as_json:
        print_json([row.columns() for row in rows])
    else:
        print_results(rows, evaluation)
    print_notices(cells, evaluation)
    check_all_read(cells, evaluation)


def default_workers() -> int:
    """Return how many processes decode images: one per core, but for the one that computes; at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores - 1))


def run_with_progress(evaluation: Evaluation, asked: Mapping[str, Any]) -> list[CellResult]:
    """Run with progress on stderr; return the finished cells."""
    plan = evaluation.plan
    print_message(
        f"{len(plan.cells)} cells, {plan.passes} image passes (one method at a time would take "
        f"{plan.separate_passes})"
    )
    finished: list[CellResult] = []
    told: set[str] = set()
    # Closed here, so that an interrupt between two steps still has the table written, and its errors seen.
    with ProgressLine(plan.images, "images") as progress, closing(evaluation.run(asked)) as steps:
        for step in steps:
            finished += step.cells
            progress.show(step.images)
            if step.resumed:
                progress.note(f"{len(step.cells)} of {len(plan.cells)} cells were finished already")
            for failure in (failure for cell in step.cells for failure in cell.failed):
                if failure.image not in told:
                    told.add(failure.image)
                    progress.note(f"error: {failure.error}")
    return finished


def check_all_read(cells: Sequence[CellResult], evaluation: Evaluation) -> None:
    """Refuse to call a run done that lacks images.

    Raises:
        ZsadError: Some could not be read.
    """
    unreadable = {failure.image for cell in cells for failure in cell.failed}
    if unreadable:
        total = sum(len(dataset.images) for dataset in evaluation.datasets)
        raise ZsadError(
            f"{len(unreadable)} of {total} images could not be read; the report names them, the rest was "
            "evaluated"
        )


def print_results(rows: Sequence[SummaryRow], evaluation: Evaluation) -> None:
    """Print the table in per cent: the means, and classes where there are several or the mean lacks one."""
    classes = Counter((row.method, row.dataset) for row in rows if not row.is_mean)
    shown = [row for row in rows if row.is_mean or row.contaminated or classes[row.method, row.dataset] > 1]
    names = [name for name in evaluation.metrics if any(row.metrics.get(name) is not None for row in rows)]
    print_table(
        [row.columns() | {name: _per_cent(row.metrics.get(name)) for name in names} for row in shown],
        (*TABLE, *names),
    )
    print_message(f"report: {evaluation.store.folder / 'report.html'}")


def print_notices(cells: Sequence[CellResult], evaluation: Evaluation) -> None:
    """Say on stderr which figures have no value and why, and which cells' images were seen in training."""
    undefined: dict[tuple[str, str], dict[str, set[str]]] = {}
    contaminated: dict[tuple[str, str, str], set[str]] = {}
    for cell in cells:
        dataset, class_name = cell.dataset.name, cell.class_name
        for name, reason in cell.undefined.items():
            undefined.setdefault((dataset, reason), {}).setdefault(name, set()).add(class_name)
        if source := cell.contaminated_by:
            contaminated.setdefault((dataset, cell.method, source), set()).add(class_name)
    classes = {dataset.name: dataset.classes for dataset in evaluation.datasets}
    for (dataset, reason), names in undefined.items():
        where = _where(dataset, set().union(*names.values()), classes[dataset])
        print_message(f"{where}: {', '.join(names)} {reason}")
    so = "counts all the same" if evaluation.include_contaminated else "does not count in the mean"
    for (dataset, method, source), seen in contaminated.items():
        where = _where(dataset, seen, classes[dataset])
        print_message(f"{where}: contaminated for {method}, the {source} saw it in training; it {so}")


def _where(dataset: str, some: Container[str], classes: Sequence[str]) -> str:
    """Name a dataset, and the classes that are meant where it is not all of them."""
    named = [name for name in classes if name in some]
    return dataset if len(named) == len(classes) else f"{dataset} ({', '.join(named)})"


def _per_cent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}"
