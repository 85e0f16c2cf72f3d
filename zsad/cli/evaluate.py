"""``zsad eval``: methods on datasets, with everything that stands behind the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zsad.cli.common import (
    AbnormalPromptOption,
    AdapterOption,
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    NormalPromptOption,
    SeedOption,
    SetOption,
    UntrainedOption,
    WeightsOption,
    WorkersOption,
    method_weights,
)
from zsad.cli.output import JsonOption, ProgressLine, print_json, print_message, print_table
from zsad.cli.paths import path, sentences
from zsad.cli.references import (
    AbnormalReferenceOption,
    MemoryOption,
    ReferenceMasksOption,
    ReferenceOption,
)
from zsad.data.corruption import CLEAN, FORM, corruption_words
from zsad.data.left_out import left_out_words
from zsad.data.masks import faint_words
from zsad.errors import ZsadError
from zsad.recipe.settings import Settings

if TYPE_CHECKING:
    from zsad.evaluation.evaluate import Evaluated
    from zsad.evaluation.planning import Plan
    from zsad.evaluation.request import EvaluationRequest
    from zsad.evaluation.results import CellResult
    from zsad.evaluation.runner import Progress
    from zsad.evaluation.session import Evaluation
    from zsad.evaluation.summary import SummaryRow

THRESHOLDS_SHOWN = 4
"""Cells whose thresholds are printed; of more, the report has them."""
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
    out: Annotated[
        Path,
        typer.Option("--out", parser=path, metavar="DIR", help="Folder for the results.", show_default=False),
    ],
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
    nouns: Annotated[
        list[str] | None,
        typer.Option(
            "--noun",
            metavar="DATASET[:CLASS]=NOUN",
            help="What prompts call the object of a dataset or class; may be given several times.",
        ),
    ] = None,
    normal_prompt: NormalPromptOption = None,
    abnormal_prompt: AbnormalPromptOption = None,
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            "--corrupt",
            metavar=FORM,
            help=f"Evaluate on images made worse: {corruption_words()}; or '{CLEAN}', the images as they "
            "are, beside which the report shows what is lost. May be given several times.",
        ),
    ] = None,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    untrained: UntrainedOption = False,
    workers: WorkersOption = None,
    reference: ReferenceOption = None,
    reference_abnormal: AbnormalReferenceOption = None,
    reference_masks: ReferenceMasksOption = None,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            help="Draw so many references of each class, by --seed: of --reference, or without it of the "
            "dataset's training part.",
            show_default=False,
        ),
    ] = None,
    memory: MemoryOption = None,
    engine: Annotated[
        Literal["local"], typer.Option("--engine", help="Where cells run: here. Others are reserved.")
    ] = "local",
    as_json: JsonOption = False,
) -> None:
    """Evaluate methods on datasets."""
    from zsad.data.nouns import parse_nouns
    from zsad.detect.references import reference_request
    from zsad.evaluation.request import EvaluationRequest
    from zsad.evaluation.summary import STANDARD_METRICS

    request = EvaluationRequest(
        methods=tuple(methods),
        data=tuple(data),
        folder=out,
        backbone=backbone,
        weights=method_weights(weights, methods),
        adapter=adapter,
        metrics=tuple(metrics or STANDARD_METRICS),
        resolution=resolution,
        resume=resume,
        include_contaminated=include_contaminated,
        nouns=parse_nouns(nouns or ()),
        normal_prompts=sentences(normal_prompt, "--normal-prompt"),
        abnormal_prompts=sentences(abnormal_prompt, "--abnormal-prompt"),
        corrupt=tuple(corrupt or (CLEAN,)),
        image_size=image_size,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        seed=seed,
        overrides=Settings.parse(overrides or ()),
        untrained=untrained,
        workers=workers,
        references=reference_request(
            reference, reference_abnormal, reference_masks, None if reference is None else shots, seed
        ),
        shots=shots if reference is None else None,
        memory=memory,
    )
    found = run_with_progress(request)
    if as_json:
        print_json([row.columns() for row in found.rows])
    else:
        print_results(found.rows, found.evaluation)
    print_notices(found.cells, found.evaluation)
    check_all_read(found.cells, found.evaluation)


def run_with_progress(request: EvaluationRequest, noted: Mapping[str, Any] | None = None) -> Evaluated:
    """Evaluate with progress on stderr; ``noted`` goes into run.json."""
    from zsad.evaluation.evaluate import Reports, evaluate

    told: set[str] = set()
    faint: dict[Path, tuple[int, int]] = {}
    plans: list[Plan] = []

    def planned(plan: Plan) -> None:
        plans.append(plan)
        for dataset in {cell.dataset.name: cell.dataset for cell in plan.cells}.values():
            if dataset.left_out:
                progress.note(f"{dataset.name}: {left_out_words(dataset.left_out)}")
        progress.note(
            f"{len(plan.cells)} cells, {plan.passes} image passes (one method at a time would take "
            f"{plan.separate_passes})"
        )
        progress.show(0, plan.images)

    def show(step: Progress) -> None:
        progress.show(step.images)
        faint.update(step.faint)
        for note in step.notes:
            progress.note(note)
        if step.resumed:
            progress.note(f"{len(step.cells)} of {len(plans[0].cells)} cells were finished already")
        for failure in (failure for cell in step.cells for failure in cell.failed):
            if failure.image not in told:
                told.add(failure.image)
                progress.note(f"error: {failure.error}")
        for cell in step.cells:
            if cell.error is not None:
                progress.note(f"error: {_named(cell)}: {cell.error}")
            for name, reason in cell.failed_metrics.items():
                progress.note(f"error: metric '{name}' of {_named(cell)}: {reason}")

    with ProgressLine(1, "images") as progress:
        found = evaluate(request, reports=Reports(planned, show), noted=noted)
        if faint:
            marked, unmarked = map(sum, zip(*faint.values(), strict=True))
            progress.note(faint_words(len(faint), marked, unmarked))
        return found


def check_all_read(cells: Sequence[CellResult], evaluation: Evaluation) -> None:
    """Refuse to call a run done that lacks images or answers.

    Raises:
        ZsadError: Some images could not be read, a method gave no answer for a class, or a metric no number.
    """
    unreadable = {failure.image for cell in cells for failure in cell.failed}
    unanswered = sum(cell.error is not None for cell in cells)
    lacking = []
    if unreadable:
        total = sum(len(dataset.images) for dataset in evaluation.datasets)
        lacking.append(f"{len(unreadable)} of {total} images could not be read")
    if figures := sum(len(cell.failed_metrics) for cell in cells):
        lacking.append(f"{figures} figures have no number of their metric")
    if unanswered:
        lacking.append(f"{unanswered} of {len(cells)} cells have no answer of their method")
    if lacking:
        raise ZsadError(f"{' and '.join(lacking)}; the report names them, the rest was evaluated")


def print_results(rows: Sequence[SummaryRow], evaluation: Evaluation) -> None:
    """Print the table in per cent: the means, and classes where there are several or the mean lacks one."""
    from zsad.evaluation.summary import metric_names, telling

    classes = Counter(row.group for row in rows if not row.is_mean)
    shown = [row for row in rows if row.is_mean or row.contaminated or classes[row.group] > 1]
    known = dict.fromkeys((*evaluation.metrics, *metric_names(rows)))
    names = [name for name in known if any(row.metrics.get(name) is not None for row in rows)]
    # What is the same in all rows can be missed too, where the terminal is narrow.
    same = [column for column in ("dataset", "class") if len({row.columns()[column] for row in shown}) == 1]
    print_table(
        [row.columns() | {name: _per_cent(row.metrics.get(name)) for name in names} for row in shown],
        (*TABLE, *telling(rows), *names),
        optional=("n_normal", "n_anomalous", *same),
    )
    print_message(f"report: {evaluation.store.folder / 'report.html'}")


def print_notices(cells: Sequence[CellResult], evaluation: Evaluation) -> None:
    """Say on stderr which figures have no value and why, and which cells' images were seen in training."""
    undefined: dict[tuple[str, str], dict[str, set[str]]] = {}
    contaminated: dict[tuple[str, str, str], set[str]] = {}
    for cell in cells:
        dataset, class_name = cell.dataset.name, cell.class_name
        if cell.error is None:  # else it was said already, with the name of the method
            for name, reason in cell.undefined.items():
                if name in cell.failed_metrics:  # likewise
                    continue
                undefined.setdefault((dataset, reason), {}).setdefault(name, set()).add(class_name)
        if source := cell.contaminated_by:
            contaminated.setdefault((dataset, cell.method, source), set()).add(class_name)
    classes = {dataset.name: dataset.classes for dataset in evaluation.datasets}
    print_thresholds(cells, evaluation)
    for (dataset, reason), names in undefined.items():
        where = _where(dataset, set().union(*names.values()), classes[dataset])
        print_message(f"{where}: {', '.join(names)} {reason}")
    so = "counts all the same" if evaluation.include_contaminated else "does not count in the mean"
    for (dataset, method, source), seen in contaminated.items():
        where = _where(dataset, seen, classes[dataset])
        print_message(f"{where}: contaminated for {method}, the {source} saw it in training; it {so}")


def print_thresholds(cells: Sequence[CellResult], evaluation: Evaluation) -> None:
    """Say on stderr where the figures lie that are those of one threshold, or where that is to be read."""
    tuned = [cell for cell in cells if cell.thresholds]
    if len(tuned) > THRESHOLDS_SHOWN:
        print_message(
            f"thresholds, tuned on the labels, of every class: {evaluation.store.folder / 'report.html'}"
        )
        return
    for cell in tuned:
        found = ", ".join(f"{name} at {value:.4g}" for name, value in cell.thresholds.items())
        print_message(f"{_named(cell)}: {found}, tuned on the labels")


def _named(cell: CellResult) -> str:
    seen = cell.class_name if cell.corruption is None else f"{cell.class_name}, {cell.corruption}"
    return f"{cell.method} on {cell.dataset.name} ({seen})"


def _where(dataset: str, some: Container[str], classes: Sequence[str]) -> str:
    """Name a dataset, and the classes that are meant where it is not all of them."""
    named = [name for name in classes if name in some]
    return dataset if len(named) == len(classes) else f"{dataset} ({', '.join(named)})"


def _per_cent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}"
