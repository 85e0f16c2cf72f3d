"""``zsad convert``: import an authors' checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_fields, print_json
from zsad.cli.paths import path


def convert(
    method: Annotated[str, typer.Argument(help="Method that the checkpoint belongs to.")],
    checkpoint: Annotated[
        list[Path],
        typer.Argument(
            parser=path,
            metavar="CHECKPOINT",
            help="The authors' file, or several in the order in which the method names them; only tensors "
            "are read.",
        ),
    ],
    out: Annotated[
        Path, typer.Argument(parser=path, metavar="OUT", help="File to write, ending in .safetensors.")
    ],
    trained_on: Annotated[
        list[str] | None,
        typer.Option("--trained-on", help="Dataset that it was learned on; may be given several times."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert an authors' checkpoint to safetensors with a card."""
    from zsad.plugin.host import get_host
    from zsad.weights.checkpoints import convert_checkpoint

    names = tuple(trained_on) if trained_on else None
    card = convert_checkpoint(get_host(), method, checkpoint, out, names)
    fields = {"written": str(out), **card.model_dump(mode="json")}
    if as_json:
        print_json(fields)
        return
    print_fields(fields | {"parts": [f"{k} = {v}" for k, v in card.parts.items()],
                           "profile": [f"{k} = {v}" for k, v in card.profile.items() if v],
                           "trained_on": card.trained_on_words()})  # fmt: skip
