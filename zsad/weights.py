"""Learned weights: stored under part prefixes in safetensors, loaded only where they belong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor, nn

from zsad.card import METADATA_KEY, WeightsCard, read_card
from zsad.errors import InputError
from zsad.files import atomic_write
from zsad.resolution import ResolvedRecipe

WeightsSource = str | Path | Mapping[str, str | Path]
"""One file for all learnable parts, or one per part kind."""


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write tensors, named ``kind.parameter``, with their card.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {METADATA_KEY: card.model_dump_json()}
    serialized = save(contiguous, metadata=metadata)
    atomic_write(path, lambda stream: stream.write(serialized))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(
    modules: Mapping[str, nn.Module], recipe: ResolvedRecipe, source: WeightsSource
) -> dict[str, WeightsCard]:
    """Load learned parameters into a method's parts.

    Args:
        modules: Learnable parts by kind.
        recipe: The resolved recipe, whose profile the weights must have been learned with.
        source: One file, or one per kind.

    Returns:
        The card of each loaded part.

    Raises:
        InputError: Weights of another method, under another profile, or of another size.
    """
    files = _files_by_kind(modules, recipe, source)
    cards: dict[str, WeightsCard] = {}
    for kind, path in files.items():
        card = read_card(path)
        _check_belongs(card, kind, recipe, path)
        _check_profile(card, recipe, path)
        prefix = f"{kind}."
        state = {
            name.removeprefix(prefix): tensor
            for name, tensor in load_file(path).items()
            if name.startswith(prefix)
        }
        _load_part(modules[kind], state, kind, path)
        cards[kind] = card
    return cards


def _files_by_kind(
    modules: Mapping[str, nn.Module], recipe: ResolvedRecipe, source: WeightsSource
) -> dict[str, Path]:
    if isinstance(source, Mapping):
        for kind in source:
            if kind not in modules:
                raise InputError(
                    f"--weights {kind}=...: method '{recipe.method}' has no learnable part '{kind}' "
                    f"(it has: {', '.join(modules) or 'none'})"
                )
        return {kind: Path(path) for kind, path in source.items()}
    if not modules:
        raise InputError(f"method '{recipe.method}' learns nothing; leave --weights out")
    return dict.fromkeys(modules, Path(source))


def _check_belongs(card: WeightsCard, kind: str, recipe: ResolvedRecipe, path: Path) -> None:
    wanted = next(part.spec.name for part in recipe.parts if part.kind == kind)
    if card.parts.get(kind) != wanted:
        held = ", ".join(f"{key} ({name})" for key, name in card.parts.items())
        raise InputError(
            f"{path} holds weights of method '{card.method}' for {held}; method '{recipe.method}' needs them "
            f"for {kind} ({wanted})"
        )


def _check_profile(card: WeightsCard, recipe: ResolvedRecipe, path: Path) -> None:
    run = recipe.profile.binding()
    texts = {
        "text activation": (card.text_activation, recipe.text_profile and recipe.text_profile.activation)
    }
    pairs = {key: (card.profile.get(key), run[key]) for key in run} | texts
    for name, (learned, now) in pairs.items():
        if learned != now and not (name == "text activation" and learned is None):
            raise InputError(
                f"{path} was learned with {name.replace('_', ' ')} '{learned}', this run uses '{now}'; "
                "add --set profile=official for an authors' checkpoint, or override the profile by field"
            )


def _load_part(module: nn.Module, state: Mapping[str, Tensor], kind: str, path: Path) -> None:
    expected = module.state_dict()
    missing, unknown = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unknown:
        what = f"lacks '{kind}.{missing[0]}'" if missing else f"has the unknown '{kind}.{unknown[0]}'"
        raise InputError(f"{path} does not fit the {kind}: it {what}")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path} was learned on another backbone: '{kind}.{name}' has the shape "
                f"{tuple(tensor.shape)}, this backbone needs {tuple(expected[name].shape)}"
            )
    module.load_state_dict(dict(state))
