"""The options by which commands take reference images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsad.cli.output import print_message
from zsad.cli.paths import path

if TYPE_CHECKING:
    from zsad.detect.references import ReferenceFiles

ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        metavar="DIR",
        parser=path,
        help="Normal images that a few-shot method compares with: one set, or a folder for each class.",
        show_default=False,
    ),
]
AbnormalReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference-abnormal",
        metavar="DIR",
        parser=path,
        help="Abnormal ones, for methods that need some.",
        show_default=False,
    ),
]
ReferenceMasksOption = Annotated[
    Path | None,
    typer.Option("--reference-masks", metavar="DIR", parser=path, help="Masks of these.", show_default=False),
]
ShotsOption = Annotated[
    int | None,
    typer.Option(
        "--shots",
        help="Draw so many references of each class, by --seed; by default all are taken.",
        show_default=False,
    ),
]
MemoryOption = Annotated[
    Path | None,
    typer.Option(
        "--memory",
        metavar="FILE",
        parser=path,
        help="What 'zsad remember' wrote, in the place of --reference.",
        show_default=False,
    ),
]


def say_references(found: ReferenceFiles, names: Sequence[str]) -> None:
    """Tell which references are taken, and what is not.

    Args:
        found: What there is.
        names: The classes that are wanted.
    """
    from zsad.data.left_out import left_out_words

    for name in names:
        files = found.classes[name]
        normal = sum(file.mask is None for file in files)
        of = f" of class {name}" if name else ""
        more = f" and {len(files) - normal} abnormal ones" if normal < len(files) else ""
        print_message(f"{normal} normal references{of}{more}")
    if unused := sorted(set(found.classes) - set(names)):
        print_message(f"references of {', '.join(unused)} are not needed")
    if found.copies:
        print_message(
            f"{len(found.copies)} references hold what others hold and do not count, "
            f"for example '{found.copies[0]}'"
        )
    if found.left_out:
        print_message(f"among the references, {left_out_words(found.left_out)}")
