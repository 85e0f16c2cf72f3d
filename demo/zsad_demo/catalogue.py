"""What the demo offers: methods with weights on backbones, under the labels that visitors choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import backbone_facts
from zsad.detect.references import few_shot_methods
from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.host import Host
from zsad.plugin.imports import resource_path
from zsad.recipe.resolution import resolve
from zsad.recipe.resolved import ResolvedRecipe
from zsad.weights.card import read_card

WeightFiles = Mapping[str, Sequence[Path]]
"""Files of ``--weights`` by method."""


@dataclass(frozen=True)
class Model:
    """One thing that a visitor can choose.

    Attributes:
        label: What the visitor sees.
        backbone: Name of the backbone.
        method: Name of the method.
        weights: File with the learned parts, or None for those that come with the plugin.
        image_size: Side of the square input, or its short side, in pixels, unless a visitor asks for another.
        takes_words: Whether the prompts can be the visitor's own.
        needs_several: Whether an image is judged by the others sent with it.
    """

    label: str
    backbone: str
    method: str
    weights: Path | None
    image_size: int
    takes_words: bool
    needs_several: bool


def models_on(
    backbone: ClipBackbone, name: str, weights: WeightFiles, host: Host, *, name_backbone: bool
) -> Iterator[Model]:
    """Yield what can run on a backbone: methods that fit it and lack no learned weights.

    Args:
        backbone: The loaded backbone.
        name: The name it was loaded by.
        weights: Files by method.
        host: Plugin host.
        name_backbone: Whether labels name the backbone.
    """
    for method in dict.fromkeys((*offered_first(host), *host.recipes.names())):
        try:
            resolved = resolve(host, method, backbone_facts(backbone))
        except ZsadError:  # it does not fit this backbone, or its plugin is broken: `zsad methods` says so
            continue
        if resolved.reference_store is not None:  # a page has no place yet to give references
            continue
        files: list[Path | None] = list(weights.get(method, ()))
        if has_own_weights(resolved, backbone):
            files.insert(0, None)
        for file in files:
            yield Model(
                label=_label(method, file, name if name_backbone else ""),
                backbone=name,
                method=method,
                weights=file,
                image_size=resolved.image_size,
                takes_words=_takes_words(resolved),
                needs_several=resolved.two_phase,
            )


def offered_first(host: Host) -> tuple[str, ...]:
    """Return what a newcomer sees chosen: the starter that the others lead to, and beside it the first."""
    ranked = [(claim.spec.starter, name) for name, claim in host.recipes.items() if claim.spec.starter]
    return (max(ranked)[1], min(ranked)[1]) if ranked else ()


def has_own_weights(resolved: ResolvedRecipe, backbone: ClipBackbone) -> bool:
    """Whether a method learns nothing, or its plugin ships the weights of all its parts for the backbone."""
    if not resolved.learnable:
        return True
    resource = resolved.recipe.weights.get(backbone.arch)
    if resource is None:
        return False
    with resource_path(resource) as path:
        card = read_card(path)
    fits = all(card.parts.get(part.key) == part.spec.name for part in resolved.learnable)
    return fits and card.backbone == backbone.sha256


def parse_weights(given: Sequence[str], host: Host) -> dict[str, list[Path]]:
    """Return the files of ``--weights METHOD=FILE`` by method.

    Raises:
        InputError: Another form, an unknown method, a file that is missing or holds no weights.
    """
    files: dict[str, list[Path]] = {}
    for text in given:
        method, equals, path = text.partition("=")
        if not (equals and path):
            raise InputError(f"--weights {text}: write METHOD=FILE")
        if method not in host.recipes:
            raise InputError(
                f"--weights {text}: unknown method '{method}'{nearest(method, host.recipes.names())}"
            )
        read_card(Path(path))
        chosen = files.setdefault(method, [])
        if Path(path).name in {file.name for file in chosen}:  # the page shows no folders
            raise InputError(f"--weights {text}: another file for {method} has the same name; rename one")
        chosen.append(Path(path))
    return files


def methods_with_references(host: Host) -> dict[str, str]:
    """Return the methods that take reference images, with their summaries."""
    return {method: recipe.summary for method, recipe in few_shot_methods(host).items()}


def _takes_words(resolved: ResolvedRecipe) -> bool:
    return any(hasattr(part.options, "normal_prompts") for part in resolved.of_kind("prompt_learner"))


def _label(method: str, weights: Path | None, backbone: str) -> str:
    with_weights = f" with {weights.name}" if weights else ""
    return f"{method}{with_weights}{f' on {backbone}' if backbone else ''}"
