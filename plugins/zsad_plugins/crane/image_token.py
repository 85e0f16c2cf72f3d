"""Context-guided prompts: the image feature as a token of the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.prompts import Prompts
from zsad.values import Features
from zsad_plugins.crane.options import ImageTokenOptions, Place


def with_token(prompts: Prompts, token: Tensor, place: Place, longest: int) -> Prompts:
    """Return prompts with one more token, or another one: [V1]...[V12] [token] object.

    Args:
        prompts: Embeddings [B, n, L, D] with a slot ``context``.
        token: [B, D].
        place: Where it stands. A token that is inserted moves what is behind it, the end token too.
        longest: Longest text in tokens.

    Raises:
        InputError: The prompts have no context, or no room.
    """
    if "context" not in prompts.slots:
        raise InputError(
            "crane.image_token puts its token beside learned context tokens, which these prompts lack; "
            "add --set prompt_learner=crane.prompts"
        )
    context, inserts = prompts.slots["context"], place.startswith("pad")
    before = {
        "pad_prefix": context.start,
        "replace_prefix": context.start,
        "replace_suffix": context.stop - 1,
        "pad_suffix": context.stop,
    }[place]
    after = before if inserts else before + 1
    words = prompts.embeddings
    added = token.to(words.dtype)[:, None, None].expand(-1, words.shape[1], -1, -1)
    joined = torch.cat([words[:, :, :before], added, words[:, :, after:]], dim=2)
    end = prompts.end + int(inserts)
    # Padding at the end makes room for the token; Crane's own prompts are far from full.
    if int(end.max()) >= longest:
        raise InputError(f"with the image token a prompt has more than {longest} tokens; shorten it")
    return replace(prompts, embeddings=joined[:, :, :longest], end=end)


class ImageToken:
    """Puts g / |g| into every prompt.

    There is no learned projection: published models have as many joint channels as text channels. Where they
    differ, the token is the shortest one that the text projection would bring nearest to g / |g|.
    """

    def __init__(self, options: ImageTokenOptions, context: BuildContext) -> None:
        self.place, self.longest = options.place, context.text.context_length
        self.bridge = None if context.text.width == context.embed_dim else least_squares_bridge(context)

    def token(self, image_feature: Tensor) -> Tensor:
        """Return the tokens [B, D] of image features [B, C]."""
        token = F.normalize(image_feature, dim=-1)
        return token if self.bridge is None else token @ self.bridge.to(token.dtype)

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return prompts that hold the token of their image."""
        return with_token(prompts, self.token(features.image_feature), self.place, self.longest), {}


def least_squares_bridge(context: BuildContext) -> Tensor:
    """Return the pseudo-inverse [C, D] of the text tower's projection.

    Raises:
        InputError: It has none.
    """
    projection = context.text.projection()
    if projection is None:
        raise InputError("the image feature has other channels than the text tower, which has no projection")
    bridge: Tensor = torch.linalg.pinv(projection.float())
    return bridge
