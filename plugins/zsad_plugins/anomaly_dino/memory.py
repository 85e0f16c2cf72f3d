"""References in several rotations, patch by patch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zsad.parts import BuildContext, Memory
from zsad.values import Features
from zsad_plugins.anomaly_dino.foreground import Foreground
from zsad_plugins.anomaly_dino.options import TurnedMemoryOptions
from zsad_plugins.anomaly_dino.rotation import Picture, full_turn
from zsad_plugins.standard.references import TokenMemory


class TurnedMemory(TokenMemory):
    """M = { F(T x) / |F(T x)| of every patch of every reference x in every rotation T }."""

    def __init__(self, options: TurnedMemoryOptions, context: BuildContext) -> None:
        super().__init__(options, context)
        self.count = options.views
        self.foreground = Foreground(options, context)

    def views(self, image: Picture) -> Sequence[Picture]:
        """Return the image [H, W, 3] in every rotation, at its own size."""
        return full_turn(image, self.count)

    def remember(self, features: Features, masks: Tensor | None) -> Memory:
        """Return the unit tokens [n, D] of a batch of references that show the object, by token set."""
        found, kept = super().remember(features, masks), self.foreground(features)
        return found if kept is None else {name: tokens[kept.flatten()] for name, tokens in found.items()}
