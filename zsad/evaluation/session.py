"""One evaluation from names to files: what ``zsad eval`` and ``zsad quickstart`` do."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, get_args

import torch

from zsad.data.corruption import Corruption
from zsad.data.dataset import Dataset
from zsad.errors import InputError
from zsad.evaluation.cells import Contestant, Rules
from zsad.evaluation.joining import joined_cells, joined_keys, joined_run, label, outdated
from zsad.evaluation.planning import Plan, make_plan
from zsad.evaluation.references import References
from zsad.evaluation.report import write_report
from zsad.evaluation.results import CellResult, DatasetInfo, Environment, MethodInfo, PluginInfo, RunInfo
from zsad.evaluation.runner import Progress, run_plan
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, summary_rows, write_summary
from zsad.metrics.metric import Metric
from zsad.metrics.states import Level
from zsad.plugin.host import Host
from zsad.plugin.imports import cause, load_object

PACKAGES = ("zsad", "torch", "open_clip_torch", "timm", "transformers", "peft", "numpy", "scipy", "pillow")


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
        """Run; on any way out, the table covers the finished cells, those that the folder held included.

        Args:
            options: What the user asked for, kept in run.json.
        """
        held = self.store.held()
        planned = {cell.key: cell for cell in self.plan.cells}
        stale = outdated(
            (cell for cell in held.values() if cell.key not in planned),
            {label(cell.facts, cell.rules.resolution): cell.facts for cell in self.plan.cells},
        )
        for cell in stale:
            del held[cell.key]
        info = self._info(options, held)
        self.store.write_run(info)
        complete = False
        try:
            if notes := (*self.store.taken_notes(), *map(_stale, stale)):
                yield Progress((), 0, notes=notes)
            for step in run_plan(self.plan, self.store, self.metrics, workers=self.workers):
                held |= {cell.key: cell for cell in step.cells}
                yield step
            complete = True
        finally:
            self._conclude(held, info.model_copy(update={"complete": complete, "finished": _now()}))

    def rows(self) -> list[SummaryRow]:
        """Return the rows of the table: all that the folder holds.

        Raises:
            InputError: It holds no run, or some of it is not readable.
        """
        _, cells = self.store.read_results()
        return summary_rows(cells, contaminated=self.include_contaminated)

    def _conclude(self, held: Mapping[str, CellResult], info: RunInfo) -> None:
        cells = [held[key] for key in info.cells if key in held]
        joined = joined_cells(cells)
        write_summary(self.store.folder, summary_rows(joined, contaminated=self.include_contaminated))
        # Cells that differ in their metrics alone have the same rows.
        self.store.write_images([cell.key for cell in joined])
        self.store.write_run(info)
        write_report(self.store.folder)

    def _info(self, options: Mapping[str, Any], held: Mapping[str, CellResult]) -> RunInfo:
        planned = tuple(cell.key for cell in self.plan.cells)
        own = self._own_info(options, joined_keys(tuple(held), planned))
        if self.store.former is None:
            return own
        return joined_run(self.store.former, own, [cell for key, cell in held.items() if key not in planned])

    def _own_info(self, options: Mapping[str, Any], keys: tuple[str, ...]) -> RunInfo:
        contestants = {cell.contestant.method: cell.contestant for cell in self.plan.cells}
        return RunInfo(
            started=_now(),
            options=dict(options),
            former=(),
            metrics=tuple(self.metrics),
            include_contaminated=self.include_contaminated,
            cells=keys,
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
    references: References | None = None,
    *,
    workers: int = 0,
    include_contaminated: bool = False,
    corruptions: Sequence[Corruption | None] = (None,),
) -> Evaluation:
    """Plan an evaluation.

    Args:
        host: Whose metrics are known.
        contestants: The methods.
        datasets: What they run on.
        store: Where results go, open already: a folder is refused before seconds go into a backbone.
        rules: What is measured and how.
        references: Where those of few-shot methods come from, or None where they remember some already.
        workers: Processes that decode images.
        include_contaminated: Whether contaminated cells count in means.
        corruptions: What is done to the images, one after the other; None stands for nothing.

    Raises:
        InputError: An unknown metric, or as :func:`make_plan`.
    """
    metrics = {name: _metric(host, name) for name in rules.metrics}
    plan = make_plan(contestants, datasets, rules, references, corruptions)
    return Evaluation(plan, tuple(datasets), store, metrics, workers, include_contaminated)


def _metric(host: Host, name: str) -> Metric:
    build: Callable[[], Metric] = load_object(host.metrics.get(name).spec.factory)
    try:
        metric = build()
    except (TypeError, ValueError) as error:
        raise InputError(f"--metrics {name}: {error}") from error
    except Exception as error:  # a plugin's code
        raise InputError(f"--metrics {name}: {cause(error)}") from error
    if not isinstance(metric, Metric) or metric.level not in get_args(Level):
        raise InputError(
            f"--metrics {name}: what its factory builds is no metric; that has compute(state), and the level "
            f"{' or '.join(map(repr, get_args(Level)))}"
        )
    return metric


def _stale(cell: CellResult) -> str:
    return (
        f"{cell.method} on {cell.dataset.name} ({cell.class_name}) was measured on other files or weights: "
        "that row leaves the table for the one of now"
    )


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
