"""What a folder holds already, beside what is asked for now: it stays, unless the files behind it changed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeVar

from zsad.detect.memories import references_digest
from zsad.evaluation.results import CellFacts, CellResult, DatasetInfo, MethodInfo, Resolution, RunInfo

Info = TypeVar("Info", MethodInfo, DatasetInfo)
Label = tuple[object, ...]


def label(facts: CellFacts, resolution: Resolution) -> Label:
    """Return what tells the figures of a cell from others in a table, but for the names of the metrics."""
    return (
        facts.method, facts.recipe_hash, facts.backbone.name, facts.weights.name, facts.dataset.name,
        facts.class_name, facts.image_size, facts.dtype, facts.shots, facts.seed, resolution,
        facts.corruption,
    )  # fmt: skip


def content(facts: CellFacts) -> Label:
    """Return the hashes of what stands behind a cell's names."""
    references = references_digest(facts.references) if facts.references else ""
    return facts.backbone.sha256, facts.weights.sha256, facts.dataset.manifest_hash, references


def outdated(held: Iterable[CellResult], planned: Mapping[Label, CellFacts]) -> list[CellResult]:
    """Return the cells whose place in the table is taken by a planned one, of files that have changed since.

    Args:
        held: What the folder holds.
        planned: What is asked for, by label.
    """
    return [
        cell
        for cell in held
        if (new := planned.get(label(cell, cell.resolution))) is not None and content(new) != content(cell)
    ]


def joined_cells(cells: Iterable[CellResult]) -> list[CellResult]:
    """Return the cells with those made one that differ in their metrics alone, in the order given."""
    found: dict[Label, CellResult] = {}
    for cell in cells:
        place = (*label(cell, cell.resolution), *content(cell))
        former = found.get(place)
        if former is None or former.error is not None:
            found[place] = cell
        elif cell.error is None:
            found[place] = cell.model_copy(
                update={
                    name: getattr(former, name) | getattr(cell, name)
                    for name in ("metrics", "undefined", "thresholds")
                }
            )
    return list(found.values())


def joined_keys(former: Sequence[str], planned: Sequence[str]) -> tuple[str, ...]:
    """Return former cells and planned ones in one order: the plan's own, if it has all of them."""
    if set(former) <= set(planned):
        return tuple(planned)
    return (*former, *(key for key in planned if key not in set(former)))


def joined_run(former: RunInfo, own: RunInfo, others: Sequence[CellResult]) -> RunInfo:
    """Return what ``run.json`` says when cells of other requests stay beside those of this one.

    Args:
        former: What it said before.
        own: What this request alone would have it say.
        others: The cells that stay and are not of this request.
    """
    if not others:
        return own
    methods, datasets = {cell.method for cell in others}, {cell.dataset.name for cell in others}
    return own.model_copy(
        update={
            "former": (*former.former, former.options),
            "metrics": tuple(dict.fromkeys((*former.metrics, *own.metrics))),
            "passes": former.passes + own.passes,
            "methods": _beside(_named(former.methods, methods), own.methods, lambda info: info.recipe_hash),
            "datasets": _beside(
                _named(former.datasets, datasets), own.datasets, lambda info: info.manifest_hash[:12]
            ),
        }
    )


def _named(infos: Mapping[str, Info], names: Container[str]) -> dict[str, Info]:
    return {name: info for name, info in infos.items() if name.partition(" (")[0] in names}


def _beside(
    former: Mapping[str, Info], own: Mapping[str, Info], mark: Callable[[Info], str]
) -> dict[str, Info]:
    """Return both; a former one whose name now stands for another has a mark behind its name."""
    found: dict[str, Info] = {}
    for name, info in former.items():
        taken = name in own and mark(own[name]) != mark(info)
        found[f"{name} ({mark(info)})" if taken else name] = info
    return {**found, **own}
