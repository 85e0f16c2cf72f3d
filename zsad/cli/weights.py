"""``zsad weights``: learned weights, what they are, and their exchange with repositories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from zsad.backbones.names import default_backbone
from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.host import Host, get_host
from zsad.plugin.imports import resource_path
from zsad.recipe.recipes import load_recipe
from zsad.weights.card_text import card_fields, card_markdown, size_words
from zsad.weights.file import WeightsFile, read_weights_file
from zsad.weights.repositories.hub import HUB, cached_files
from zsad.weights.repositories.names import FORM, named_file

app = list_group()

EMBEDDED = "embedded"
_HEAD = 12

RepositoryArgument = Annotated[
    str, typer.Argument(help="OWNER/NAME on the Hugging Face hub, or a folder: ./PATH, /PATH, file://PATH.")
]
BackboneOption = Annotated[
    str | None,
    typer.Option("--backbone", help="Name of the backbone that they were learned on, for the card."),
]


@app.command("list")
def list_weights(as_json: JsonOption = False) -> None:
    """List the weights that plugins ship, and those in the hub's local cache."""
    rows = [*_embedded_rows(get_host()), *_cached_rows()]
    if as_json:
        print_json(rows)
        return
    shown = [
        {
            **row,
            "trained_on": row.get("error") or ", ".join(row["trained_on"]) or "not stated",
            "size": size_words(row["bytes"]) if "bytes" in row else None,
            "sha256": row.get("sha256", "")[:_HEAD],
            "where": row["weights"] or EMBEDDED,
        }
        for row in rows
    ]
    columns = ("method", "backbone", "origin", "trained_on", "size", "sha256", "where")
    print_table(shown, columns, optional=("sha256", "origin"))


@app.command("info")
def info(
    name: Annotated[
        str, typer.Argument(metavar="FILE|hf://...|METHOD", help=f"A weights file, {FORM}, or a method.")
    ],
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Which weights of a METHOD: those for this backbone.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the card as Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the card of learned weights; of a METHOD, those that its plugin ships."""
    if markdown and as_json:
        raise InputError("--markdown and --json exclude each other")
    backbone = backbone or default_backbone(get_host())
    with _found(name, backbone) as (weights, embedded):
        if as_json:
            print_json(_facts(weights, embedded) | {"card": weights.card.model_dump(mode="json")})
        elif markdown:
            words = {"name": None, "backbone": backbone} if embedded else {"name": name}
            print(card_markdown(weights, **words), end="")
        else:
            print_fields({"weights": EMBEDDED if embedded else str(weights.path), **card_fields(weights)})


@app.command("push")
def push(
    file: Annotated[Path, typer.Argument(help="Weights file to publish.")],
    repository: RepositoryArgument,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch on the hub; a new one is made.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private; a public one is refused.")
    ] = False,
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Licence for the card, for example apache-2.0.")
    ] = None,
    backbone: BackboneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish weights with their card, on the Hugging Face hub or in a folder."""
    from zsad.weights.repositories import exchange

    where = exchange.push(
        file, repository, revision=revision, private=private, message=message, backbone=backbone,
        licence=licence,
    )  # fmt: skip
    if as_json:
        print_json({"pushed": where, **_facts(read_weights_file(file))})
    else:
        print_fields({"pushed": where})


@app.command("pull")
def pull(
    repository: RepositoryArgument,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit on the hub.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the files; by default the hub's cache keeps them."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download weights and check their card."""
    from zsad.weights.repositories import exchange

    weights = exchange.pull(repository, revision=revision, out=out)
    if as_json:
        print_json(_facts(weights) | {"card": weights.card.model_dump(mode="json")})
    else:
        print_fields({"weights": str(weights.path), **card_fields(weights)})


def _facts(weights: WeightsFile, embedded: bool = False) -> dict[str, Any]:
    return {
        "weights": None if embedded else str(weights.path),
        "bytes": weights.size,
        "sha256": weights.sha256,
        "parameters": weights.parameters,
    }


def _embedded_rows(host: Host) -> Iterator[dict[str, Any]]:
    for name in sorted(host.recipes.names()):
        row = {"method": name, "distribution": host.recipes.get(name).distribution, "weights": None}
        try:
            for backbone, resource in load_recipe(host, name).weights.items():
                row["backbone"] = backbone
                with resource_path(resource) as path:
                    yield row | _row(read_weights_file(path))
        except ZsadError as error:  # a third party's broken file must not hide the others
            yield row | {"trained_on": [], "error": f"broken: {error}"}


def _cached_rows() -> Iterator[dict[str, Any]]:
    for address, path in cached_files():
        try:
            weights = read_weights_file(path)
        except InputError:  # weights of something else
            continue
        sha256 = weights.card.backbone
        backbone = f"sha256 {sha256[:_HEAD]}" if sha256 else None
        row = {"method": weights.card.method, "distribution": None, "weights": address, "backbone": backbone}
        yield row | _row(weights)


def _row(weights: WeightsFile) -> dict[str, Any]:
    return {
        "backbone_sha256": weights.card.backbone,
        "origin": weights.card.origin,
        "trained_on": [entry.dataset for entry in weights.card.trained_on or ()],
        "bytes": weights.size,
        "sha256": weights.sha256,
    }


@contextmanager
def _found(name: str, backbone: str) -> Iterator[tuple[WeightsFile, bool]]:
    """Give the weights of a file, or those that a method ships, and whether they are such.

    Raises:
        InputError: There is no such file and no such method, or it ships none for the backbone.
    """
    if name.startswith(HUB) or named_file(name).is_file():
        yield read_weights_file(named_file(name)), False
        return
    host = get_host()
    if name not in host.recipes:
        known = nearest(name, host.recipes.names())
        raise InputError(f"there is no weights file and no method '{name}'{known}")
    shipped = load_recipe(host, name).weights
    if backbone not in shipped:
        instead = f"it ships them for {', '.join(shipped)}" if shipped else "'zsad weights' lists who does"
        raise InputError(f"method '{name}' ships no weights for {backbone}; {instead}")
    with resource_path(shipped[backbone]) as path:
        yield read_weights_file(path), True
