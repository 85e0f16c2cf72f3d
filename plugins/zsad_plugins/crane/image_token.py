"""Context-guided prompts: the image feature as a token of the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.backbones.text import TextTower
from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Prompts
from zsad_plugins.crane.options import ImageTokenOptions


class ImageToken:
    """Puts g / |g| into every prompt: [V1]...[V12] [g] object.

    There is no learned projection: published models have as many joint channels as text channels. Where they
    differ, the token is the shortest one that the text projection would bring nearest to g / |g|.
    """

    def __init__(self, place: str, bridge: Tensor | None, longest: int) -> None:
        self.place, self.longest = place, longest
        self.bridge = bridge

    def token(self, image_feature: Tensor) -> Tensor:
        """Return the tokens [B, D] of image features [B, C]."""
        token = F.normalize(image_feature, dim=-1)
        return token if self.bridge is None else token @ self.bridge.to(token.dtype)

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return prompts whose end tokens stand one place further on where the token is inserted."""
        if "context" not in prompts.slots:
            raise InputError(
                "crane.image_token puts its token beside learned context tokens, which these prompts lack; "
                "add --set prompt_learner=crane.prompts"
            )
        context = prompts.slots["context"]
        inserts = self.place.startswith("pad")
        before = {
            "pad_prefix": context.start,
            "replace_prefix": context.start,
            "replace_suffix": context.stop - 1,
            "pad_suffix": context.stop,
        }[self.place]
        after = before if inserts else before + 1
        words = prompts.embeddings
        token = self.token(features.image_feature).to(words.dtype)[:, None, None]
        joined = torch.cat(
            [words[:, :, :before], token.expand(-1, words.shape[1], -1, -1), words[:, :, after:]], dim=2
        )
        shifted = prompts.end + int(inserts)
        # Padding at the end makes room for the token; Crane's own prompts are far from full.
        if int(shifted.max()) >= self.longest:
            raise InputError(f"with the image token a prompt has more than {self.longest} tokens; shorten it")
        return replace(prompts, embeddings=joined[:, :, : self.longest], end=shifted), {}


def build(options: ImageTokenOptions, context: BuildContext) -> ImageToken:
    """Build the conditioner for the backbone's widths.

    Raises:
        InputError: The text tower has other channels than the joint space, and no projection between them.
    """
    text = context.text
    assert text is not None  # 'text_features' is required
    bridge = None if text.width == context.embed_dim else least_squares_bridge(text)
    return ImageToken(options.place, bridge, text.profile.context_length)


def least_squares_bridge(text: TextTower) -> Tensor:
    """Return the pseudo-inverse [C, D] of a text tower's projection.

    Raises:
        InputError: It has none.
    """
    if text.projection is None:
        raise InputError("the image feature has other channels than the text tower, which has no projection")
    bridge: Tensor = torch.linalg.pinv(text.projection.detach().float())
    return bridge
