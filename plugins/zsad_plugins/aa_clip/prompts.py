"""Fixed sentences through an adapted text tower, with LeakyReLU(W t) in place of its projection."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.prompts import Prompts, TextEdits
from zsad_plugins.aa_clip.options import PromptOptions
from zsad_plugins.aa_clip.residual import ResidualAdapter, xavier_linear
from zsad_plugins.standard.templates import TemplatePrompts


class AdaptedPrompts(nn.Module):
    """The sentences of ``standard.templates`` with learned layers in the tower that reads them.

    Attributes:
        adapters: One per adapted text block, from the first on.
        projection: W, from the text tower's channels to the joint space, without bias.
        templates: What makes the sentences.
    """

    class_agnostic = False

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        super().__init__()
        width, count = context.text.width, options.blocks.resolve(context.text.depth)
        self.adapters = nn.ModuleList(ResidualAdapter(width, options.weight) for _ in range(count))
        self.projection = xavier_linear(width, context.embed_dim)
        self.templates = TemplatePrompts(options, context)

    def forward(self, class_name: str) -> Prompts:
        """Return the sentences about an object, normal ones first."""
        blocks = dict(enumerate(self.adapters, start=1))
        return replace(self.templates(class_name), edits=TextEdits(blocks, self.project))

    def project(self, features: Tensor) -> Tensor:
        """Return LeakyReLU(W t), [..., C], for features t [..., D] behind the tower's last norm."""
        return F.leaky_relu(self.projection(features))
