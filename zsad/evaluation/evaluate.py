"""From a request to results: what ``zsad eval`` and ``zsad.evaluate`` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.claim import claimed
from zsad.data.dataset import Dataset
from zsad.data.loading import default_workers
from zsad.data.nouns import with_nouns
from zsad.data.spec import open_dataset
from zsad.detect.references import find_references
from zsad.evaluation.cells import Rules
from zsad.evaluation.contestants import load_contestants
from zsad.evaluation.planning import Plan
from zsad.evaluation.references import References
from zsad.evaluation.request import EvaluationRequest
from zsad.evaluation.results import CellResult
from zsad.evaluation.runner import Progress
from zsad.evaluation.session import Evaluation, prepare
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow
from zsad.plugin.host import Host, get_host


@dataclass(frozen=True)
class Reports:
    """What is called while an evaluation goes on.

    Attributes:
        planned: With the plan, before anything runs.
        step: With every step.
    """

    planned: Callable[[Plan], None] = lambda plan: None
    step: Callable[[Progress], None] = lambda step: None

    @classmethod
    def counting(cls, progress: Callable[[int, int], None]) -> Reports:
        """Return reports that call a function with the images done and their total."""
        totals: list[int] = []
        return cls(
            planned=lambda plan: totals.append(plan.images),
            step=lambda step: progress(step.images, totals[-1]),
        )


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes:
        evaluation: What ran.
        cells: The finished cells of what was asked for, those that a resumed run had found included.
        rows: The rows of ``summary.csv``: every cell that the folder holds, and the mean over the classes of
            every dataset.
    """

    evaluation: Evaluation
    cells: tuple[CellResult, ...]
    rows: list[SummaryRow]

    @property
    def folder(self) -> Path:
        """Where the results lie: ``summary.csv``, ``report.html``, ``run.json``, a file per cell."""
        return self.evaluation.store.folder


def evaluate(
    request: EvaluationRequest,
    host: Host | None = None,
    reports: Reports | None = None,
    *,
    noted: Mapping[str, Any] | None = None,
) -> Evaluated:
    """Evaluate methods on datasets; every finished cell is kept at once.

    Args:
        request: What is wanted.
        host: Plugin host, by default the process's own.
        reports: What is called meanwhile.
        noted: What ``run.json`` says of the run beside the request.

    Raises:
        InputError: Whatever does not exist or does not fit, where possible before a backbone is loaded, or
            another process evaluates into the folder.
        ZsadError: A metric gave no number, or the folder cannot be written to; finished cells stay.
    """
    host, reports = host or get_host(), reports or Reports()
    request.check(host)
    datasets = with_nouns([open_dataset(spec, host) for spec in request.data], request.nouns)
    with claimed(request.folder, "evaluating into"):
        # Refused before seconds go into a backbone: a folder that holds a run, or cannot be written to.
        store = ResultStore(request.folder)
        store.open(resume=request.resume)
        evaluation = _prepared(request, host, datasets, store)
        reports.planned(evaluation.plan)
        asked = {**(noted or {}), **request.as_dict(), "workers": evaluation.workers, "engine": "local"}
        cells: list[CellResult] = []
        # Closed here: an interrupt between two steps still has the table written, and its errors seen.
        with closing(evaluation.run(asked)) as steps:
            for step in steps:
                cells += step.cells
                reports.step(step)
        return Evaluated(evaluation, tuple(cells), evaluation.rows())


def _prepared(
    request: EvaluationRequest, host: Host, datasets: Sequence[Dataset], store: ResultStore
) -> Evaluation:
    """Load the methods and return the evaluation."""
    references = None
    if request.references is not None:
        references = References(find_references(request.references))
    elif request.shots is not None:
        references = References(shots=request.shots, seed=request.seed)
    return prepare(
        host,
        load_contestants(request, host),
        datasets,
        store,
        Rules(tuple(dict.fromkeys(request.metrics)), request.resolution, request.seed, request.batch_size),
        references,
        workers=default_workers() if request.workers is None else request.workers,
        include_contaminated=request.include_contaminated,
        corruptions=request.corruptions,
    )
