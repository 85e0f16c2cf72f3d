"""``zsad methods``: what can be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.errors import ZsadError
from zsad.plugin.host import Host, get_host
from zsad.plugin.specs import RecipeSpec
from zsad.recipe.recipes import Recipe, for_backbone, load_recipe, recipe_dict, validate_recipe
from zsad.recipe.resolved import ResolvedPart, resolved_part

app = list_group()


def _row(host: Host, name: str) -> dict[str, Any]:
    claim = host.recipes.get(name)
    row: dict[str, Any] = {"name": name, "distribution": claim.distribution}
    try:
        recipe = load_recipe(host, name)
    except ZsadError as error:  # a third party's broken recipe must not hide the other methods
        return {**row, "error": str(error), "summary": f"broken: {error}"}
    try:
        parts = [resolved_part(host, choice) for choice in recipe.parts.chosen() if choice.use in host.parts]
    except ZsadError as error:
        return {**row, "error": str(error), "summary": f"broken: {error}"}
    return {
        **row,
        "fidelity": recipe.fidelity,
        "learned": [part.spec.name for part in parts if part.spec.learnable],
        "transductive": any(part.transductive for part in parts),
        "references": _references(parts),
        "paper": f"{recipe.paper.authors}, {recipe.paper.venue}" if recipe.paper else None,
        "summary": recipe.summary,
    }


def _references(parts: Sequence[ResolvedPart]) -> str | None:
    """Return which reference images a method needs: ``normal``, ``normal and abnormal``, or None."""
    store = next((part for part in parts if part.kind == "reference_store"), None)
    if store is None:
        return None
    return "normal and abnormal" if store.abnormal_references else "normal"


@app.command("list")
def list_methods(as_json: JsonOption = False) -> None:
    """List the methods."""
    host = get_host()
    rows = [_row(host, name) for name in sorted(host.recipes.names())]
    if as_json:
        print_json(rows)
        return
    print_table(
        [
            {
                **row,
                "learned": "yes" if row.get("learned") else "no",
                "references": row.get("references") or "",
            }
            for row in rows
        ],
        ("name", "learned", "references", "fidelity", "paper", "summary"),
        optional=("references", "fidelity", "paper"),
    )


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a method, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Show a method's recipe."""
    host = get_host()
    recipe = load_recipe(host, name)
    claim = host.recipes.get(name)
    if as_json:
        data = recipe.model_dump(mode="json")
        print_json(
            {**data, "distribution": claim.distribution, "converter": claim.spec.converter is not None}
        )
        return
    paper, code = recipe.paper, recipe.code
    print_fields(
        {
            "name": name,
            "summary": recipe.summary,
            "distribution": claim.distribution,
            "fidelity": recipe.fidelity,
            "paper": f"{paper.title}. {paper.authors}, {paper.venue}" if paper else None,
            "arXiv": paper.arxiv if paper else None,
            "code": f"{code.repository} ({code.licence})" if code else None,
            "published on": recipe.official.architectures if recipe.official else None,
            "image size": recipe.official.image_size if recipe.official else None,
            "checkpoints": f"zsad convert {name} {_files(claim.spec)} OUT.safetensors"
            if claim.spec.converter
            else None,
        }
    )
    _print_parts(host, recipe)
    for pattern in recipe.on_backbone:
        changed = validate_recipe(for_backbone(recipe_dict(host, name), pattern), name)
        print(f"\non backbone {pattern}: fidelity {changed.fidelity}")
        _print_parts(host, changed)


def _files(spec: RecipeSpec) -> str:
    return " ".join(f"{what.upper().replace(' ', '_')}.pth" for what in spec.checkpoint)


def _print_parts(host: Host, recipe: Recipe) -> None:
    print()
    rows = [
        {
            "kind": host.parts.get(choice.use).spec.kind,
            "part": choice.use,
            "options": [f"{option}={value}" for option, value in choice.options.items()],
        }
        for choice in recipe.parts.chosen()
    ]
    print_table(rows, ("kind", "part", "options"))
