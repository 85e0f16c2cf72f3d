"""Run the cells of a plan in this process; every finished cell is kept at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from zsad.data.preprocess import equal_sizes, size_of
from zsad.data.reading import Loaded, Unreadable, read_batches
from zsad.detect.passes import Reading, encode_together
from zsad.detect.references import ReferenceFile
from zsad.detect.remember import read_references, remember
from zsad.errors import InputError
from zsad.evaluation.planning import Plan, Task
from zsad.evaluation.recording import Recorder
from zsad.evaluation.results import CellResult, Timings
from zsad.evaluation.store import ResultStore
from zsad.metrics.metric import Metric
from zsad.values import Features


@dataclass(frozen=True)
class Progress:
    """A step of an evaluation.

    Attributes:
        cells: Cells finished by this step.
        images: Images done, of the whole plan.
        resumed: Whether the cells were there already.
        faint: Images whose mask's file has pixels above zero that are not marked: those marked and those not.
        notes: What the user has to hear of the folder, a sentence each.
    """

    cells: tuple[CellResult, ...]
    images: int
    resumed: bool = False
    faint: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def run_plan(
    plan: Plan, store: ResultStore, metrics: Mapping[str, Metric], *, workers: int
) -> Iterator[Progress]:
    """Run what the store lacks; yield what it has, then after every batch and with finished cells.

    A method that gives no answer for a class costs that cell, a metric that fails its figure; both say why.

    Args:
        plan: What to run.
        store: Where cells are kept.
        metrics: By name.
        workers: Processes that decode images.

    Raises:
        ZsadError: The folder cannot be written; finished cells stay.
    """
    kept = {cell.key: found for cell in plan.cells if (found := store.finished(cell.facts)) is not None}
    rest = plan.without(kept)
    done = plan.images - rest.images
    notes = store.taken_notes()
    if kept or notes:
        yield Progress(tuple(kept.values()), done, resumed=bool(kept), notes=notes)
    for task in rest.tasks:
        for step in _run_task(task, store, metrics, workers):
            yield replace(step, images=done + step.images)
        done += len(task.images)


def _run_task(
    task: Task, store: ResultStore, metrics: Mapping[str, Metric], workers: int
) -> Iterator[Progress]:
    """Yield a step after every batch, and at the end one with the finished cells."""
    recorders = [Recorder(cell) for cell in task.cells]
    detectors = [cell.contestant.detector for cell in task.cells]
    encode_seconds, images, begun = 0.0, 0, time.perf_counter()
    _remember([recorder for recorder in recorders if recorder.cell.references.facts])
    batches = read_batches(
        task.images,
        [detectors[0].reading.form],
        task.cells[0].rules.batch_size,
        workers,
        pixels=any(detector.reading.auxiliary for detector in detectors),
        corruption=task.cells[0].dataset.corruption,
        seed=task.cells[0].rules.seed,
    )
    for batch in batches:
        checked = [_checked(entry, detectors[0].reading) for entry in batch]
        readable = [entry for entry in checked if isinstance(entry, Loaded)]
        for recorder in recorders:
            for entry in checked:
                if isinstance(entry, Unreadable):
                    recorder.fail(entry)
        for places in equal_sizes([entry.sample for entry in readable], detectors[0].reading.form):
            same = [readable[place] for place in places]
            answering = [recorder for recorder in recorders if recorder.error is None]
            if not answering:
                break
            started = time.perf_counter()
            features = _encoded(answering, same)
            _wait_for(detectors[0].backbone.device)
            encode_seconds += time.perf_counter() - started
            for recorder, own in features:
                recorder.add(own, same)
        images += len(batch)
        yield Progress((), images, faint=_faint(readable))
    written = []
    for recorder in recorders:
        recorder.finish()
        figures = recorder.figures(metrics)
        timings = Timings(
            encode_seconds=round(encode_seconds, 4),
            methods_on_the_pass=len(detectors),
            score_seconds=round(recorder.seconds, 4),
            wall_seconds=round(time.perf_counter() - begun, 4),
        )
        cases = store.write_cases(recorder.cell, recorder.cases)
        result = CellResult.of(recorder.cell.facts, figures, timings, cases)
        store.write_cell(result, recorder.rows())
        written.append(result)
    yield Progress(tuple(written), images)


def _checked(entry: Loaded | Unreadable, reading: Reading) -> Loaded | Unreadable:
    """Return an image as it is, or as unreadable where its size does not fit into memory."""
    if isinstance(entry, Loaded):
        try:
            reading.check_size(*size_of(entry.sample, reading.form))
        except InputError as error:
            return Unreadable(entry.place, entry.image, str(error))
    return entry


def _faint(batch: Sequence[Loaded]) -> dict[Path, tuple[int, int]]:
    return {
        entry.image.image: (int(entry.mask.sum()), entry.faint)
        for entry in batch
        if entry.mask is not None and entry.faint
    }


def _encoded(recorders: Sequence[Recorder], batch: Sequence[Loaded]) -> list[tuple[Recorder, Features]]:
    """Return the features of the methods that have some; where one of them fails, each is asked alone."""
    samples = [entry.sample for entry in batch]
    try:
        found = encode_together([each.cell.contestant.detector for each in recorders], samples)
    except Exception as error:
        if len(recorders) == 1:
            recorders[0].give_up(error)
            return []
        return [pair for recorder in recorders for pair in _encoded([recorder], batch)]
    return list(zip(recorders, found, strict=True))


def _remember(recorders: Sequence[Recorder]) -> None:
    """Have few-shot methods remember their references; where one of them fails, each is asked alone."""
    known = {id(each): each.cell.references.remembered for each in recorders}
    for recorder in recorders:
        if (found := known[id(recorder)]) is not None:
            recorder.remember(found)
    by_files: dict[tuple[ReferenceFile, ...], list[Recorder]] = {}
    for recorder in recorders:
        if known[id(recorder)] is None:
            by_files.setdefault(recorder.cell.references.files, []).append(recorder)
    for files, own in by_files.items():
        _remember_files(own, files)


def _remember_files(recorders: Sequence[Recorder], files: Sequence[ReferenceFile]) -> None:
    detectors = [each.cell.contestant.detector for each in recorders]
    cell = recorders[0].cell
    try:
        references = read_references(files, cell.images[0].noun)
        found = remember(detectors, references, cell.rules.batch_size)
    except Exception as error:
        if len(recorders) == 1:
            recorders[0].give_up(error)
            return
        for recorder in recorders:
            _remember_files([recorder], files)
        return
    for recorder, remembered in zip(recorders, found, strict=True):
        recorder.remember(remembered)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":  # it computes on its own while this process goes on: times would mean nothing
        torch.cuda.synchronize(device)
