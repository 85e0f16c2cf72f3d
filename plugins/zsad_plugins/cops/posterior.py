"""What stands for the synthesis while CoPS learns: class tokens from a posterior over the image feature."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.prompts import Prompts
from zsad.values import Features
from zsad_plugins.cops.networks import initialise
from zsad_plugins.cops.options import SynthesisOptions
from zsad_plugins.cops.synthesis import PromptSynthesis


class PosteriorEncoder(nn.Module):
    """The VAE's encoder: h = ReLU(W g + b), then mean and log variance of z by a linear layer each.

    Args:
        width: Channels C of the image feature and of z.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.mean, self.log_variance = nn.Linear(width, width), nn.Linear(width, width)
        initialise(self)

    def forward(self, image_feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, each [B, C], for image features [B, C] that are not normalised."""
        hidden = F.relu(self.hidden(image_feature))
        return self.mean(hidden), self.log_variance(hidden)


class PosteriorSynthesis(PromptSynthesis):
    """Prompt synthesis whose noise comes from the image: one draw z = mean + exp(log variance / 2) e.

    e is drawn from torch's generator, anew in every step. Whatever inference needs has the names that it has
    in :class:`PromptSynthesis`; the encoder is in training only.

    Attributes:
        encoder: q(z | g).
    """

    def __init__(self, options: SynthesisOptions, context: BuildContext) -> None:
        super().__init__(options, context)
        self.encoder = PosteriorEncoder(context.embed_dim)

    def forward(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return the completed prompts, the prototypes, and what the VAE's losses look at.

        The latter are ``posterior.mean``, ``posterior.log_variance`` and ``posterior.bias`` (the decoded
        draw), each [B, C].
        """
        mean, log_variance = self.encoder(features.image_feature.to(self.queries.dtype))
        noise = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        bias = self.decoder(noise)
        completed, found = self.synthesised(prompts, features, bias[:, None])
        return completed, found | {
            "posterior.mean": mean,
            "posterior.log_variance": log_variance,
            "posterior.bias": bias,
        }
