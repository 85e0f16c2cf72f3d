"""From what a user names to a run of training; what can be refused is, before seconds go into a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from zsad.detect.detector import Detector
from zsad.detect.loading import load_detector
from zsad.errors import InputError
from zsad.files import cache_folder, check_writable
from zsad.plugin.host import Host
from zsad.recipe.training import Training
from zsad.training.batches import BatchSource
from zsad.training.cache.build import frozen_image_side, open_cache
from zsad.training.cache.key import StoredPrecision
from zsad.training.checkpoint import FILE
from zsad.training.examples import ExampleSource
from zsad.training.learner import adapter_of, lineage
from zsad.training.live import LiveFeatures
from zsad.training.opening import HEADS, open_feature_generator, open_sources, open_weighting, with_mosaics
from zsad.training.posterior import PosteriorOptions
from zsad.training.processes import ask_for_one_order, local_device
from zsad.training.run import ADAPTER, WEIGHTS, Run, Setup
from zsad.training.trainer import Precision
from zsad.training.weighting import PosteriorWeights
from zsad.weights.loading import WeightsSource

LARGEST_SEED = 2**63 - 1
"""Torch takes no larger ones on every device."""


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a training; defaults are those of ``zsad train``.

    Attributes:
        method: Name of the method.
        data: Datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``.
        folder: Where the run keeps its files.
        backbone: Name of the backbone, or None for the default one.
        weights: Learned weights to begin with, or None for fresh ones.
        adapter: ``lora`` for an adapter of the backbone's towers.
        generator: Name of a generator of anomalies, or None.
        copies: Examples that it makes of each normal image.
        overrides: ``--set`` values of recipe, training, generator, examples and adapter.
        image_size: Side of the square input in pixels.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: Of the frozen towers.
        precision: Of the parts that learn.
        seed: Seed of everything random.
        resume: Go on from the folder's checkpoint.
        cache: Folder of the caches of features, or None to encode every image anew in every epoch.
        cache_dtype: Precision of the cache.
        half: Store the learned weights in float16.
        workers: Processes that read images.
    """

    method: str
    data: Sequence[str]
    folder: Path
    backbone: str | None = None
    weights: WeightsSource | None = None
    adapter: Literal["lora"] | None = None
    generator: str | None = None
    copies: int = 1
    overrides: Sequence[str] = ()
    image_size: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    precision: Precision = "float32"
    seed: int = 0
    resume: bool = False
    cache: Path | None = field(default_factory=lambda: default_cache())
    cache_dtype: StoredPrecision = "exact"
    half: bool = False
    workers: int = 0


@dataclass(frozen=True)
class Reports:
    """What is called while a run goes on.

    Attributes:
        encoded: With images encoded and their total, while a cache is filled.
        size: With the bytes of a cache and its folder, before it is written.
        warning: With a sentence.
        learned: With the images done in an epoch and their total.
    """

    encoded: Callable[[int, int], None] = lambda done, total: None
    size: Callable[[int, Path], None] = lambda size, folder: None
    warning: Callable[[str], None] = lambda sentence: None
    learned: Callable[[int, int], None] = lambda done, total: None


def default_cache() -> Path:
    """Return where caches of features are kept: ``features`` in the folder of what can be made again."""
    return cache_folder() / "features"


def prepare(wishes: Wishes, host: Host, reports: Reports | None = None) -> Run:
    """Check everything, load the method and return the run.

    Raises:
        InputError: Whatever does not exist or does not fit, in one sentence.
        ZsadError: The folder cannot be written to.
    """
    reports = reports or Reports()
    if not 0 <= wishes.seed <= LARGEST_SEED:
        raise InputError(f"--seed {wishes.seed}: give a whole number from 0 to {LARGEST_SEED}")
    own = tuple(f"{head}." for head in HEADS)
    examples = [text for text in wishes.overrides if text.startswith(own)]
    overrides = [text for text in wishes.overrides if not text.startswith(own)]
    adapter, overrides = _adapter(wishes, overrides)
    source = open_sources(
        wishes.data,
        host,
        wishes.generator,
        examples,
        seed=wishes.seed,
        copies=wishes.copies,
    )
    generator = open_feature_generator(host, wishes.generator, examples)
    weighting = open_weighting(wishes.generator, examples)
    check_folder(wishes.folder, resume=wishes.resume)
    detector = _load(wishes, overrides, adapter, host)
    plan = _with_adapter(detector)
    source = with_mosaics(source, plan.mosaic, examples, seed=wishes.seed)
    setup = Setup(
        plan=plan,
        open_batches=_opener(wishes, source, weighting, reports),
        source=f"{source.key} {wishes.generator or ''} {' '.join(sorted(examples))}".strip(),
        trained_on=lineage(detector.cards, source.datasets),
        seed=wishes.seed,
        precision=wishes.precision,
        generator=generator,
        half=wishes.half,
        stored="exact" if wishes.cache is None else wishes.cache_dtype,
        report=reports.learned,
    )
    return Run(detector, setup, wishes.folder, host, resume=wishes.resume)


