"""The options of every command that runs a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.weights.loading import WeightsSource

MethodOption = Annotated[str, typer.Option("--method", help="Method: a name that 'zsad methods' lists.")]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="ARCH:PRETRAINED, ARCH@FILE, hf-hub:REPOSITORY, ARCH@random:SEED (for timing only), or a name "
        "that 'zsad backbones' lists, which marks the one that is used by default.",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="[PART=]FILE",
        help="Learned weights: a path, or hf://OWNER/NAME[@REVISION][/FILE.safetensors]; PART=FILE for one "
        "part only.",
    ),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(
        "--adapter", metavar="DIR", help="Folder of an adapter (LoRA) that was learned on the backbone."
    ),
]
ImageSizeOption = Annotated[
    int | None, typer.Option("--image-size", min=1, help="Side of the square input in pixels.")
]
BatchSizeOption = Annotated[int, typer.Option("--batch-size", min=1, help="Images per pass.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PART=NAME|PART.OPTION=VALUE",
        help="Exchange a part or change an option; post_processors+=NAME adds one.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes that decode images.", show_default=False)
]
UntrainedOption = Annotated[
    bool, typer.Option("--untrained", help="Accept missing learned weights and use random ones.")
]


def weights_source(given: list[str] | None) -> WeightsSource | None:
    """Return the files of ``--weights``: one for all parts, or one per part.

    Raises:
        InputError: Both forms at once, or a part twice.
    """
    from zsad.plugin.specs import PART_KINDS

    if not given:
        return None
    by_part: dict[str, str | Path] = {}
    whole: list[str] = []
    for text in given:
        kind, equals, path = text.partition("=")
        if equals and kind in PART_KINDS:
            if kind in by_part:
                raise InputError(f"--weights {text}: {kind} was given a file already")
            by_part[kind] = path
        else:
            whole.append(text)
    if len(whole) > 1 or (whole and by_part):
        raise InputError("--weights: give one FILE for all parts, or PART=FILE for each of them")
    return whole[0] if whole else by_part


def method_weights(given: list[str] | None, methods: Sequence[str]) -> dict[str, WeightsSource]:
    """Return the files of ``--weights`` by method: ``METHOD=FILE``, or the plain forms for the only method.

    Raises:
        InputError: The plain forms beside several methods, or a method twice.
    """
    named: dict[str, WeightsSource] = {}
    rest: list[str] = []
    for text in given or ():
        name, equals, path = text.partition("=")
        if not equals or name not in methods:
            rest.append(text)
        elif name in named:
            raise InputError(f"--weights {text}: {name} was given a file already")
        else:
            named[name] = path
    if rest and len(methods) > 1:
        raise InputError(f"--weights {rest[0]}: with several methods, write METHOD=FILE")
    source = weights_source(rest)
    if source is not None:
        if named:
            raise InputError("--weights: give METHOD=FILE, or the files of its parts, and not both")
        named[methods[0]] = source
    return named
