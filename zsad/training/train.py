"""From a request to learned weights: what ``zsad train`` and ``zsad.train`` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zsad.plugin.host import Host, get_host
from zsad.training.preparation import Reports, prepare
from zsad.training.request import TrainingRequest
from zsad.training.run import ADAPTER, WEIGHTS
from zsad.training.trainer import Epoch


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        folder: Folder of the run.
        method: Name of the method.
        recipe_hash: Hash of its resolved recipe.
        epochs: All epochs in order, those before a break included.
        weights: The learned weights, or None where an adapter alone was learned.
        adapter: Folder of the learned adapter, or None.
    """

    folder: Path
    method: str
    recipe_hash: str
    epochs: tuple[Epoch, ...]
    weights: Path | None
    adapter: Path | None


def train(request: TrainingRequest, host: Host | None = None, reports: Reports | None = None) -> Trained:
    """Learn a method's weights; weights, checkpoint and curve are kept after every epoch.

    Args:
        request: What is wanted.
        host: Plugin host, by default the process's own.
        reports: What is called meanwhile.

    Raises:
        InputError: Whatever does not exist or does not fit, where possible before a backbone is loaded.
        ZsadError: Training diverges, or the folder cannot be written to.
    """
    host, reports = host or get_host(), reports or Reports()
    run = prepare(request, host, reports)
    reports.ready(run)
    for epoch in run.epochs():
        reports.epoch(epoch)
    recipe = run.detector.recipe
    return Trained(
        folder=run.folder,
        method=recipe.method,
        recipe_hash=recipe.hash,
        epochs=tuple(run.history),
        weights=_existing(run.folder / WEIGHTS),
        adapter=_existing(run.folder / ADAPTER),
    )


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None
