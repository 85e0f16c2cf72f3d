"""``zsad losses``: what training can minimise."""

from __future__ import annotations

from typing import Annotated

import typer

from zsad.cli.groups import list_group
from zsad.cli.option_tables import describe_options, print_options
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.plugin.host import get_host

app = list_group()


@app.command("list")
def list_losses(as_json: JsonOption = False) -> None:
    """List the losses that a recipe's training can name."""
    rows = [
        {
            "name": name,
            "distribution": claim.distribution,
            "masks": claim.spec.masks,
            "summary": claim.spec.summary,
        }
        for name, claim in get_host().losses.items()
    ]
    if as_json:
        print_json(rows)
    else:
        words = [row | {"masks": "reads masks" if row["masks"] else None} for row in rows]
        print_table(words, ("name", "masks", "summary"))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a loss, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Describe a loss and its options."""
    claim = get_host().losses.get(name)
    fields = {"name": name, "distribution": claim.distribution, "summary": claim.spec.summary,
              "masks": claim.spec.masks, "function": claim.spec.function}  # fmt: skip
    options = describe_options(claim.spec.options)
    if as_json:
        print_json({**fields, "option_fields": options})
        return
    print_fields(fields)
    print_options(options)
