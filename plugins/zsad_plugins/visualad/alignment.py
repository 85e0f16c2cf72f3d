"""Behind the taps: tokens that have looked at a tap's patches, and patches that have passed an MLP."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, TokenSet
from zsad_plugins.visualad.contrast import state_tokens
from zsad_plugins.visualad.layers import CrossAttention, PatchMlp, PreciseNorm
from zsad_plugins.visualad.options import AlignmentOptions


class Alignment(nn.Module):
    """Hands on, for every tap l, patches MLP_l(x_l) and tokens z'_l, both in the channels of the tower.

    x_l are the tap's patches behind ln_post; z'_l is what the **last** tap's tokens become when they look at
    x_l.

    Attributes:
        ln_post: The learned norm, which starts as the backbone's own.
        own_weight, own_bias: Of the backbone's own norm, [D]; not stored with the weights.
        attention: One per tap.
        mlp: One per tap.
    """

    def __init__(self, options: AlignmentOptions, context: BuildContext) -> None:
        """Draw the layers.

        Raises:
            InputError: The backbone has no norm behind its last block.
        """
        super().__init__()
        given = context.to_joint.ln_post()
        if not isinstance(given, nn.LayerNorm) or given.bias is None:
            raise InputError("visualad.alignment starts from the LayerNorm behind the backbone's last block")
        width = context.vision_width
        self.ln_post = PreciseNorm(width, eps=given.eps)
        self.ln_post.load_state_dict({name: t.detach().float() for name, t in given.state_dict().items()})
        self.learned = options.ln_post == "learned"
        self.register_buffer("own_weight", self.ln_post.weight.detach().clone(), persistent=False)
        self.register_buffer("own_bias", self.ln_post.bias.detach().clone(), persistent=False)
        self.own_weight: Tensor
        self.own_bias: Tensor
        self.attention = nn.ModuleList(CrossAttention(options, width) for _ in context.taps)
        self.mlp = nn.ModuleList(PatchMlp(options, width) for _ in context.taps)

    def norm(self, x: Tensor) -> Tensor:
        """Return [..., D] behind the norm that the options choose."""
        if self.learned:
            found: Tensor = self.ln_post(x)
            return found
        weight, bias = self.own_weight.to(x.dtype), self.own_bias.to(x.dtype)
        return F.layer_norm(x, self.ln_post.normalized_shape, weight, bias, self.ln_post.eps)

    def forward(self, features: Features) -> Features:
        """Return the features with patches [B, N, D] and injected tokens [B, n, D] of every tap.

        Raises:
            InputError: Other token sets than one per tap, with injected tokens in each.
        """
        if len(features.token_sets) != len(self.mlp):
            raise InputError(
                f"visualad.alignment has layers for {len(self.mlp)} taps, but the attention refiner reads "
                f"{len(features.token_sets)} token sets; choose one that reads each tap once"
            )
        tokens = self.norm(state_tokens(features.token_sets[-1]))
        pairs = zip(features.token_sets, self.attention, self.mlp, strict=True)
        return replace(features, token_sets=tuple(self._aligned(tokens, *pair) for pair in pairs))

    def _aligned(self, tokens: Tensor, entry: TokenSet, attention: nn.Module, mlp: nn.Module) -> TokenSet:
        patches = self.norm(entry.tokens)
        return replace(
            entry, tokens=mlp(patches), injected=attention(tokens, patches), class_token=None, space="ln_post"
        )
