"""The options of every command that runs a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsad.cli.paths import path
from zsad.errors import InputError, nearest
from zsad.plugin.specs import PART_KINDS

if TYPE_CHECKING:
    from zsad.weights.loading import WeightsSource

MethodOption = Annotated[str, typer.Option("--method", help="Method: a name that 'zsad methods' lists.")]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="ARCH:PRETRAINED, ARCH[:PRETRAINED]@FILE, hf-hub:REPOSITORY, ARCH@random:SEED (for timing "
        "only), timm:NAME[.TAG][@FILE] or timm:NAME@random:SEED (vision alone), or a name that "
        "'zsad backbones' lists, which marks the one that is used by default.",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="[WHOSE=]FILE",
        help="Learned weights: a path, or hf://OWNER/NAME[@REVISION][/FILE.safetensors]. WHOSE is PART, "
        "METHOD or METHOD:PART; without it the file is for all parts of the only method.",
    ),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(
        "--adapter",
        metavar="DIR",
        parser=path,
        help="Folder of an adapter (LoRA) that was learned on the backbone.",
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        min=1,
        help="Side of the square input in pixels, or of its short side by profile.image_resize=short-side.",
    ),
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
NormalPromptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--normal-prompt",
        metavar="SENTENCE|@FILE",
        help="Own sentence for the normal state, {} stands for the object; @FILE has one a line.",
    ),
]
AbnormalPromptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--abnormal-prompt",
        metavar="SENTENCE|@FILE",
        help="Own sentence for the abnormal state; @FILE has one a line.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes that decode images.", show_default=False)
]
UntrainedOption = Annotated[
    bool, typer.Option("--untrained", help="Accept missing learned weights and use random ones.")
]


WHOSE = "PART=FILE, METHOD=FILE or METHOD:PART=FILE"
"""What ``--weights`` takes beside a plain FILE."""


def method_weights(given: list[str] | None, methods: Sequence[str]) -> dict[str, WeightsSource]:
    """Return the files of ``--weights`` by method: one for all its parts, or one per part.

    Args:
        given: ``FILE``, ``PART=FILE``, ``METHOD=FILE`` or ``METHOD:PART=FILE``. PART is a part's kind, in
            places that hold a list ``KIND:PLUGIN/PART``.
        methods: The methods of the command; with several of them, METHOD cannot be left out.

    Raises:
        InputError: Another form, a method that is not named, or two files for the same.
    """
    found: dict[str, dict[str, str | Path]] = {}
    for text in given or ():
        method, part, file = _whose(text, methods)
        files = found.setdefault(method, {})
        if part in files or (files and "" in (part, *files)):
            twice = f"{part} of {method}" if part and part in files else method
            raise InputError(
                f"--weights {text}: {twice} was given a file already; give one FILE for all parts, or "
                "PART=FILE for each of them"
            )
        files[part] = file
    return {method: files.get("", files) for method, files in found.items()}


def weights_source(given: list[str] | None, method: str) -> WeightsSource | None:
    """Return the files of ``--weights`` of a command's only method.

    Raises:
        InputError: As :func:`method_weights`.
    """
    return method_weights(given, [method]).get(method)


def _whose(text: str, methods: Sequence[str]) -> tuple[str, str, str]:
    """Return method, part (empty for all) and file of a value of ``--weights``."""
    named, equals, file = text.partition("=")
    if equals:
        for method in methods:
            rest = named.removeprefix(method)
            if named.startswith(method) and (not rest or (rest[0] == ":" and _is_part(rest[1:]))):
                return method, rest[1:], file
        if not _is_part(named) and "/" not in named and not Path(text).exists():
            known = (*methods, *PART_KINDS)
            raise InputError(
                f"--weights {text}: '{named}' is no part and no method of this command"
                f"{nearest(named, known)} (write {WHOSE})"
            )
    part = named if equals and _is_part(named) else ""
    if len(methods) > 1:
        raise InputError(f"--weights {text}: with several methods, write METHOD=FILE or METHOD:PART=FILE")
    return methods[0], part, file if part else text


def _is_part(text: str) -> bool:
    return text.partition(":")[0] in PART_KINDS
