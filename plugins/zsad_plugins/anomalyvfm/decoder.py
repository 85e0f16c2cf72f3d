"""From patches to a map by convolutions, and from the class token to a score by one linear layer."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet, TokenSet
from zsad_plugins.anomalyvfm.options import DecoderOptions
from zsad_plugins.aprilgan.heads import PreciseLinear


class PreciseConv(nn.Conv2d):
    """A convolution in the precision of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, K', h, w] for [B, K, h, w]."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        found: Tensor = self._conv_forward(x, self.weight.to(x.dtype), bias)
        return found


class PreciseGroupNorm(nn.GroupNorm):
    """A GroupNorm in the precision of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised [B, K, h, w]."""
        return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class DecoderBlock(nn.Module):
    """x ← up(ReLU(GN(conv(ReLU(GN(conv x)))))), kernels 3 x 3, sides doubled by repeating places."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.conv1 = PreciseConv(inputs, outputs, 3, padding=1)
        self.conv2 = PreciseConv(outputs, outputs, 3, padding=1)
        self.norm1, self.norm2 = PreciseGroupNorm(groups, outputs), PreciseGroupNorm(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, K', 2 h, 2 w] for [B, K, h, w]."""
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.interpolate(x, scale_factor=2, mode="nearest")


class Decoder(nn.Module):
    """map = sigmoid(conv(blocks(patches))) and score = sigmoid(w . class token + b).

    The confidence that is learned beside the map weighs the loss alone; nothing here computes it.

    Attributes:
        blocks: From the tower's channels to the last of the option's ``widths``.
        output: The last convolution, to one channel.
        head: From the class token, and registers where the option ``summary`` asks for them, to one number.
    """

    def __init__(self, options: DecoderOptions, context: BuildContext) -> None:
        super().__init__()
        (width,) = context.tap_widths if len(context.tap_widths) == 1 else (0,)
        if not width:
            raise InputError(
                f"anomalyvfm.decoder reads one tap, and there are {len(context.tap_widths)}; use "
                "--set readout.taps=[1.0]"
            )
        if odd := next((count for count in options.widths if count % options.groups), None):
            raise InputError(
                f"scorer.widths: {odd} channels do not divide into {options.groups} groups; use a multiple, "
                "or another scorer.groups"
            )
        sizes = (width, *options.widths)
        self.blocks = nn.ModuleList(
            DecoderBlock(inputs, outputs, options.groups) for inputs, outputs in pairwise(sizes)
        )
        self.output = PreciseConv(sizes[-1], 1, options.kernel, padding=options.kernel // 2)
        self.head = PreciseLinear(options.summary * width, 1)
        self.summary = options.summary

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return a set of anomaly scores in 0..1 on a finer grid, and the image score in 0..1."""
        entry = features.patch_sets[-1]
        # One by one: convolutions of large batches round differently than those of small ones.
        maps = torch.cat([self.decode(image) for image in torch.split(entry.grid.to_maps(entry.tokens), 1)])
        found = ScoreSet(entry.name, torch.sigmoid(maps), "anomaly")
        score = torch.sigmoid(self.head(self.leading(entry)))[:, 0]
        return Scores((found,)).with_image_score(score, "anomalyvfm.decoder: class token")

    def decode(self, x: Tensor) -> Tensor:
        """Return the map's logits [B, 1, h', w'] for patches [B, D, h, w]."""
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.output(x)
        return found

    def leading(self, entry: TokenSet) -> Tensor:
        """Return the leading tokens that the image score reads, one behind the other, [B, n D].

        Raises:
            InputError: The token set has fewer.
        """
        found = entry.tokens[:, :0] if entry.class_token is None else entry.class_token[:, None]
        if entry.class_token is not None and entry.registers is not None:
            found = torch.cat([found, entry.registers], dim=1)
        if found.shape[1] < self.summary:
            raise InputError(
                f"scorer.summary: the image score reads {self.summary} leading tokens, and token set "
                f"'{entry.name}' has {found.shape[1]}; use a backbone with as many, or weights for this one"
            )
        return found[:, : self.summary].flatten(1)
