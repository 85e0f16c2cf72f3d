"""Learned weights: stored under part prefixes in safetensors, loaded only where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from safetensors.torch import load_file, save
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.files import atomic_write
from zsad.inputs import ImageResize
from zsad.parts import LabelledMemory
from zsad.plugin.imports import resource_path
from zsad.recipe.resolved import ResolvedRecipe
from zsad.weights.card import METADATA_KEY, WeightsCard, read_card
from zsad.weights.repositories.names import named_file

WeightsSource = str | Path | Mapping[str, str | Path]
"""One file for all learnable parts, or one per part key (``ResolvedPart.key``, for most the kind).

A file is a path, a folder with a weights.safetensors, or ``hf://OWNER/NAME[@REVISION][/FILE.safetensors]``.
"""

_UNNAMED = {"resize_order": "horizontal-first"}
"""What weights were learned with whose card is older than the field."""

_CHOOSE = "add --set profile=official for an authors' checkpoint, or override the profile by field"
_ONLY_SO = "train again, because this version resizes images in no other way"


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write tensors, named ``key.parameter``, with their card.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {METADATA_KEY: card.model_dump_json()}
    serialized = save(contiguous, metadata=metadata)
    atomic_write(path, lambda stream: stream.write(serialized))


def load_weights(
    modules: Mapping[str, nn.Module], recipe: ResolvedRecipe, source: WeightsSource, backbone: str
) -> dict[str, WeightsCard]:
    """Load learned parameters into a method's parts.

    Args:
        modules: Learnable parts by their key.
        recipe: The resolved recipe, whose profile the weights must have been learned with.
        source: One file, or one per key.
        backbone: sha256 of the backbone's weights.

    Returns:
        The card of each loaded part.

    Raises:
        InputError: Weights of another method, under another profile, or of another size.
        ZsadError: The weights are on a model hub that cannot be reached.
    """
    files = _files_by_key(modules, recipe, source)
    cards: dict[str, WeightsCard] = {}
    stored = cache(load_file)
    for key, path in files.items():
        card = read_card(path)
        _check_belongs(card, key, recipe, path)
        # Before the profile: another backbone mostly has another one, and an override would not help.
        if card.backbone not in (None, backbone):
            raise InputError(
                f"{path} was learned on another backbone (sha256 {str(card.backbone)[:12]}..., this one has "
                f"{backbone[:12]}...); name the backbone it was learned on, or train on this one"
            )
        _check_profile(card, recipe, path)
        prefix = f"{key}."
        state = {
            name.removeprefix(prefix): tensor
            for name, tensor in stored(path).items()
            if name.startswith(prefix)
        }
        _load_part(modules[key], state, key, path)
        cards[key] = card
    return cards


def load_embedded_weights(
    modules: Mapping[str, nn.Module], recipe: ResolvedRecipe, resource: str, backbone: str
) -> dict[str, WeightsCard]:
    """Load the weights that a plugin ships, into those parts that they were learned for.

    Args:
        modules: Learnable parts by their key.
        recipe: The resolved recipe; parts that stand in for others get nothing.
        resource: Resource string of the file.
        backbone: sha256 of the backbone's weights; on another one nothing is loaded.

    Returns:
        The card of each loaded part.

    Raises:
        InputError: A part was built with other sizes than the weights have.
    """
    with resource_path(resource) as path:
        card = read_card(path)
        if card.backbone != backbone:
            return {}
        names = {part.key: part.spec.name for part in recipe.learnable}
        fitting = {key: path for key, name in names.items() if card.parts.get(key) == name}
        return load_weights(modules, recipe, fitting, backbone)


def _files_by_key(
    modules: Mapping[str, nn.Module], recipe: ResolvedRecipe, source: WeightsSource
) -> dict[str, Path]:
    if isinstance(source, Mapping):
        for key in source:
            if key not in modules:
                raise InputError(
                    f"--weights {key}=...: method '{recipe.method}' has no learnable part '{key}' "
                    f"(it has: {', '.join(modules) or 'none'})"
                )
        return {key: named_file(name) for key, name in source.items()}
    if not modules:
        raise InputError(f"method '{recipe.method}' learns nothing; leave --weights out")
    return dict.fromkeys(modules, named_file(source))


def _check_belongs(card: WeightsCard, key: str, recipe: ResolvedRecipe, path: Path) -> None:
    wanted = next(part.spec.name for part in recipe.parts if part.key == key)
    if card.parts.get(key) != wanted:
        held = ", ".join(f"{held_key} ({name})" for held_key, name in card.parts.items())
        raise InputError(
            f"{path} holds weights of method '{card.method}' for {held}; method '{recipe.method}' needs them "
            f"for {key} ({wanted})"
        )


def _check_profile(card: WeightsCard, recipe: ResolvedRecipe, path: Path) -> None:
    run, text = recipe.profile.binding(), recipe.text_profile
    # Where nobody knows them, those of the run have to do.
    profile = {**_UNNAMED, **(card.profile or {**run, "adapter": None})}
    texts = {
        "text activation": (card.text_activation, text.activation if text else None),
        "text adapter": (card.text_adapter, text.adapter if text else None),
    }
    pairs = {key: (profile.get(key), run[key]) for key in run} | texts
    for name in ("adapter", "text adapter"):
        learned, now = pairs.pop(name)
        if learned != now:
            raise InputError(
                f"{path} was learned with {_adapter_words(name, learned)}, this run has "
                f"{_adapter_words(name, now)}; name the adapter's folder by --adapter, or leave it out"
            )
    for name, (learned, now) in pairs.items():
        if learned != now and not (name == "text activation" and learned is None):
            raise InputError(
                f"{path} was learned with {name.replace('_', ' ')} '{learned}', this run uses '{now}'; "
                f"{_mend(name, learned)}"
            )


def _mend(name: str, learned: str | None) -> str:
    if name == "image_resize" and learned in get_args(ImageResize):
        return f"use --set profile.image_resize={learned}"
    return _ONLY_SO if name in ("image_resize", "resize_order") else _CHOOSE


def _adapter_words(name: str, adapter: str | None) -> str:
    return f"no {name}" if adapter is None else f"the {name} {adapter}"


def make_room(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Let a labelled memory take the lengths of a state that is loaded next; other parts keep their sizes."""
    if isinstance(module, LabelledMemory):
        buffers = {name for name, _ in module.named_buffers()}
        module.make_room({name: len(state[name]) for name in buffers & state.keys() if state[name].ndim})


def _load_part(module: nn.Module, state: Mapping[str, Tensor], key: str, path: Path) -> None:
    make_room(module, state)
    expected = module.state_dict()
    missing, unknown = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unknown:
        what = f"lacks '{key}.{missing[0]}'" if missing else f"has the unknown '{key}.{unknown[0]}'"
        raise InputError(f"{path} does not fit the {key}: it {what}")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path} was learned on another backbone or with other options of the {key}: "
                f"'{key}.{name}' has the shape {tuple(tensor.shape)}, this run needs "
                f"{tuple(expected[name].shape)}"
            )
    module.load_state_dict(dict(state))
