"""The detector that one stage of training runs, and what of it is learned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from zsad.backbones.card import TrainedOn
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector, backbone_facts
from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.recipe.recipes import merged, validate_recipe
from zsad.recipe.resolution import resolve_recipe
from zsad.recipe.training import Training
from zsad.weights.card import WeightsCard
from zsad.weights.loading import make_room

REACHED = ("attention_refiner", "feature_adapter", "prompt_learner", "prompt_conditioner", "scorer")
"""The kinds of parts that stand before the scores that the losses see."""


def stage_detector(detector: Detector, stage: Training, host: Host) -> Detector:
    """Return the detector of a stage: the method with the parts that are other ones while it learns.

    Its parameters are its own; :func:`carry` brings what is learned from one to the next.

    Raises:
        InputError: The stage's parts do not fit together or the backbone, or lack what the method learns.
    """
    resolved, backbone = detector.recipe, detector.backbone
    recipe = resolved.recipe
    if stage.parts:
        data = recipe.model_dump()
        data["parts"] = merged(data["parts"], stage.parts)
        recipe = validate_recipe(data, resolved.method)
    own = resolve_recipe(
        host,
        resolved.method,
        recipe,
        backbone_facts(backbone),
        composed=False,
        image_size=resolved.image_size,
    )
    learning = Detector(backbone, own, seed=detector.seed)
    for key in learning.parts:
        if key in detector.parts:
            make_room(learning.parts[key], detector.parts[key].state_dict())
    _check_holds(learning, detector)
    carry(detector, learning)
    return learning


def _check_holds(learning: Detector, detector: Detector) -> None:
    """Check that a stage has whatever the method learns, so that nothing is left as it was by accident.

    Raises:
        InputError: A part of the stage lacks a parameter, or has it in another size.
    """
    for part in detector.recipe.learnable:
        held = learning.parts[part.key].state_dict() if part.key in learning.parts else {}
        for name, tensor in detector.parts[part.key].state_dict().items():
            if name not in held or held[name].shape != tensor.shape:
                raise InputError(
                    f"training.parts: the {part.key} that stands for '{part.spec.name}' while learning has "
                    f"no '{name}' of the same size; choose it, or its options, by --set "
                    f"training.parts.{part.key} as well"
                )


def carry(source: Detector, target: Detector) -> None:
    """Copy learned parameters into a detector that has parts of the same keys; what it lacks is left out."""
    for part in target.recipe.learnable:
        if part.key not in source.parts:
            continue
        module = target.parts[part.key]
        make_room(module, source.parts[part.key].state_dict())
        known = module.state_dict()
        found = source.parts[part.key].state_dict().items()
        fitting = {name: t for name, t in found if name in known and t.shape == known[name].shape}
        module.load_state_dict(fitting, strict=False)
    if target.text_side is not None:
        target.text_side.forget()


def learned_parameters(detector: Detector, patterns: Sequence[str] = ("*",)) -> dict[str, nn.Parameter]:
    """Return the parameters that change, by their names in a weights file.

    Args:
        detector: The method.
        patterns: A stage's ``learn``.

    Raises:
        InputError: The method learns nothing, or something that no loss depends on, or a pattern fits no
            parameter.
    """
    recipe = detector.recipe
    for part in recipe.learnable:
        if part.kind not in REACHED:
            raise InputError(
                f"method '{recipe.method}' cannot be trained: '{part.spec.name}' ({part.kind}) learns, and "
                f"training reaches only {', '.join(REACHED)}"
            )
    for part in recipe.of_kind("scorer"):
        if part.spec.two_phase:
            raise InputError(
                f"method '{recipe.method}' cannot be trained: its scorer '{part.spec.name}' scores whole "
                "sets, not batches"
            )
    every = {
        f"{part.key}.{name}": parameter
        for part in recipe.learnable
        for name, parameter in detector.parts[part.key].named_parameters()
    }
    every |= adapter_of(detector)
    if not every:
        raise InputError(
            f"method '{recipe.method}' learns nothing; with --adapter lora an adapter of its backbone would"
        )
    _check_fit("learn", patterns, every, recipe.method)
    return {
        name: parameter
        for name, parameter in every.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def check_rates(detector: Detector, stage: Training) -> None:
    """Check that every learning rate of its own, and every bound of a gradient, is that of something.

    Raises:
        InputError: A pattern fits no parameter, or as :func:`learned_parameters`.
    """
    every = learned_parameters(detector)
    _check_fit("learning_rates", stage.learning_rates, every, detector.recipe.method)
    _check_fit("clip_norms", stage.clip_norms, every, detector.recipe.method)


def _check_fit(option: str, patterns: Iterable[str], names: Collection[str], method: str) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"training.{option}: no parameter of '{method}' fits '{pattern}' (there are: "
                f"{', '.join(sorted({name.rpartition('.')[0] for name in names}))})"
            )


def adapter_of(detector: Detector) -> dict[str, nn.Parameter]:
    """Return the parameters of the adapter that the backbone carries, ``adapter.vision.blocks...``."""
    if detector.backbone.adapter is None:
        return {}
    from zsad.weights.adapter.lora import adapter_parameters  # PEFT takes seconds to import

    return {f"adapter.{name}": value for name, value in adapter_parameters(detector.backbone).items()}


def learned_state(detector: Detector) -> dict[str, Tensor]:
    """Return what a weights file holds: the state of the learnable parts, their buffers included."""
    return {
        f"{part.key}.{name}": tensor
        for part in detector.recipe.learnable
        for name, tensor in detector.parts[part.key].state_dict().items()
    }


def weights_card(detector: Detector, trained_on: Sequence[TrainedOn]) -> WeightsCard:
    """Return the card of what a detector has learned, as its parameters are now."""
    recipe = detector.recipe
    profile, text_adapter = recipe.profile.binding(), None
    if detector.backbone.adapter is not None:
        from zsad.weights.adapter.lora import adapter_hashes

        hashes = adapter_hashes(detector.backbone)
        profile["adapter"], text_adapter = hashes.get("vision"), hashes.get("text")
    return WeightsCard(
        method=recipe.method,
        parts={part.key: part.spec.name for part in recipe.learnable},
        profile=profile,
        text_activation=recipe.text_profile.activation if recipe.text_profile else None,
        text_adapter=text_adapter,
        backbone=detector.backbone.sha256,
        origin="own",
        trained_on=tuple(trained_on),
    )


UNKNOWN = TrainedOn(dataset="not stated")
"""Stands for what weights were learned on whose card does not say it."""


def lineage(begun_with: Mapping[str, WeightsCard], datasets: Sequence[Dataset]) -> tuple[TrainedOn, ...]:
    """Return all that weights will have seen: what those they begin with saw, then the datasets.

    Args:
        begun_with: Cards of the weights of each part, as the detector has them before it learns.
        datasets: That it learns from now; their files are read.
    """
    former = [
        entry
        for card in begun_with.values()
        for entry in ((UNKNOWN,) if card.trained_on is None else card.trained_on)
    ]
    return tuple(dict.fromkeys([*former, *seen(datasets)]))


def seen(datasets: Sequence[Dataset]) -> tuple[TrainedOn, ...]:
    """Return what weights learn from datasets, for their card; reads the files to hash them."""
    return tuple(
        TrainedOn(
            dataset=dataset.name,
            classes=dataset.classes,
            manifest=dataset.manifest_hash,
            images=tuple(sorted(dataset.content_marks)),
        )
        for dataset in datasets
    )
