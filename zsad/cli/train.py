"""``zsad train``: learn a method's weights on an auxiliary dataset."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zsad.cli.common import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MethodOption,
    SeedOption,
    SetOption,
    WeightsOption,
    WorkersOption,
    weights_source,
)
from zsad.cli.output import JsonOption, ProgressLine, print_fields, print_json
from zsad.cli.paths import path
from zsad.errors import InputError
from zsad.recipe.settings import Settings

if TYPE_CHECKING:
    from zsad.training.request import TrainingRequest
    from zsad.training.run import Run
    from zsad.training.train import Trained
    from zsad.training.trainer import Epoch

DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="SPEC",
        help="Annotated auxiliary dataset, [NAME:]LAYOUT=PATH[:CLASS,CLASS], or normal images with "
        "--generator; may be given several times.",
        show_default=False,
    ),
]


def train(
    method: MethodOption,
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", parser=path, metavar="DIR", help="Folder of the run.", show_default=False)
    ],
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the data, in the first stage.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Learning rate, in the first stage.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images per step.")] = None,
    generator: Annotated[
        str | None,
        typer.Option("--generator", help="Make anomalies on normal images ('zsad generators' lists how)."),
    ] = None,
    copies: Annotated[
        int, typer.Option("--copies", min=1, help="Examples that the generator makes of each image.")
    ] = 1,
    adapter: Annotated[
        Literal["lora"] | None,
        typer.Option("--adapter", help="Learn low-rank layers in the towers too (--set adapter.rank=8 ...)."),
    ] = None,
    image_size: ImageSizeOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option("--precision", help="Of the parts that learn; --dtype is that of the frozen towers."),
    ] = "float32",
    seed: SeedOption = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch in --out.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            parser=path,
            metavar="DIR",
            help="Folder of the caches of features.",
            show_default="zsad/features in ~/.cache",
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Encode every image anew in every epoch.")
    ] = False,
    cache_dtype: Annotated[
        Literal["exact", "float16"],
        typer.Option("--cache-dtype", help="float16 halves the cache of float32 towers."),
    ] = "exact",
    half: Annotated[
        bool, typer.Option("--half", help="Store the learned weights in float16, at half the size.")
    ] = False,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a method's weights on an auxiliary dataset; weights, checkpoint and curve after every epoch."""
    if no_cache and (cache is not None or cache_dtype != "exact"):
        raise InputError("--no-cache: leave out --cache and --cache-dtype, which it makes meaningless")
    from zsad.training.request import TrainingRequest, default_cache

    request = TrainingRequest(
        method=method,
        data=tuple(data),
        folder=out,
        backbone=backbone,
        weights=weights_source(weights, method),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        adapter=adapter,
        generator=generator,
        copies=copies,
        overrides=Settings.parse(overrides or ()),
        image_size=image_size,
        device=device,
        dtype=dtype,
        precision=precision,
        seed=seed,
        resume=resume,
        cache=None if no_cache else cache or default_cache(),
        cache_dtype=cache_dtype,
        half=half,
        workers=workers,
    )
    begun = time.perf_counter()
    trained, writes = _train_with_progress(request)
    if not writes:
        return
    fields = _fields(trained) | {"seconds": round(time.perf_counter() - begun, 1)}
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


def _train_with_progress(request: TrainingRequest) -> tuple[Trained, bool]:
    """Train with progress on stderr; return also whether this process, of several, is the one that prints."""
    from zsad.training.preparation import Reports
    from zsad.training.train import train
    from zsad.weights.card_text import size_words

    runs: list[Run] = []

    def ready(run: Run) -> None:
        runs.append(run)
        if request.resume:
            progress.note(_resumed(run))

    def epoch(done: Epoch) -> None:
        losses = [f"{name} {value:.4f}" for name, value in done.losses.items()]
        words = ", ".join(losses + [f"{name} {count}" for name, count in done.remembered.items()])
        if runs[0].writes:
            progress.note(f"{_named(runs[0])}: {words} ({done.images_per_second:.1f} images/s)")

    with ProgressLine(1, "images") as progress:
        reports = Reports(
            encoded=lambda done, total: progress.show(done, total, "images encoded"),
            size=lambda size, folder: progress.note(f"features take {size_words(size)} in {folder}"),
            warning=progress.note,
            ready=ready,
            learned=lambda done, total: progress.show(done, total, "images of this epoch"),
            epoch=epoch,
        )
        try:
            trained = train(request, reports=reports)
        except KeyboardInterrupt:
            if runs and runs[0].history:
                progress.note(f"{_named(runs[0])} is kept in {request.folder}; go on with --resume")
            raise
    return trained, runs[0].writes


def _resumed(run: Run) -> str:
    if not run.history:
        return f"there is no checkpoint in {run.folder}; training begins with epoch 1"
    return f"going on after {_named(run)} in {run.folder}"


def _named(run: Run) -> str:
    """Return the last epoch in words."""
    last = run.history[-1]
    return f"epoch {last.number} of stage {last.stage}" if run.stages > 1 else f"epoch {last.number}"


def _fields(trained: Trained) -> dict[str, Any]:
    """Return what came of a training."""
    files = {"weights": trained.weights, "adapter": trained.adapter}
    return {
        **{name: str(path) for name, path in files.items() if path is not None},
        "method": trained.method,
        "recipe_hash": trained.recipe_hash,
        "epochs": len(trained.epochs),
        **trained.epochs[-1].losses,
        **trained.epochs[-1].remembered,
    }
