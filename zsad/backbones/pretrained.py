"""What pretrained weights were trained with: by open_clip's table, beyond the architecture's config.

An architecture was trained with QuickGELU by some and with GELU by others, and with several pixel means.
The architecture's config has one value for all of them; the table has one for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import open_clip

from zsad.errors import InputError, nearest

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class TrainedWith:
    """What weights were trained with.

    Attributes:
        quick_gelu: QuickGELU in the place of GELU, wherever open_clip's config lets the two be exchanged.
        mean: Channel means that pixels were normalised with.
        std: Their deviations.
    """

    quick_gelu: bool
    mean: Triple
    std: Triple


def check_tag(arch: str, tag: str) -> None:
    """Check that open_clip has weights of a tag.

    Raises:
        InputError: It has none.
    """
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if tag not in tags:
        raise InputError(
            f"open_clip has no weights '{tag}' for {arch}"
            f"{nearest(tag, tags)} (it has: {', '.join(tags) or 'none'})"
        )


def training_of(arch: str, tag: str) -> TrainedWith:
    """Return what the weights of a tag were trained with.

    Args:
        arch: Architecture of open_clip.
        tag: One of its tags; where it does not state an activation, the architecture's config does.

    Raises:
        InputError: There is no such tag.
    """
    check_tag(arch, tag)
    told = open_clip.get_pretrained_cfg(arch, tag)
    return TrainedWith(bool(told.get("quick_gelu", _config_quick_gelu(arch))), _triple(told["mean"]),
                    _triple(told["std"]))  # fmt: skip


def trainings_of(arch: str) -> dict[str, TrainedWith]:
    """Return what the published weights of an architecture were trained with, by tag."""
    return {tag: training_of(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)}


def doubt(arch: str) -> str | None:
    """Return why an architecture's name does not tell what a file of its weights was trained with.

    Returns:
        A sentence without its mend, or None where all published weights agree with the config.
    """
    published, own = trainings_of(arch), _config_quick_gelu(arch)
    others = [tag for tag, training in published.items() if training.quick_gelu != own]
    if others:
        names = ("QuickGELU", "GELU") if own else ("GELU", "QuickGELU")
        return f"{arch} stands for {names[0]}, but its weights {_listed(others)} were trained with {names[1]}"
    if len({(training.mean, training.std) for training in published.values()}) > 1:
        return f"the weights of {arch} were trained with different means of their pixels"
    return None


def common_normalisation(arch: str) -> tuple[Triple, Triple] | None:
    """Return the means and deviations that all published weights of an architecture share, or None."""
    found = {(training.mean, training.std) for training in trainings_of(arch).values()}
    return found.pop() if len(found) == 1 else None


def quick_gelu_form(arch: str) -> str | None:
    """Return the name of the same architecture with QuickGELU, if open_clip has one."""
    name = f"{arch}-quickgelu"
    return name if open_clip.get_model_config(name) is not None else None


def _config_quick_gelu(arch: str) -> bool:
    return bool((open_clip.get_model_config(arch) or {}).get("quick_gelu", False))


def _listed(tags: list[str]) -> str:
    return ", ".join(tags[:3]) + (f" and {len(tags) - 3} more" if len(tags) > 3 else "")


def _triple(values: tuple[float, ...]) -> Triple:
    return (values[0], values[1], values[2])
