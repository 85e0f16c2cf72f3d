"""``zsad train``: learn a method's weights on an auxiliary dataset."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.common import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MethodOption,
    SeedOption,
    SetOption,
    WorkersOption,
)
from zsad.cli.evaluate import default_workers
from zsad.cli.output import JsonOption, ProgressLine, print_fields, print_json, print_message
from zsad.errors import InputError

FILE = "weights.safetensors"


def train(
    method: MethodOption,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="SPEC",
            help="Annotated auxiliary dataset, [NAME:]LAYOUT=PATH[:CLASS,CLASS]; may be given several times.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the weights.", show_default=False)],
    backbone: BackboneOption = "mini",
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images per step.")] = None,
    image_size: ImageSizeOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a method's weights on an auxiliary dataset."""
    from zsad.data.spec import open_dataset
    from zsad.files import check_writable
    from zsad.host import get_host

    host = get_host()
    host.recipes.get(method)
    datasets = [open_dataset(spec, host) for spec in data]
    check_writable(out)
    target = out / FILE
    if target.exists():
        raise InputError(f"--out {out} holds {FILE} already; name another folder or delete it")
    from zsad.detector import load_detector
    from zsad.training.frozen import check_annotated, freeze
    from zsad.training.trainer import Trainer, learned_parameters, learned_state, weights_card
    from zsad.weights import save_weights

    # Whatever can be refused is, before seconds go into a backbone and minutes into images.
    check_annotated(datasets)
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    plan = [f"training.{name}={value}" for name, value in given.items() if value is not None]
    detector = load_detector(
        method,
        backbone=backbone,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=[*(overrides or ()), *plan],
        seed=seed,
        untrained=True,
    )
    learned_parameters(detector)
    card = weights_card(detector, datasets)  # hashes the files that are about to be read
    begun = time.perf_counter()
    with ProgressLine(sum(len(dataset.images) for dataset in datasets), "images encoded") as progress:
        frozen = freeze(
            detector,
            datasets,
            workers=default_workers() if workers is None else workers,
            report=lambda done, total: progress.show(done),
        )
    print_message(f"{len(frozen)} images encoded in {time.perf_counter() - begun:.0f} s")
    trainer = Trainer(detector, frozen, detector.recipe.recipe.training, seed=seed)
    losses: dict[str, float] = {}
    for epoch in trainer.epochs():
        losses = epoch.losses
        words = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        print_message(f"epoch {epoch.number}: {words} ({time.perf_counter() - begun:.0f} s)")
    save_weights(target, learned_state(detector), card)
    fields = {"weights": str(target), "method": method, "recipe_hash": detector.recipe.hash,
              "images": len(frozen), "seconds": round(time.perf_counter() - begun, 1), **losses}  # fmt: skip
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
