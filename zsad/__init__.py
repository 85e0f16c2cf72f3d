"""Vision-language zero-shot anomaly detection: methods as recipes of swappable parts.

What the commands do: :func:`load` for ``zsad predict``, :func:`remember`, :func:`calibrate`,
:func:`evaluate`, :func:`train`. Torch is imported when one of them is called and not with the package, so
that ``import zsad`` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zsad.detectors import calibrate, load, remember

if TYPE_CHECKING:
    from zsad.evaluation.evaluate import Evaluated
    from zsad.training.train import Trained
    from zsad.training.trainer import Epoch
    from zsad.weights.loading import WeightsSource

__all__ = ["__version__", "calibrate", "evaluate", "load", "remember", "train"]
__version__ = "0.1.0"


def evaluate(
    methods: str | Sequence[str],
    data: str | Sequence[str],
    folder: str | Path,
    *,
    backbone: str | None = None,
    weights: Mapping[str, WeightsSource] | None = None,
    adapter: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    resolution: Literal["image-size", "native"] = "image-size",
    resume: bool = False,
    include_contaminated: bool = False,
    nouns: Mapping[str, str] | None = None,
    normal_prompts: str | Sequence[str] = (),
    abnormal_prompts: str | Sequence[str] = (),
    corrupt: str | Sequence[str] = "none",
    image_size: int | None = None,
    batch_size: int = 8,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    overrides: Sequence[str] = (),
    untrained: bool = False,
    workers: int | None = None,
    reference: str | Path | None = None,
    reference_abnormal: str | Path | None = None,
    reference_masks: str | Path | None = None,
    shots: int | None = None,
    memory: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluated:
    """Evaluate methods on datasets, as ``zsad eval`` does.

    Args:
        methods: Names of methods.
        data: Datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``.
        folder: Where the results go: ``summary.csv``, ``report.html``, ``run.json``, a file per cell.
        backbone: As for :func:`load`; its name.
        weights: Learned weights by method.
        adapter: Folder of an adapter (LoRA) on the backbone, for every method.
        metrics: Names that ``zsad metrics`` lists, or None for the standard ones.
        resolution: Where maps and masks are compared.
        resume: Keep the finished cells of the folder.
        include_contaminated: Let cells whose images were seen in training count in means.
        nouns: What prompts call objects, in the place of the class's name: by dataset, or by
            ``DATASET:CLASS``.
        normal_prompts: Sentences for the normal state in the place of the methods' own; ``{}`` stands for the
            object.
        abnormal_prompts: Sentences for the abnormal state.
        corrupt: What is done to the images, such as ``brightness:0.3``, one after the other; ``none`` stands
            for nothing.
        image_size: Side of the square input, or its short side, in pixels, or None for the methods' own.
        batch_size: Images per pass.
        device: As for :func:`load`.
        dtype: As for :func:`load`.
        seed: Seed of everything random.
        overrides: As for :func:`load`, for every method.
        untrained: Accept learnable parts without weights.
        workers: Processes that decode images, or None for one per core but for the one that computes.
        reference: Folder of normal images for few-shot methods: one set, or a folder for each class.
        reference_abnormal: Folder of abnormal ones, for methods that need some.
        reference_masks: Folder of their masks.
        shots: How many references are drawn of each class: of ``reference``, or without it of the dataset's
            training part.
        memory: File with what a few-shot method remembers, in their place.
        progress: Is called with the images done and their total.

    Returns:
        The table's rows, the cells, and the folder.

    Raises:
        InputError: If anything does not exist or does not fit.
        ZsadError: If a method gives no number, or the folder cannot be written to.
    """
    from zsad.detect.references import reference_request
    from zsad.evaluation.evaluate import Reports, evaluate
    from zsad.evaluation.request import EvaluationRequest
    from zsad.evaluation.summary import STANDARD_METRICS
    from zsad.recipe.settings import Settings

    request = EvaluationRequest(
        methods=_several(methods),
        data=_several(data),
        folder=Path(folder),
        backbone=backbone,
        weights=weights or {},
        adapter=None if adapter is None else Path(adapter),
        metrics=STANDARD_METRICS if metrics is None else _several(metrics),
        resolution=resolution,
        resume=resume,
        include_contaminated=include_contaminated,
        nouns=nouns or {},
        normal_prompts=_several(normal_prompts),
        abnormal_prompts=_several(abnormal_prompts),
        corrupt=_several(corrupt),
        image_size=image_size,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        seed=seed,
        overrides=Settings.parse(overrides),
        untrained=untrained,
        workers=workers,
        references=reference_request(
            reference, reference_abnormal, reference_masks, None if reference is None else shots, seed
        ),
        shots=shots if reference is None else None,
        memory=None if memory is None else Path(memory),
    )
    return evaluate(request, reports=None if progress is None else Reports.counting(progress))


def train(
    method: str,
    data: str | Sequence[str],
    folder: str | Path,
    *,
    backbone: str | None = None,
    weights: WeightsSource | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    generator: str | None = None,
    copies: int = 1,
    adapter: Literal["lora"] | None = None,
    image_size: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
    seed: int = 0,
    resume: bool = False,
    cache: str | Path | bool = True,
    cache_dtype: Literal["exact", "float16"] = "exact",
    half: bool = False,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Learn a method's weights on an auxiliary dataset, as ``zsad train`` does.

    Args:
        method: Name of the method.
        data: Annotated datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``, or normal images with a generator.
        folder: Where the run keeps weights, checkpoint and curve after every epoch.
        backbone: As for :func:`load`; its name.
        weights: Learned weights to begin with, or None for fresh ones.
        epochs: Passes over the data in the first stage, or None for the plan's.
        learning_rate: In the first stage, or None for the plan's.
        batch_size: Images per step, or None for the plan's.
        generator: Name of a generator of anomalies, or None.
        copies: Examples that it makes of each normal image.
        adapter: ``lora`` to learn low-rank layers in the towers too.
        image_size: Side of the square input, or its short side, in pixels, or None for the method's own.
        device: As for :func:`load`.
        dtype: Of the frozen towers.
        precision: Of the parts that learn.
        seed: Seed of everything random.
        resume: Go on from the last finished epoch in the folder.
        cache: Folder of the caches of features; True for the usual one, False to encode every image anew in
            every epoch.
        cache_dtype: Precision of the cache; ``float16`` halves that of float32 towers.
        half: Store the learned weights in float16.
        overrides: As ``--set`` takes them: of recipe, training, generator, examples and adapter.
        workers: Processes that read images, or None for one per core but for the one that computes.
        progress: Is called with every epoch, when it is kept.

    Returns:
        The files, and the epochs with their losses.

    Raises:
        InputError: If anything does not exist or does not fit.
        ZsadError: If training diverges, or the folder cannot be written to.
    """
    from zsad.recipe.settings import Settings
    from zsad.training.preparation import Reports
    from zsad.training.request import TrainingRequest, default_cache
    from zsad.training.train import train

    request = TrainingRequest(
        method=method,
        data=_several(data),
        folder=Path(folder),
        backbone=backbone,
        weights=weights,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        generator=generator,
        copies=copies,
        adapter=adapter,
        image_size=image_size,
        device=device,
        dtype=dtype,
        precision=precision,
        seed=seed,
        resume=resume,
        cache=(default_cache() if cache else None) if isinstance(cache, bool) else Path(cache),
        cache_dtype=cache_dtype,
        half=half,
        overrides=Settings.parse(overrides),
        workers=workers,
    )
    return train(request, reports=None if progress is None else Reports(epoch=progress))


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