def check_folder(folder: Path, *, resume: bool) -> None:
    """Check that a run can be kept in a folder, and that no other one lies there.

    Raises:
        InputError: It holds a run or its weights already, and the user did not ask to go on, or there is
            nothing to go on from.
        ZsadError: It cannot be written to.
    """
    check_writable(folder)
    if resume:
        if not (folder / FILE).exists():
            _refuse_results(folder)
        return
    for name in (FILE, WEIGHTS, ADAPTER):
        if (folder / name).exists():
            raise InputError(
                f"--out {folder} holds {name} already; go on with it by --resume, name another folder or "
                "delete it"
            )


def _refuse_results(folder: Path) -> None:
    for name in (WEIGHTS, ADAPTER):
        if (folder / name).exists():
            raise InputError(
                f"--resume: --out {folder} holds {name} but no {FILE} to go on from; name another folder, or "
                f"begin with those weights by --weights {folder / WEIGHTS}"
            )


def _with_adapter(detector: Detector) -> Training:
    """Return the recipe's plan, whose first stage learns the adapter even where ``learn`` lacks it."""
    plan, names = detector.recipe.recipe.training, adapter_of(detector)
    if not names or any(fnmatchcase(name, pattern) for name in names for pattern in plan.learn):
        return plan
    return plan.model_copy(update={"learn": (*plan.learn, "adapter.*")})


def _adapter(wishes: Wishes, overrides: list[str]) -> tuple[object, list[str]]:
    """Return the options of the adapter, or None, and the overrides that are left."""
    from zsad.weights.adapter.options import PREFIX, adapter_options

    options, rest = adapter_options(overrides)
    if wishes.adapter is None and len(rest) != len(overrides):
        stray = next(text for text in overrides if text.startswith(PREFIX))
        raise InputError(f"--set {stray}: there is no adapter; add --adapter lora")
    return (options if wishes.adapter else None), rest


def _load(wishes: Wishes, overrides: Sequence[str], adapter: object, host: Host) -> Detector:
    from zsad.backbones.loading import load_backbone
    from zsad.weights.adapter.options import LoraOptions

    ask_for_one_order()
    backbone = load_backbone(wishes.backbone, local_device(wishes.device), wishes.dtype, host=host)
    if isinstance(adapter, LoraOptions):
        from zsad.weights.adapter.lora import adapt_backbone  # PEFT takes seconds to import

        backbone = adapt_backbone(backbone, adapter, wishes.seed)
    return load_detector(
        wishes.method,
        backbone=backbone,
        weights=wishes.weights,
        image_size=wishes.image_size,
        overrides=overrides,
        seed=wishes.seed,
        untrained=True,
        host=host,
    )


def _opener(
    wishes: Wishes, source: ExampleSource, weighting: PosteriorOptions | None, reports: Reports
) -> Callable[[Detector], BatchSource]:
    def open_batches(detector: Detector) -> BatchSource:
        found = batches(detector)
        return found if weighting is None else PosteriorWeights(found, weighting, wishes.seed)

    def batches(detector: Detector) -> BatchSource:
        frozen = frozen_image_side(detector)
        if wishes.cache is None or not frozen:
            return LiveFeatures(detector, source, workers=wishes.workers, grad=not frozen)
        return open_cache(
            detector,
            source,
            wishes.cache,
            workers=wishes.workers,
            dtype=wishes.cache_dtype,
            report=reports.encoded,
            announce=reports.size,
            warn=reports.warning,
        )

    return open_batches
