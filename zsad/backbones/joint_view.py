"""What parts see of a vision tower's end: the way to the joint space, and none of its weights."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from zsad.backbones.vision import VisionTower


class TowerJoint:
    """A :class:`zsad.parts.JointView` of a tower.

    It is no module, so that a part that keeps it as an attribute does not own the tower's weights; gradients
    pass through to what the part has learned.
    """

    def __init__(self, tower: VisionTower) -> None:
        self._tower = tower

    def __deepcopy__(self, memo: object) -> TowerJoint:
        """Return itself: a copy of a part is no copy of the tower."""
        return self

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return tokens [..., D] of a block in the joint space, [..., C]: behind ln_post and projected."""
        return self._tower.to_joint(tokens)

    def ln_post(self) -> nn.Module:
        """Return a copy of the norm behind the last block."""
        return copy.deepcopy(self._tower.ln_post)
