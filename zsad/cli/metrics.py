"""``zsad metrics``: what an evaluation can measure."""

from __future__ import annotations

from typing import Annotated

import typer

from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.plugin.host import get_host

app = list_group()


@app.command("list")
def list_metrics(as_json: JsonOption = False) -> None:
    """List the metrics; those marked are tuned on test labels."""
    rows = [
        {
            "name": name,
            "distribution": claim.distribution,
            "uses_test_labels": claim.spec.uses_test_labels,
            "summary": claim.spec.summary,
        }
        for name, claim in get_host().metrics.items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(rows, ("name", "uses_test_labels", "summary"))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a metric, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Describe a metric."""
    claim = get_host().metrics.get(name)
    fields = {"name": name, "distribution": claim.distribution, "summary": claim.spec.summary,
              "uses_test_labels": claim.spec.uses_test_labels, "factory": claim.spec.factory}  # fmt: skip
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
