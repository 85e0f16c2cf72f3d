"""``zsad remember``: reference images into a file, for ``--memory``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.common import (
    AdapterOption,
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MethodOption,
    SeedOption,
    SetOption,
    UntrainedOption,
    WeightsOption,
    weights_source,
)
from zsad.cli.output import JsonOption, print_json, print_table
from zsad.cli.paths import path
from zsad.cli.references import (
    AbnormalReferenceOption,
    ReferenceMasksOption,
    ShotsOption,
    say_references,
)
from zsad.recipe.settings import Settings


def remember(
    method: MethodOption,
    reference: Annotated[
        Path,
        typer.Option(
            "--reference",
            metavar="DIR",
            parser=path,
            help="Normal images: one set for every class, or a folder for each.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            parser=path,
            metavar="FILE",
            help="File to write, ending in .safetensors.",
            show_default=False,
        ),
    ],
    reference_abnormal: AbnormalReferenceOption = None,
    reference_masks: ReferenceMasksOption = None,
    shots: ShotsOption = None,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    adapter: AdapterOption = None,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    untrained: UntrainedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Keep what a few-shot method needs of reference images, for --memory."""
    from zsad.detect.references import ReferenceRequest
    from zsad.detect.remember_run import RememberRequest, remember_into

    settings = Settings.parse(overrides or ())
    settings.refuse_training()
    request = RememberRequest(
        method=method,
        backbone=backbone,
        weights=weights_source(weights, method),
        adapter=adapter,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=settings,
        seed=seed,
        untrained=untrained,
        references=ReferenceRequest(reference, reference_abnormal, reference_masks, shots, seed),
        out=out,
        batch_size=batch_size,
    )
    found = remember_into(request, found=lambda files: say_references(files, [*files.classes]))
    rows = [
        {
            "class": name or "(every class)",
            "shots": kept.shots,
            "abnormal": len(kept.references) - kept.shots,
            "numbers": sum(tensor.numel() for tensor in kept.buffers.values()),
            "references": [facts.plain() for facts in kept.references],
        }
        for name, kept in sorted(found.memories.items())
    ]
    if as_json:
        print_json({"written": str(found.path), "method": method, "classes": rows})
    else:
        print_table(rows, ("class", "shots", "abnormal", "numbers"))
        print(f"written: {found.path}")
