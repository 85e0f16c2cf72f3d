"""What an evaluation has to run: cells, and the passes that serve them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import product

from zsad.data.corruption import CLEAN, Corruption
from zsad.data.dataset import Dataset, DatasetImage
from zsad.detect.passes import group_by_pass
from zsad.errors import InputError
from zsad.evaluation.cells import Cell, Contestant, Rules
from zsad.evaluation.references import CellReferences, References


@dataclass(frozen=True)
class Task:
    """The images of one class, and the cells that one pass over them feeds.

    Attributes:
        images: The images.
        cells: Cells whose methods share their passes.
    """

    images: tuple[DatasetImage, ...]
    cells: tuple[Cell, ...]

    @property
    def passes_per_image(self) -> int:
        """Passes through the vision tower for each image."""
        return self.cells[0].contestant.detector.reading.passes


@dataclass(frozen=True)
class Plan:
    """Everything an evaluation runs, in order.

    Attributes:
        tasks: By dataset, class and encode key.
    """

    tasks: tuple[Task, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in order."""
        return tuple(cell for task in self.tasks for cell in task.cells)

    @property
    def images(self) -> int:
        """Images that the tasks read; one that serves several tasks counts in each."""
        return sum(len(task.images) for task in self.tasks)

    @property
    def passes(self) -> int:
        """Images passed through a vision tower."""
        return sum(len(task.images) * task.passes_per_image for task in self.tasks)

    @property
    def separate_passes(self) -> int:
        """What :attr:`passes` would be if every method ran alone."""
        return sum(len(task.images) * task.passes_per_image * len(task.cells) for task in self.tasks)

    def without(self, finished: Container[str]) -> Plan:
        """Return what is left to run when the cells of these keys are finished."""
        left = [(task.images, tuple(c for c in task.cells if c.key not in finished)) for task in self.tasks]
        return Plan(tuple(Task(images, cells) for images, cells in left if cells))


def make_plan(
    contestants: Sequence[Contestant],
    datasets: Sequence[Dataset],
    rules: Rules,
    references: References | None = None,
    corruptions: Sequence[Corruption | None] = (None,),
) -> Plan:
    """Lay out an evaluation.

    Args:
        contestants: The methods.
        datasets: What they run on.
        rules: What is measured and how.
        references: Where those of few-shot methods come from, or None where they remember some already.
        corruptions: What is done to the images, one after the other; None stands for nothing. References stay
            as they are.

    Raises:
        InputError: A corruption given twice, or two datasets or two methods of the same name, whose results
            could not be told apart; a class without references for a few-shot method, or with one that is
            tested too.
    """
    _check_unique("--data", [dataset.name for dataset in datasets], "name one of them: NAME:SPEC")
    _check_unique("--method", [contestant.method for contestant in contestants], "leave one of them out")
    _check_unique("--corrupt", [str(each or CLEAN) for each in corruptions], "leave one of them out")
    by_detector = {id(contestant.detector): contestant for contestant in contestants}
    groups = [
        [by_detector[id(detector)] for detector in group]
        for group in group_by_pass([contestant.detector for contestant in contestants])
    ]
    tasks = []
    for source, corruption in product(datasets, corruptions):
        dataset = source if corruption is None else replace(source, corruption=corruption)
        for class_name in dataset.classes:
            part = dataset.restricted_to([class_name])
            for group in groups:
                cells = tuple(
                    Cell(
                        member,
                        dataset,
                        part,
                        rules,
                        CellReferences.of(member.detector, references, dataset, class_name),
                    )
                    for member in group
                )
                tasks.append(Task(part.images, cells))
    return Plan(tuple(tasks))


def _check_unique(option: str, names: Sequence[str], mend: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{option}: '{name}' was given twice; {mend}")
