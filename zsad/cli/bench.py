"""``zsad bench``: how fast things are on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from zsad.cli.output import JsonOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


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
