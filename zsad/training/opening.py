"""From ``--data``, ``--generator`` and their options to the examples of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from zsad.data.dataset import Dataset, DatasetImage, folder_name
from zsad.data.folders import images_beside, images_in, is_normal, subfolders
from zsad.data.names import HIDDEN, SYSTEM, UNREADABLE
from zsad.data.nouns import noun_of
from zsad.data.outputs import WRITTEN
from zsad.data.spec import open_dataset, parse_spec
from zsad.data.walk import walk
from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.plugin.options import Options
from zsad.recipe.recipes import first_problem
from zsad.recipe.settings import NO_SETTINGS, Settings
from zsad.recipe.training import Training, chosen_losses
from zsad.training.generators import FeatureGenerator, LoadedGenerator, load_generator
from zsad.training.mosaic import MosaicExamples, MosaicLabel
from zsad.training.posterior import PosteriorOptions
from zsad.training.sources import DatasetExamples, GeneratedExamples, NormalExamples, TrainingSource

PARTS = ("train", "test")
"""Names of folders that tell the parts of a dataset apart, in any mixture of upper and lower case."""


class ExampleOptions(Options):
    """Options of the examples, ``--set examples.OPTION=VALUE``."""

    clean: float = Field(0.5, ge=0, lt=1)
    """Share of the generated examples that stay clean."""
    mosaic_label: MosaicLabel = "from-mask"
    """Where a mosaic's image label comes from; 'original' keeps the replaced example's, as published."""
    weight: Literal["equal", "posterior"] = "equal"
    """Whether generated anomalies count alike, or by their Expected Anomaly Posterior."""
    posterior: PosteriorOptions = PosteriorOptions()
    """Options of that posterior."""


def open_sources(
    specs: Sequence[str],
    host: Host,
    generator: str | None = None,
    settings: Settings = NO_SETTINGS,
    *,
    seed: int = 0,
    copies: int = 1,
    masks: bool = True,
) -> TrainingSource:
    """Return the examples of a training; images are read when they are asked for.

    Without a generator they are the annotated test images of the datasets. With one that changes images, they
    are normal images and anomalies made on them; with one that changes features, normal images, and
    :func:`open_feature_generator` gives what changes their features.

    Args:
        specs: Datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``. With a generator, a folder that holds nothing
            but images will do, too: they are taken for normal.
        host: Whose layouts and generators are known.
        generator: Name of a generator, or None.
        settings: Their sections ``generator`` and ``examples`` count.
        seed: Seed of everything random, 0 or more.
        copies: Examples made of each normal image.
        masks: Whether a loss reads masks (:func:`reads_masks`).

    Raises:
        InputError: Nothing to learn from, missing masks, no normal image, or a wrong name, option or number.
    """
    made, examples = settings.options("generator"), settings.options("examples")
    wanted = _example_options(examples)
    source: TrainingSource
    if generator is None:
        if made:
            raise InputError(f"--set generator.{next(iter(made))}: name a --generator first")
        if copies != 1 or "clean" in examples:
            what = "examples.clean" if copies == 1 else "copies"
            raise InputError(f"{what}: name a --generator, which makes copies and leaves some clean")
        source = DatasetExamples([open_dataset(text, host) for text in specs], masks=masks)
    else:
        loaded = load_generator(host, generator, made)
        normals = NormalExamples([open_normal(text, host) for text in specs])
        if loaded.level == "image":
            source = GeneratedExamples(normals, loaded, copies=copies, clean=wanted.clean, seed=seed)
        else:
            _refuse_image_options(loaded, copies, examples)
            source = normals
    return source


def reads_masks(host: Host, plan: Training) -> bool:
    """Whether a loss of any stage reads masks, or a memory.

    Raises:
        InputError: An unknown loss.
    """
    if any(stage.fill for stage in plan.stages):
        return True
    names = {name for stage in plan.stages for name in chosen_losses(stage.losses)}
    return any(host.losses.get(name).spec.masks for name in names)


def with_mosaics(
    source: TrainingSource, share: float, settings: Settings = NO_SETTINGS, *, seed: int = 0
) -> TrainingSource:
    """Return the examples with a share of them replaced by a mosaic of four.

    Args:
        source: The examples.
        share: From 0 to 1.
        settings: As for :func:`open_sources`.
        seed: Seed of everything random, 0 or more.

    Raises:
        InputError: A wrong option or number, or an option of mosaics where there are none.
    """
    given = settings.options("examples")
    if not share:
        if "mosaic_label" in given:
            raise InputError("examples.mosaic_label: there are no mosaics; add --set training.mosaic=SHARE")
        return source
    wanted = _example_options(given)
    bare = next((dataset for dataset in source.datasets if dataset.maskless), None)
    if isinstance(source, DatasetExamples) and bare is not None and wanted.mosaic_label == "from-mask":
        raise InputError(
            f"--data: dataset '{bare.name}' gives no mask for some anomalous images, and the labels of "
            "mosaics come from masks; leave mosaics out by --set training.mosaic=0"
        )
    return MosaicExamples(source, share, seed, label=wanted.mosaic_label)


def open_feature_generator(
    host: Host, generator: str | None, settings: Settings = NO_SETTINGS
) -> FeatureGenerator | None:
    """Return the generator if it is one that changes features, else None.

    Args:
        host: Whose generators are known.
        generator: Name of a generator, or None.
        settings: As for :func:`open_sources`.

    Raises:
        InputError: A wrong name, option or value.
    """
    if generator is None:
        return None
    loaded = load_generator(host, generator, settings.options("generator"))
    found: FeatureGenerator | None = loaded.make if loaded.level == "features" else None
    return found


def open_weighting(generator: str | None, settings: Settings = NO_SETTINGS) -> PosteriorOptions | None:
    """Return how generated anomalies are weighted, or None where all examples count alike.

    Args:
        generator: Name of a generator, or None.
        settings: As for :func:`open_sources`.

    Raises:
        InputError: A wrong option, weights without a generator, or options of weights that are not wanted.
    """
    given = settings.options("examples")
    wanted = _example_options(given)
    if wanted.weight == "equal":
        if "posterior" in given:
            raise InputError("examples.posterior: add --set examples.weight=posterior, or leave it out")
        return None
    if generator is None:
        raise InputError(
            "--set examples.weight=posterior: only generated anomalies are weighted; name a --generator"
        )
    return wanted.posterior


def open_normal(text: str, host: Host) -> Dataset:
    """Read a dataset of which only the normal images will be used.

    A folder that holds images and nothing else is one class of normal images, whatever its layout is called:
    no layout that tells normal from anomalous images consists of such a folder.

    Raises:
        InputError: As :func:`zsad.data.spec.open_dataset`.
    """
    request = parse_spec(text, host.datasets)
    if request.layout not in host.datasets or not _holds_only_images(request.path):
        return open_dataset(text, host)
    assert request.path is not None  # or it would hold nothing
    name, folder = _shown_in(request.path), request.path.absolute()
    images = [DatasetImage(image, None, False, name, noun_of(name)) for image in images_in(folder)]
    dataset = Dataset.of(folder, images).with_the_rest(request.layout)
    dataset = replace(dataset, name=request.name or name)
    return dataset.restricted_to(request.classes) if request.classes else dataset


def _shown_in(folder: Path) -> str:
    """Return the name of what a folder of normal images shows: of ``bottle/train/good``, it is ``bottle``.

    A class or a dataset of that name is what weights that learn from it will have seen.
    """
    own = Path(os.path.abspath(folder))
    above = next((f for f in (own, *own.parents) if not (is_normal(f) or f.name.lower() in PARTS)), own)
    return folder_name(above if above.name else own)


def _holds_only_images(folder: Path | None) -> bool:
    if folder is None or not folder.is_dir():
        return False
    if is_normal(folder):
        return bool(images_in(folder)) and not any(map(is_normal, subfolders(folder)))
    strange = [
        entry
        for entry in walk(folder).left_out
        if entry.reason not in (SYSTEM, HIDDEN, WRITTEN) and entry.path.suffix.lower() not in UNREADABLE
    ]
    return bool(images_beside(folder)) and not subfolders(folder) and not strange


def _example_options(given: dict[str, Any]) -> ExampleOptions:
    try:
        return ExampleOptions.model_validate(given)
    except ValidationError as error:
        raise InputError(f"--set examples: {first_problem(error, ExampleOptions)}") from error


def _refuse_image_options(loaded: LoadedGenerator, copies: int, given: dict[str, Any]) -> None:
    """Refuse what would have no effect on normal images whose features are changed later."""
    if copies != 1 or {"clean", "weight"} & set(given):
        what = "copies" if copies != 1 else "examples.clean" if "clean" in given else "examples.weight"
        raise InputError(
            f"{what}: generator '{loaded.name}' changes features anew in every step, so this has no meaning; "
            "leave it out"
        )
