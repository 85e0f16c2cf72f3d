"""Prompts of the vision tower: tokens behind the patches, from a pass without them."""

from __future__ import annotations

from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.streams import InjectedTokens, VisionRequest, tap_requests
from zsad.values import Features
from zsad_plugins.adaclip.hybrid import HybridPrompts
from zsad_plugins.adaclip.options import VisualPromptOptions


class VisualPrompts(nn.Module):
    """Appends tokens at block 1, replaces them at the next blocks, and reads the taps without them.

    Attributes:
        prompts: The tokens.
        rounded: Whether tokens are rounded to float16, as the text profile says of deep prompts; the
            published code does so in both towers.
    """

    def __init__(self, options: VisualPromptOptions, context: BuildContext) -> None:
        super().__init__()
        blocks = options.blocks.resolve(context.depth)
        self.prompts = HybridPrompts(options, blocks, context.vision_width, context.embed_dim)
        self.rounded = context.text_view is not None and context.text_view.rounds_deep_prompts
        self._request = VisionRequest(tap_requests(context.taps, context.stage, name="prompted"))

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream, in which the tokens take part."""
        return self._request

    def inject(self, prepass: Features) -> InjectedTokens:
        """Return the tokens [blocks, B, length, D] for the image features of the plain pass."""
        tokens: Tensor = self.prompts(prepass.image_feature)
        return InjectedTokens(tokens.half().to(tokens.dtype) if self.rounded else tokens)
