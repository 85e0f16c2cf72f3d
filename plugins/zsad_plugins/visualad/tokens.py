"""The state tokens t_n and t_a: two more class tokens, which learn what normal and anomalous look like."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.streams import Injection, VisionRequest, tap_requests
from zsad.values import Features

INITIAL_SCALE = 0.1
"""Norm of a freshly drawn token, in the mean, as in the published code."""


class StateTokens(nn.Module):
    """Puts both tokens into the pass where the class token enters, and reads them with the taps.

    Attention does not care for order: they stand behind the patches, the normal one first.

    Attributes:
        normal: t_n, [D].
        anomaly: t_a, [D].
    """

    needs_prepass = False

    def __init__(self, options: None, context: BuildContext) -> None:
        super().__init__()
        width = context.vision_width
        self.normal = nn.Parameter(torch.randn(width) * INITIAL_SCALE * width**-0.5)
        self.anomaly = nn.Parameter(torch.randn(width) * INITIAL_SCALE * width**-0.5)
        self._request = VisionRequest(tap_requests(context.taps, context.stage, name="tap"))

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream, in which the tokens take part."""
        return self._request

    def inject(self, prepass: Features | None) -> Injection:
        """Return the tokens, [1, 1, 2, D]; they need no plain pass."""
        return Injection(self.both[None, None], as_class=True)

    @property
    def both(self) -> Tensor:
        """[2, D], the normal token first."""
        return torch.stack([self.normal, self.anomaly])
