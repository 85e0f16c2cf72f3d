"""The data-dependent abnormality prior: a shift of the abnormal prompts from patches of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.prompts import Prompts
from zsad.values import ABNORMAL, NORMAL, Features, Provisional
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.faprompt.options import PriorOptions

REDUCTION = 16
"""Inputs of the net for each unit of its hidden layer, as in the published code."""


class AbnormalityPrior(nn.Module):
    """b = W_2 ReLU(W_1 [f_1, ..., f_k] + b_1) + b_2, added to the abnormal prompts' own tokens.

    f_1 ... f_k are normalised joint features of k patches. Behind a learner without tokens of the abnormal
    prompts' own, the shift goes to the context tokens of the abnormal prompts.

    Attributes:
        linear1, linear2: The layers, from k C channels to one shift of the text tower's D.
    """

    def __init__(self, options: PriorOptions, context: BuildContext) -> None:
        super().__init__()
        self.patches, self.count = options.patches, options.count
        inputs = options.count * context.embed_dim
        self.linear1 = PreciseLinear(inputs, max(1, inputs // REDUCTION))
        self.linear2 = PreciseLinear(self.linear1.out_features, context.text.width)

    def condition(
        self, prompts: Prompts, features: Features, provisional: Provisional
    ) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return the shifted prompts, and the shift [B, D] as ``faprompt.shift``.

        Raises:
            InputError: There are fewer patches than the prior reads, or the prompts hold no learned tokens.
        """
        chosen = self.chosen(features, provisional)
        shift = self.linear2(F.relu(self.linear1(chosen.flatten(1))))
        slot = prompts.slots.get("abnormal", prompts.slots.get("context"))
        if slot is None:
            raise InputError(
                "faprompt.prior shifts learned tokens, and this prompt learner has none; use --set "
                "prompt_learner=faprompt.prompts"
            )
        own = (prompts.state == ABNORMAL).to(shift.dtype)
        added = shift[:, None] * own[:, None]  # [B, n, D]
        embeddings = prompts.embeddings.to(torch.promote_types(prompts.embeddings.dtype, shift.dtype)).clone()
        embeddings[:, :, slot] = embeddings[:, :, slot] + added[:, :, None]
        return replace(prompts, embeddings=embeddings), {"faprompt.shift": shift}

    def chosen(self, features: Features, provisional: Provisional) -> Tensor:
        """Return the normalised features of the patches that the prior reads, [B, k, C]."""
        entry = features.patch_sets[-1]
        if entry.tokens.shape[1] < self.count:
            raise InputError(
                f"faprompt.prior reads {self.count} patches, and this image size gives "
                f"{entry.tokens.shape[1]}; use a larger --image-size"
            )
        tokens = F.normalize(entry.tokens, dim=-1)
        if self.patches == "first":
            return tokens[:, : self.count]
        scores = next(found for found in provisional.scores.sets if found.name == entry.name).values
        # The logits' difference has the order of the softmax, also where that saturates.
        excess = (scores[:, ABNORMAL] - scores[:, NORMAL]).detach().flatten(1)
        places = excess.argsort(dim=1, descending=True, stable=True)[:, : self.count]
        return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], places]
