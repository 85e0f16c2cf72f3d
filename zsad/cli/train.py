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
from zsad.cli.evaluate import default_workers
from zsad.cli.output import JsonOption, ProgressLine, print_fields, print_json
from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.training.run import Run

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
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.", show_default=False)],
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
            "--cache", help="Folder of the caches of features.", show_default="zsad/features in ~/.cache"
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
    from zsad.plugin.host import get_host

    host = get_host()
    host.recipes.get(method)
    if no_cache and (cache is not None or cache_dtype != "exact"):
        raise InputError("--no-cache: leave out --cache and --cache-dtype, which it makes meaningless")
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    plan = [f"training.{name}={value}" for name, value in given.items() if value is not None]
    from zsad.training.preparation import Reports, Wishes, default_cache, prepare
    from zsad.weights.card_text import size_words

    wishes = Wishes(
        method=method,
        data=data,
        folder=out,
        backbone=backbone,
        weights=weights_source(weights),
        adapter=adapter,
        generator=generator,
        copies=copies,
        overrides=[*(overrides or ()), *plan],
        image_size=image_size,
        device=device,
        dtype=dtype,
        precision=precision,
        seed=seed,
        resume=resume,
        cache=None if no_cache else cache or default_cache(),
        cache_dtype=cache_dtype,
        half=half,
        workers=default_workers() if workers is None else workers,
    )
    begun = time.perf_counter()
    with ProgressLine(1, "images") as progress:
        reports = Reports(
            encoded=lambda done, total: progress.show(done, total, "images encoded"),
            size=lambda size, folder: progress.note(f"features take {size_words(size)} in {folder}"),
            warning=progress.note,
            learned=lambda done, total: progress.show(done, total, "images of this epoch"),
        )
        run = prepare(wishes, host, reports)
        if resume:
            progress.note(_resumed(run))
        try:
            for epoch in run.epochs():
                words = ", ".join(f"{name} {value:.4f}" for name, value in epoch.losses.items())
                if run.writes:
                    progress.note(f"{_named(run)}: {words} ({epoch.images_per_second:.1f} images/s)")
        except KeyboardInterrupt:
            if run.history:
                progress.note(f"{_named(run)} is kept in {out}; go on with --resume")
            raise
    if not run.writes:
        return
    fields = _fields(run) | {"seconds": round(time.perf_counter() - begun, 1)}
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


def _resumed(run: Run) -> str:
    if not run.history:
        return f"there is no checkpoint in {run.folder}; training begins with epoch 1"
    return f"going on after {_named(run)} in {run.folder}"


def _named(run: Run) -> str:
    """Return the last epoch in words."""
    last = run.history[-1]
    return f"epoch {last.number} of stage {last.stage}" if run.stages > 1 else f"epoch {last.number}"


def _fields(run: Run) -> dict[str, Any]:
    """Return what came of a run."""
    from zsad.training.run import ADAPTER, WEIGHTS

    files = {"weights": run.folder / WEIGHTS, "adapter": run.folder / ADAPTER}
    recipe = run.detector.recipe
    return {
        **{name: str(path) for name, path in files.items() if path.exists()},
        "method": recipe.method,
        "recipe_hash": recipe.hash,
        "epochs": len(run.history),
        **run.history[-1].losses,
    }
