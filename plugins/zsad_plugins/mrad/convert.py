"""Import the authors' files: two memories, ``{"keys", "values"}``, and linear maps where there are any."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.weights.state import reading

MAPS = {
    ("image_proj", "mlp1"): "queries.image",
    ("image_proj", "mlp2"): "mapped_keys.image",
    ("patch_proj", "fc.0"): "queries.patch",
    ("patch_proj", "fc.1"): "mapped_keys.patch",
}
"""Linear maps: their entry and name there, and their name in ``mrad.projected``."""


def convert(images: Any, patches: Any) -> dict[str, Tensor]:
    """Return both memories under zsad's names.

    Args:
        images: Content of the image memory's file.
        patches: Content of the patch memory's file.

    Raises:
        InputError: Not memories of MRAD.
    """
    return _memory(images, "image") | _memory(patches, "patch")


def convert_finetuned(maps: Any, images: Any, patches: Any) -> dict[str, Tensor]:
    """Return linear maps and both memories under zsad's names.

    Args:
        maps: Content of the checkpoint.
        images: Content of the image memory's file.
        patches: Content of the patch memory's file.

    Raises:
        InputError: Not a checkpoint of MRAD, or memories of another backbone.
    """
    found = convert(images, patches)
    for entry, name in (("image_proj", "image"), ("patch_proj", "patch")):
        with reading(maps, "MRAD", entry) as state:
            for (owner, old), new in MAPS.items():
                if owner == entry:
                    for leaf, tensor in state.layer(old, "joint width").items():
                        found[f"scorer.{new}.{leaf}"] = tensor
        width, keys = found[f"scorer.queries.{name}.weight"].shape[1], found[f"scorer.{name}_keys"].shape[1]
        if width != keys:
            raise InputError(
                f"its {name} memory has keys of {keys} channels, and its linear maps take {width}"
            )
    return found


def _memory(content: Any, name: str) -> dict[str, Tensor]:
    with reading(content, "MRAD") as state:
        keys, values = state.take("keys", "keys width"), state.take("values", "keys 2")
    if not torch.equal(values.sum(1), torch.ones(len(values))) or not ((values == 0) | (values == 1)).all():
        raise InputError(f"the values of its {name} memory are not one state per key")
    return {f"scorer.{name}_keys": keys, f"scorer.{name}_anomalous": values[:, 1] == 1}
