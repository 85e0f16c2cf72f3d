"""``zsad datasets``: the layouts that can be read, and whether a dataset is sound."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_message, print_table, progress
from zsad.data.dataset import Dataset
from zsad.data.inspection import Inspected, Problem, count_classes, inspect_image
from zsad.data.left_out import left_out_words
from zsad.data.masks import faint_words
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
    names: Annotated[bool, typer.Option("--names", help="Name every file that is left out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open every file of a dataset and report what is wrong; exit code 1 if anything is."""
    dataset = open_dataset(spec, get_host())
    images = [*dataset.images, *dataset.normal_train_images]
    seen = [inspect_image(image) for image in progress(images, len(images), "images")]
    problems = [problem for inspected in seen for problem in inspected.problems]
    if as_json:
        print_json(_report(dataset, problems) | {"mask_levels": _levels(seen)})
    else:
        _print(dataset, problems)
        _print_levels(_levels(seen))
        _print_left_out(dataset, names)
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
        "left_out": dataset.left_out,
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


def _levels(seen: Sequence[Inspected]) -> dict[str, int]:
    """Return how many masks other rules would read differently, and by how much."""
    faint = [inspected for inspected in seen if inspected.faint]
    marked = sum(inspected.marked for inspected in faint)
    return {
        "of_numbers": sum(inspected.numbers for inspected in seen),
        "faint": len(faint),
        "marked_pixels": marked,
        "pixels_above_zero": marked + sum(inspected.faint for inspected in faint),
    }


def _print_levels(levels: Mapping[str, int]) -> None:
    if count := levels["of_numbers"]:
        print_message(
            f"masks of {count} images have no value above half of white: they are read as class numbers, and "
            "everything above 0 is marked"
        )
    if count := levels["faint"]:
        marked = levels["marked_pixels"]
        print_message(faint_words(count, marked, levels["pixels_above_zero"] - marked))


def _print_left_out(dataset: Dataset, names: bool) -> None:
    if not dataset.left_out:
        return
    print_message(left_out_words(dataset.left_out) + ("" if names else "; --names says which"))
    for entry in dataset.left_out if names else ():
        print_message(f"left out: {entry.path}, {entry.reason}")


def _notices(dataset: Dataset) -> list[str]:
    """Return what is no mistake, but leaves figures undefined."""
    notices = []
    if not dataset.has_normal_images:
        notices.append("no normal images: image metrics will be undefined")
    if dataset.maskless:
        count = len(dataset.maskless)
        notices.append(
            f"{count} anomalous images have no mask: pixel metrics of their classes will be undefined"
        )
    return notices


def _plain(description: str) -> str:
    """Return a docstring without the marks of its code blocks."""
    return description.replace(".. code-block:: text\n\n", "").replace("``", "")
