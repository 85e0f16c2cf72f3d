"""``zsad datasets``: the layouts that can be read, and whether a dataset is sound."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_message, print_table, progress
from zsad.data.dataset import Dataset
from zsad.data.inspection import Problem, count_classes, find_problems
from zsad.data.spec import FORM, needs_path, open_dataset
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.plugin.imports import load_object

app = list_group()

SHOWN = 20
"""Problems that are printed one by one; ``--json`` has all of them."""


@app.command("list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the dataset layouts, the words before = in LAYOUT=PATH."""
    rows = [
        {"name": name, "distribution": claim.distribution, "summary": claim.spec.summary}
        for name, claim in sorted(get_host().datasets.items())
    ]
    if as_json:
        print_json(rows)
        return
    print_table(rows, ("name", "distribution", "summary"), optional=("distribution",))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a layout, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Describe a dataset layout: what has to lie where."""
    claim = get_host().datasets.get(name)
    reader = load_object(claim.spec.reader)
    fields = {
        "name": name,
        "distribution": claim.distribution,
        "summary": claim.spec.summary,
        "written": f"{name}=PATH" if needs_path(reader) else name,
    }
    module = inspect.getmodule(reader)
    described = (module and inspect.getdoc(module)) or inspect.getdoc(reader)
    if as_json:
        print_json({**fields, "reader": claim.spec.reader, "description": described})
        return
    print_fields(fields)
    if described:
        print(f"\n{_plain(described)}")


@app.command("check")
def check(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help=f"{FORM}, or samples.")],
    as_json: JsonOption = False,
) -> None:
    """Open every file of a dataset and report what is wrong; exit code 1 if anything is."""
    dataset = open_dataset(spec, get_host())
    images = [*dataset.images, *dataset.normal_train_images]
    problems = [
        problem for image in progress(images, len(images), "images") for problem in find_problems(image)
    ]
    if as_json:
        print_json(_report(dataset, problems))
    else:
        _print(dataset, problems)
    if problems:
        raise typer.Exit(1)


def _report(dataset: Dataset, problems: list[Problem]) -> dict[str, Any]:
    try:
        hashed = dataset.manifest_hash
    except InputError:  # of a file that is among the problems
        hashed = None
    return {
        "name": dataset.name,
        "root": dataset.root,
        "manifest_hash": hashed,
        "has_masks": dataset.has_masks,
        "anomalous_without_mask": len(dataset.maskless),
        "classes": count_classes(dataset),
        "problems": problems,
    }


def _print(dataset: Dataset, problems: list[Problem]) -> None:
    rows = [
        {
            "class": row.class_name,
            "noun": row.noun,
            "normal": row.normal,
            "anomalous": row.anomalous,
            "masks": row.masks,
            "train": row.train,
            "problems": sum(problem.class_name == row.class_name for problem in problems),
        }
        for row in count_classes(dataset)
    ]
    print_table(rows, ("class", "noun", "normal", "anomalous", "masks", "train", "problems"))
    for problem in problems[:SHOWN]:
        print_message(problem.text)
    if len(problems) > SHOWN:
        print_message(f"and {len(problems) - SHOWN} more; --json lists all")
    for notice in _notices(dataset):
        print_message(notice)


def _notices(dataset: Dataset) -> list[str]:
    """Return what is no mistake, but leaves figures undefined."""
    notices = []
    if not dataset.has_normal_images:
        notices.append("no normal images: image metrics will be undefined")
    if dataset.maskless:
        count = len(dataset.maskless)
        notices.append(f"{count} anomalous images have no mask: pixel metrics will leave them out")
    return notices


def _plain(description: str) -> str:
    """Return a docstring without the marks of its code blocks."""
    return description.replace(".. code-block:: text\n\n", "").replace("``", "")
