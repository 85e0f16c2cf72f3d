"""One evaluation from names to files: what ``zsad eval`` and ``zsad quickstart`` do."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from zsad.data.dataset import Dataset
from zsad.errors import InputError
from zsad.evaluation.cells import Contestant, Rules
from zsad.evaluation.planning import Plan, make_plan
from zsad.evaluation.report import write_report
from zsad.evaluation.results import CellResult, DatasetInfo, Environment, MethodInfo, PluginInfo, RunInfo
from zsad.evaluation.runner import Progress, run_plan
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, summary_rows, write_summary
from zsad.metrics.metric import Metric
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object

PACKAGES = ("zsad", "torch", "open_clip_torch", "transformers", "peft", "numpy", "scipy", "pillow")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that is ready to run.

    Attributes:
        plan: What runs.
        datasets: What it runs on.
        store: Where results go.
        metrics: By name.
        workers: Processes that decode images.
        include_contaminated: Whether contaminated cells count in means.
    """

    plan: Plan
    datasets: tuple[Dataset, ...]
    store: ResultStore
    metrics: Mapping[str, Metric]
    workers: int
    include_contaminated: bool = False

    def run(self, options: Mapping[str, Any]) -> Generator[Progress, None, None]:
        """Run; on any way out, the table covers the finished cells.

        Args:
            options: What the user asked for, kept in run.json.
        """
        finished: list[CellResult] = []
        info = self._info(options)
        self.store.write_run(info)
        complete = False
        try:
            for step in run_plan(self.plan, self.store, self.metrics, workers=self.workers):
                finished += step.cells
                yield step
            complete = True
        finally:
            self._conclude(finished, info.model_copy(update={"complete": complete, "finished": _now()}))

    def rows(self, finished: Sequence[CellResult]) -> list[SummaryRow]:
        """Return the rows of the table, in the order of the plan."""
        order = {cell.key: place for place, cell in enumerate(self.plan.cells)}
        return summary_rows(
            sorted(finished, key=lambda cell: order[cell.key]), contaminated=self.include_contaminated
        )

    def _conclude(self, finished: Sequence[CellResult], info: RunInfo) -> None:
        keys = {cell.key for cell in finished}
        write_summary(self.store.folder, self.rows(finished))
        self.store.write_images([cell.key for cell in self.plan.cells if cell.key in keys])
        self.store.write_run(info)
        write_report(self.store.folder)

    def _info(self, options: Mapping[str, Any]) -> RunInfo:
        contestants = {cell.contestant.method: cell.contestant for cell in self.plan.cells}
        return RunInfo(
            started=_now(),
            options=dict(options),
            metrics=tuple(self.metrics),
            include_contaminated=self.include_contaminated,
            cells=tuple(cell.key for cell in self.plan.cells),
            passes=self.plan.passes,
            methods={name: _method_info(contestant) for name, contestant in contestants.items()},
            datasets={dataset.name: _dataset_info(dataset) for dataset in self.datasets},
            environment=environment(),
            complete=False,
        )


def prepare(
    host: Host,
    contestants: Sequence[Contestant],
    datasets: Sequence[Dataset],
    store: ResultStore,
    rules: Rules,
    *,
    workers: int = 0,
    include_contaminated: bool = False,
) -> Evaluation:
    """Plan an evaluation.

    Args:
        host: Whose metrics are known.
        contestants: The methods.
        datasets: What they run on.
        store: Where results go, open already: a folder is refused before seconds go into a backbone.
        rules: What is measured and how.
        workers: Processes that decode images.
        include_contaminated: Whether contaminated cells count in means.

    Raises:
        InputError: An unknown metric, or a name given twice.
    """
    metrics = {name: _metric(host, name) for name in rules.metrics}
    plan = make_plan(contestants, datasets, rules)
    return Evaluation(plan, tuple(datasets), store, metrics, workers, include_contaminated)


def _metric(host: Host, name: str) -> Metric:
    build: Callable[[], Metric] = load_object(host.metrics.get(name).spec.factory)
    try:
        return build()
    except (TypeError, ValueError) as error:
        raise InputError(f"--metrics {name}: {error}") from error


def _method_info(contestant: Contestant) -> MethodInfo:
    info = contestant.info
    return MethodInfo(
        recipe=info.recipe,
        recipe_hash=info.recipe_hash,
        setting=info.setting,
        backbone=info.backbone.name,
        backbone_sha256=info.backbone.sha256,
        backbone_trained_on=info.backbone.trained_on,
        weights=contestant.weights,
        weights_sha256=info.weights.sha256,
    )


def _dataset_info(dataset: Dataset) -> DatasetInfo:
    return DatasetInfo(
        manifest_hash=dataset.manifest_hash, images=len(dataset.images), classes=tuple(dataset.classes)
    )


def environment() -> Environment:
    """Return what of this machine and installation can change numbers."""
    from zsad.plugin.host import get_host

    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: version(name) for name in PACKAGES},
        threads=torch.get_num_threads(),
        cuda=torch.version.cuda if torch.cuda.is_available() else None,
        gpus=tuple(torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())),
        command=shlex.join(["zsad", *sys.argv[1:]]),
        plugins=tuple(
            PluginInfo(name=record.qualified, version=record.version, status=record.status)
            for record in get_host().plugins
        ),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
