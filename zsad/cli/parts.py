"""``zsad parts``: the swappable pieces of methods, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsad.cli.common import BackboneOption, ImageSizeOption
from zsad.cli.groups import list_group
from zsad.cli.option_tables import describe_options, print_options
from zsad.cli.output import JsonOption, print_fields, print_json, print_table, progress
from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.host import get_host
from zsad.plugin.registry import Claim
from zsad.plugin.specs import PART_KINDS, PartSpec

if TYPE_CHECKING:
    from zsad.recipe.composition import Grid, Pair

app = list_group()


@app.command("list")
def list_parts(
    kind: Annotated[str | None, typer.Option("--kind", help=f"One of {', '.join(PART_KINDS)}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the parts that a recipe can name."""
    if kind is not None and kind not in PART_KINDS:
        raise InputError(f"--kind: unknown kind of part '{kind}'{nearest(kind, PART_KINDS)}")
    found = [
        _fields(name, claim)
        for name, claim in get_host().parts.items()
        if kind is None or claim.spec.kind == kind
    ]
    if as_json:
        print_json(found)
        return
    print_table(found, ("name", "kind", "distribution", "summary"), optional=("distribution",))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a part, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a part needs and gives, and its options."""
    claim = get_host().parts.get(name)
    fields = _fields(name, claim)
    options = describe_options(claim.spec.options)
    if as_json:
        print_json({**fields, "option_fields": options})
        return
    print_fields({key: value for key, value in fields.items() if value is not False})
    print_options(options)


@app.command("grid")
def grid(
    backbone: BackboneOption = None,
    image_size: ImageSizeOption = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Compose attention refiners with prompts, and prompt learners with conditioners, and run every pair."""
    if as_json and markdown:
        raise InputError("--json and --markdown are two forms of the answer; choose one")
    from zsad.backbones.loading import load_backbone
    from zsad.data.examples import example_pair
    from zsad.evaluation.composition import Composer
    from zsad.recipe.composition import as_markdown, counted, grids

    host = get_host()
    # In float32, so that rounding does not pass for a difference.
    composer = Composer(
        host, load_backbone(backbone, "auto", "float32", host=host), example_pair(host), image_size
    )
    found = grids(host)
    todo = [pair for entry in found for pair in entry.pairs()]
    pairs = iter([composer.compose(*pair) for pair in progress(todo, len(todo), "pairs")])
    results = [(entry, [next(pairs) for _ in entry.pairs()]) for entry in found]
    if as_json:
        print_json([_grid_fields(*result) for result in results])
    elif markdown:
        print("\n\n".join(as_markdown(*result) for result in results))
    else:
        for entry, made in results:
            print(f"{entry.title}\n")
            rows = [{**vars(pair), "difference": _figure(pair.difference)} for pair in made]
            print_table(rows, ("first", "second", "status", "base", "difference", "sentence"))
            print(f"\n{counted(made)}\n")
    if failed := sum(pair.status == "failed" for _, made in results for pair in made):
        raise ZsadError(f"{failed} pairs failed with an error that says nothing of their requirements")


def _grid_fields(entry: Grid, pairs: list[Pair]) -> dict[str, Any]:
    return {
        "title": entry.title,
        "rows": [{"label": side.label, "recipe": side.recipe} for side in entry.rows],
        "columns": [{"label": side.label, "recipe": side.recipe} for side in entry.columns],
        "pairs": pairs,
    }


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _fields(name: str, claim: Claim[PartSpec]) -> dict[str, Any]:
    return {**vars(claim.spec), "name": name, "distribution": claim.distribution}
