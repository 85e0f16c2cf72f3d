"""From what a user names to a run of training; what can be refused is, before seconds go into a backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from zsad.backbones.loading import load_backbone
from zsad.data.left_out import left_out_words
from zsad.data.loading import default_workers
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.errors import InputError
from zsad.files import check_writable
from zsad.plugin.host import Host
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.recipes import recipe_dict, validate_recipe
from zsad.recipe.training import Training
from zsad.training.batches import BatchSource
from zsad.training.cache.build import frozen_image_side, open_cache
from zsad.training.checkpoint import FILE
from zsad.training.examples import ExampleSource
from zsad.training.learner import adapter_of, lineage
from zsad.training.live import LiveFeatures
from zsad.training.opening import (
    open_feature_generator,
    open_sources,
    open_weighting,
    reads_masks,
    with_mosaics,
)
from zsad.training.posterior import PosteriorOptions
from zsad.training.processes import ask_for_one_order, local_device
from zsad.training.reading import check_squares
from zsad.training.request import TrainingRequest
from zsad.training.run import ADAPTER, WEIGHTS, Run, Setup
from zsad.training.sources import check_annotated
from zsad.training.trainer import Epoch
from zsad.training.weighting import PosteriorWeights


@dataclass(frozen=True)
class Reports:
    """What is called while a run goes on.

    Attributes:
        encoded: With images encoded and their total, while a cache is filled.
        size: With the bytes of a cache and its folder, before it is written.
        warning: With a sentence.
        ready: With the run, before its first epoch.
        learned: With the images done in an epoch and their total.
        epoch: With every finished epoch, when it is kept.
    """

    encoded: Callable[[int, int], None] = lambda done, total: None
    size: Callable[[int, Path], None] = lambda size, folder: None
    warning: Callable[[str], None] = lambda sentence: None
    ready: Callable[[Run], None] = lambda run: None
    learned: Callable[[int, int], None] = lambda done, total: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


def prepare(request: TrainingRequest, host: Host, reports: Reports | None = None) -> Run:
    """Check everything, load the method and return the run.

    Raises:
        InputError: Whatever does not exist or does not fit, in one sentence.
        ZsadError: The folder cannot be written to.
    """
    reports = reports or Reports()
    request.check(host)
    examples = request.overrides.of("generator", "examples")
    early = _known_plan(request, host)
    source = open_sources(
        request.data,
        host,
        request.generator,
        examples,
        seed=request.seed,
        copies=request.copies,
        masks=early is not None and reads_masks(host, early),
    )
    for dataset in source.datasets:
        if dataset.left_out:
            reports.warning(f"{dataset.name}: {left_out_words(dataset.left_out)}")
    generator = open_feature_generator(host, request.generator, examples)
    weighting = open_weighting(request.generator, examples)
    check_folder(request.folder, resume=request.resume)
    detector = _load(request, host)
    plan = _with_adapter(detector)
    masks = reads_masks(host, plan)
    _refuse_masks_beside_a_crop(detector, masks=masks)
    if request.generator is None:
        check_annotated(source.datasets, masks=masks)
    source = with_mosaics(source, plan.mosaic, examples, seed=request.seed)
    setup = Setup(
        plan=plan,
        open_batches=_opener(request, source, weighting, reports),
        source=f"{source.key} {request.generator or ''} {' '.join(sorted(examples.texts))}".strip(),
        trained_on=lineage(detector.cards, source.datasets),
        seed=request.seed,
        precision=request.precision,
        generator=generator,
        half=request.half,
        stored="exact" if request.cache is None else request.cache_dtype,
        report=reports.learned,
    )
    return Run(detector, setup, request.folder, host, resume=request.resume)


def _known_plan(request: TrainingRequest, host: Host) -> Training | None:
    """Return the plan as far as it is known without a backbone: None where that may change it."""
    data = recipe_dict(host, request.method)
    recipe = validate_recipe(apply_overrides(data, request.detector().overrides), request.method)
    check_squares(recipe.profile.image_resize)
    if recipe.parts.reference_store is not None:
        raise InputError(
            f"method '{request.method}' compares with references, and there are none while learning; learn a "
            "zero-shot method that has the same learned parts, and give its weights to this one by --weights"
        )
    return None if recipe.on_backbone else recipe.training


def _refuse_masks_beside_a_crop(detector: Detector, *, masks: bool) -> None:
    """Refuse to compare patches of a crop with masks of the whole image.

    Raises:
        InputError: Some loss or memory would.
    """
    how = detector.recipe.profile.image_resize
    if masks and how != "squash":
        raise InputError(
            f"masks cover whole images, and profile.image_resize '{how}' shows the tower their centre alone; "
            "train with --set profile.image_resize=squash"
        )


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


def _load(request: TrainingRequest, host: Host) -> Detector:
    ask_for_one_order()
    wanted = request.detector(local_device(request.device))
    if (adapter := request.lora()) is None:
        return load(wanted, host)
    from zsad.weights.adapter.lora import adapt_backbone  # PEFT takes seconds to import

    plain = load_backbone(wanted.backbone, wanted.device, wanted.dtype, host=host)
    return load(wanted, host, adapt_backbone(plain, adapter, request.seed))


def _opener(
    request: TrainingRequest, source: ExampleSource, weighting: PosteriorOptions | None, reports: Reports
) -> Callable[[Detector], BatchSource]:
    workers = default_workers() if request.workers is None else request.workers

    def open_batches(detector: Detector) -> BatchSource:
        found = batches(detector)
        return found if weighting is None else PosteriorWeights(found, weighting, request.seed)

    def batches(detector: Detector) -> BatchSource:
        frozen = frozen_image_side(detector)
        if request.cache is None or not frozen:
            return LiveFeatures(detector, source, workers=workers, grad=not frozen)
        return open_cache(
            detector,
            source,
            request.cache,
            workers=workers,
            dtype=request.cache_dtype,
            report=reports.encoded,
            announce=reports.size,
            warn=reports.warning,
        )

    return open_batches
