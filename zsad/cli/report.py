"""``zsad report``: render a finished evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_json
from zsad.cli.paths import path


def report(
    folder: Annotated[
        Path, typer.Argument(parser=path, help="Folder that 'zsad eval' wrote.", metavar="DIR")
    ],
    form: Annotated[str, typer.Option("--format", help="A form that a plugin offers.")] = "html",
    as_json: JsonOption = False,
) -> None:
    """Render an evaluation again, or in another form."""
    from zsad.plugin.host import get_host
    from zsad.plugin.imports import load_object

    written = load_object(get_host().reporters.get(form).spec.render)(folder)
    if as_json:
        print_json({"written": written})
    else:
        print(written)
