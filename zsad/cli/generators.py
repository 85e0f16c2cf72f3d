"""``zsad generators``: what makes anomalies to learn from, and its options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zsad.cli.groups import list_group
from zsad.cli.option_tables import describe_options, print_options
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.plugin.host import get_host
from zsad.plugin.registry import Claim
from zsad.plugin.specs import GeneratorSpec

app = list_group()


@app.command("list")
def list_generators(as_json: JsonOption = False) -> None:
    """List the generators of synthetic anomalies."""
    rows = [_fields(name, claim) for name, claim in get_host().generators.items()]
    if as_json:
        print_json(rows)
        return
    print_table(rows, ("name", "level", "summary"))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a generator, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a generator changes, and its options."""
    claim = get_host().generators.get(name)
    fields = _fields(name, claim)
    options = describe_options(claim.spec.options)
    if as_json:
        print_json({**fields, "option_fields": options})
        return
    print_fields(fields)
    print_options(options)


def _fields(name: str, claim: Claim[GeneratorSpec]) -> dict[str, Any]:
    return {**vars(claim.spec), "name": name, "distribution": claim.distribution}
