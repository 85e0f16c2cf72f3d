"""timm's models by name: which there are, how they are built, and how they take images of any size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import timm
import torch
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg
from torch import nn

from zsad.backbones.chance import seeded
from zsad.backbones.names import TIMM, BackboneName
from zsad.backbones.timm_weights import is_open
from zsad.errors import InputError, nearest

ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
"""What models are built with so that they take images of other sizes: the first that they know counts."""


@dataclass(frozen=True)
class TimmPlan:
    """How a model is built.

    Attributes:
        arch: timm's name of the model.
        tag: Tag of the weights whose config counts, or None for timm's default.
        config: timm's entry of those weights.
        options: What the model is built with beside its name.
    """

    arch: str
    tag: str | None
    config: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name as a backbone, without the tag."""
        return f"{TIMM}{self.arch}"

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the weights were trained on."""
        return int(self.options.get("img_size", self.config.input_size[-1]))

    def build(self, *, pretrained: bool = False) -> nn.Module:
        """Return the model without classifier, with weights from the hub or freshly drawn ones."""
        text = f"{self.arch}.{self.tag}" if self.tag else self.arch
        model: nn.Module = timm.create_model(text, pretrained=pretrained, num_classes=0, **self.options)
        return model.eval()

    def empty(self) -> nn.Module:
        """Return the model for its shapes alone; see :func:`without_weights`."""
        return without_weights(self.build)

    def at(self, image_size: int) -> TimmPlan:
        """Return the plan for weights that were trained on another size."""
        return replace(self, options={**self.options, "img_size": image_size})


def without_weights(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what is built on torch's meta device: all shapes, no weights, in a moment.

    Older versions of timm read values while they build. With them the model has weights that nobody reads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # initial values that have nowhere to go
        try:
            with torch.device("meta"):
                return build()
        except (RuntimeError, NotImplementedError) as error:
            if "meta" not in str(error).lower():
                raise
        with seeded(0):
            return build()


def plan_of(name: BackboneName) -> TimmPlan:
    """Return how the model of a name is built.

    Raises:
        InputError: timm has no such model, or no such tag of it, and the sentence suggests the nearest; or it
            takes no RGB images.
    """
    arch, tag = name.arch.removeprefix(TIMM), name.pretrained
    if not timm.is_model(arch):
        near = nearest(arch, timm.list_models())
        raise InputError(f"unknown backbone '{name.text}': timm has no model '{arch}'{near}")
    tags = tags_of(arch)
    if tag is not None and tag not in tags:
        raise InputError(
            f"timm has no weights '{tag}' of {arch}{nearest(tag, tags)} (it has: {', '.join(tags) or 'none'})"
        )
    config = get_pretrained_cfg(f"{arch}.{tag}" if tag else arch)
    if config is None:
        raise InputError(
            f"timm knows no image size and no pixel means of its model '{arch}'; use another one"
        )
    plan = TimmPlan(arch, tag, config)
    if config.input_size[0] != 3:
        raise InputError(
            f"{plan.name} takes images of {config.input_size[0]} channels; use a model of RGB images"
        )
    if is_open(plan.empty()):
        return plan
    for options in ANY_SIZE:
        found = replace(plan, options=options)
        try:
            found.empty()
        except TypeError:
            continue
        return found
    return plan


def tags_of(arch: str) -> list[str]:
    """Return the tags of the weights that timm has of a model, the default one first."""
    tags = [text.partition(".")[2] for text in get_arch_pretrained_cfgs(arch)]
    return [tag for tag in tags if tag]


def doubt(name: BackboneName) -> str | None:
    """Return what a file without a tag leaves open, in a sentence with its mend, or None."""
    arch = name.arch.removeprefix(TIMM)
    configs = [config for config in get_arch_pretrained_cfgs(arch).values() if config.has_weights]
    if name.pretrained or len({(tuple(config.mean), tuple(config.std)) for config in configs}) < 2:
        return None
    return (
        f"{name.file} does not say what means its pixels were normalised with, and timm's weights of {arch} "
        f"differ in them; name the weights, {name.arch}.TAG@{name.file} (tags: {', '.join(tags_of(arch))})"
    )
