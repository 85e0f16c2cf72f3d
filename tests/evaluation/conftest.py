"""Evaluations of built-in and stand-in methods on a tiny backbone, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.evaluation.drawing import draw
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.data.corruption import Corruption
from zsad.data.dataset import Dataset
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.evaluation.cells import Contestant, Rules
from zsad.evaluation.results import CellResult
from zsad.evaluation.session import Evaluation, prepare
from zsad.evaluation.store import ResultStore
from zsad.plugin.host import Host, get_host

METRICS = ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro")


class Run(NamedTuple):
    """A finished evaluation."""

    evaluation: Evaluation
    cells: list[CellResult]
    notes: list[str]
    resumed: bool

    @property
    def folder(self) -> Path:
        return self.evaluation.store.folder

    def cell(self, method: str, class_name: str) -> CellResult:
        (found,) = [c for c in self.cells if c.method == method and c.class_name == class_name]
        return found


@pytest.fixture
def host(site: Any) -> Iterator[Host]:
    """The host with the built-ins and the stand-ins."""
    site.install("zsad-fakes", {}, {"fakes": "tests.fakes.plugin"})
    yield get_host()


@pytest.fixture
def detector(host: Host, tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def load(method: str, *overrides: str, **options: Any) -> Detector:
        return load_detector(method, backbone=tiny_backbone, overrides=overrides, host=host, **options)

    return load


@pytest.fixture
def dataset(host: Host, tmp_path: Path) -> Dataset:
    """Two classes of three normal and three anomalous images."""
    return open_dataset(f"folder={draw(tmp_path / 'parts')}", host)


@pytest.fixture
def evaluate(host: Host, tmp_path: Path) -> Callable[..., Run]:
    def run(
        detectors: Sequence[Detector],
        datasets: Sequence[Dataset],
        *,
        out: str = "run",
        resume: bool = False,
        include_contaminated: bool = False,
        workers: int = 0,
        corruptions: Sequence[Corruption | None] = (None,),
        **rules: Any,
    ) -> Run:
        store = ResultStore(tmp_path / out)
        store.open(resume=resume)
        evaluation = prepare(
            host,
            [Contestant(each) for each in detectors],
            datasets,
            store,
            Rules(**{"metrics": METRICS, **rules}),
            workers=workers,
            include_contaminated=include_contaminated,
            corruptions=corruptions,
        )
        steps = list(evaluation.run({}))
        cells = [cell for step in steps for cell in step.cells]
        notes = [note for step in steps for note in step.notes]
        return Run(evaluation, cells, notes, any(step.resumed for step in steps))

    return run
