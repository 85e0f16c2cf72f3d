"""``zsad bench``: how fast things are on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from zsad.cli.common import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    SeedOption,
    SetOption,
)
from zsad.cli.groups import CommandGroup
from zsad.cli.output import JsonOption, print_json, print_message, print_table
from zsad.detect.request import DetectorRequest
from zsad.plugin.host import get_host
from zsad.recipe.recipes import starters
from zsad.recipe.settings import Settings

app = CommandGroup(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _bench() -> None:
    """Measure speed and memory on this machine."""


@app.command("metrics")
def metrics(
    pixels: Annotated[int, typer.Option("--pixels", min=256, help="About how many pixels.")] = 10_000_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the maps.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Time four exact pixel metrics beside three of scikit-learn."""
    from zsad.metrics.bench import bench_metrics

    rows = bench_metrics(pixels, seed)
    if as_json:
        print_json(rows)
        return
    columns = ("implementation", "metrics", "pixels", "seconds", "memory_mib", "ratio", "largest_difference")
    shown = [{**row, "largest_difference": f"{row['largest_difference']:.1e}"} for row in rows]
    print_table(shown, columns)


@app.command("methods")
def methods(
    names: Annotated[
        list[str], typer.Option("--method", help="Method; may be given several times.", show_default=False)
    ],
    backbone: BackboneOption = None,
    image_size: ImageSizeOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    images: Annotated[int, typer.Option("--images", min=1, help="Example images, in one batch.")] = 1,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, help="Rounds, of which the fastest counts.")
    ] = 3,
    seed: SeedOption = 0,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time methods, each alone and all together in shared passes."""
    from zsad.evaluation.speed import bench_methods

    settings = Settings.parse(overrides or ())
    requests = [
        replace(_untrained(name, backbone, image_size, device, dtype, seed), overrides=settings)
        for name in dict.fromkeys(names)
    ]
    result = bench_methods(requests, images=images, repeats=repeats)
    _print_notes(result)
    if as_json:
        print_json(result)
        return
    columns = ("methods", "encode_s", "score_s", "passes", "blocks", "terms", "attentions", "peak_mib",
               "ratio")  # fmt: skip
    print_table([_shown(row) for row in result["rows"]], columns)


@app.command("train")
def train(
    method: Annotated[
        str | None, typer.Option("--method", help="Method that learns; by default one for newcomers.")
    ] = None,
    backbone: BackboneOption = None,
    image_size: ImageSizeOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "float32",
    images: Annotated[int, typer.Option("--images", min=2, help="Example images.")] = 64,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time an epoch of training from cached features beside one that encodes every image."""
    from zsad.training.speed import bench_train

    method = method or starters(get_host())[-1]
    result = bench_train(_untrained(method, backbone, image_size, device, dtype, seed), images=images)
    print_message(
        f"{result['method']} on {result['backbone']} at {result['image_size']} px, "
        f"{result['dtype']} on {result['device']}, "
        f"{result['threads']} threads, {images} images; the cache took {result['fill_seconds']:.1f} s and "
        f"{result['cache_mib']:.1f} MiB; largest relative difference of a loss "
        f"{result['largest_difference']:.1e}"
    )
    if as_json:
        print_json(result)
        return
    names = [name for name in result["rows"][0] if name not in ("features", "seconds", "images_per_second")]
    shown = [
        {**row, **{name: f"{row[name]:.6f}" for name in names}, "seconds": f"{row['seconds']:.2f}",
         "images_per_second": f"{row['images_per_second']:.1f}", "speedup": f"{row['speedup']:.2f}"}
        for row in result["rows"]
    ]  # fmt: skip
    print_table(shown, ("features", "seconds", "images_per_second", *names))


def _untrained(
    method: str, backbone: str | None, image_size: int | None, device: str, dtype: str, seed: int
) -> DetectorRequest:
    """Return what is asked of a detector whose learned parts are random: they take as long as others."""
    return DetectorRequest(
        method=method,
        backbone=backbone,
        image_size=image_size,
        device=device,
        dtype=dtype,
        seed=seed,
        untrained=True,
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its figures as text: seconds per image, and the ratio to the dearest alone."""
    return {
        **row,
        "methods": " + ".join(row["methods"]),
        "encode_s": f"{row['encode_seconds']:.4f}",
        "score_s": f"{row['score_seconds']:.4f}",
        "ratio": f"{row['ratio']:.3f}",
    }


def _print_notes(result: dict[str, Any]) -> None:
    """Say what was measured, and with what."""
    sizes = ", ".join(map(str, result["image_sizes"]))
    print_message(
        f"{result['backbone']} at {sizes} px, {result['dtype']} on {result['device']}, "
        f"{result['threads']} threads; seconds per image of {result['images']} in a batch, fastest of "
        f"{result['repeats']}; memory {result['memory']}; ratio to the dearest method alone"
    )
    if result["untrained"]:
        print_message(f"untrained, with random weights: {', '.join(result['untrained'])}")
    for method, count in result["references"].items():
        print_message(f"{method} compares with {count} references")
    if len(result["groups"]) > 1:
        groups = "; ".join(" + ".join(group) for group in result["groups"])
        print_message(f"not all share a pass: {groups}")
