"""A text tower: token embeddings in, one joint feature per sequence out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zsad.backbones.block import Block
from zsad.backbones.long_texts import cut_texts
from zsad.backbones.precision import full_float32
from zsad.errors import InputError, ZsadWarning
from zsad.prompts import DeepPrompts, TextEdits
from zsad.recipe.profiles import TextProfile

TEXT_BATCH = 1024
"""Sequences per forward call: bounds memory, not results."""


@dataclass(frozen=True)
class TextWeights:
    """The loaded weights of a text tower, shared by the towers of every profile.

    Attributes:
        token_embedding: [vocabulary, D].
        position_embedding: [context, D].
        blocks: The transformer blocks.
        ln_final: Norm after the last block.
        projection: [D, C], or None.
        projection_bias: [C], or None.
    """

    token_embedding: Tensor
    position_embedding: Tensor
    blocks: tuple[Block, ...]
    ln_final: nn.Module
    projection: Tensor | None
    projection_bias: Tensor | None = None


class TextTower(nn.Module):
    """CLIP's text transformer under one :class:`TextProfile`.

    Attributes:
        profile: The numerics of this tower.
        tokenizer: Turns texts into rows of token ids.
    """

    def __init__(
        self, weights: TextWeights, profile: TextProfile, tokenizer: Callable[[Sequence[str]], Tensor]
    ) -> None:
        super().__init__()
        self.profile = profile
        self.token_embedding = nn.Parameter(weights.token_embedding, requires_grad=False)
        self.position_embedding = nn.Parameter(weights.position_embedding, requires_grad=False)
        self.blocks = nn.ModuleList(block.with_activation(profile.activation) for block in weights.blocks)
        self.ln_final = weights.ln_final
        self.projection = weights.projection
        self.projection_bias = weights.projection_bias
        self.tokenizer = tokenizer

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """Channels of the token embeddings and blocks."""
        return self.position_embedding.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the tower's parameters are."""
        return self.position_embedding.device

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids [n, context_length] int64 on the tower's device; warns of texts that are cut."""
        ids = self.tokenizer(texts)
        # Beginnings of words are tried there, which a tokenizer that warns of words need not know.
        for text in cut_texts(getattr(self.tokenizer, "rows", self.tokenizer), texts, ids):
            warnings.warn(
                f"the text '{text}' is longer than the {self.profile.context_length} tokens that this "
                "backbone reads, and its end is left out; shorten it",
                ZsadWarning,
                stacklevel=2,
            )
        return ids.long().to(self.device)

    def embed(self, ids: Tensor) -> Tensor:
        """Return the token embeddings [..., D] of ids [...]."""
        return self.token_embedding[ids]

    def end_positions(self, ids: Tensor) -> Tensor:
        """Return [n], where each sequence's feature is read: the end token, or the last place.

        CLIP's end token has the largest id of the vocabulary, and texts hold it once. Towers without
        a causal mask (SigLIP) read the last place.
        """
        if self.profile.causal:
            return ids.argmax(dim=-1)
        return torch.full(ids.shape[:-1], ids.shape[-1] - 1, dtype=torch.long, device=ids.device)

    @full_float32()
    def forward(
        self,
        embeddings: Tensor,
        end: Tensor,
        deep: DeepPrompts | None = None,
        edits: TextEdits | None = None,
    ) -> Tensor:
        """Encode sequences; what stands behind the last end token is cut where that is exact.

        Args:
            embeddings: [..., L, D] token embeddings, without position embedding.
            end: [...] or broadcastable to it, position of each sequence's feature.
            deep: Tokens that replace a run of states at the inputs of some blocks.
            edits: Layers behind some blocks, and in place of the projection.

        Returns:
            [..., C] joint features, not normalised.

        Raises:
            InputError: A block is edited that the tower has not.
        """
        edits = edits or TextEdits()
        for number in edits.blocks:
            if not 1 <= number <= self.depth:
                raise InputError(f"text block {number} is edited, but this tower has {self.depth} blocks")
        lead = embeddings.shape[:-2]
        end = end.expand(lead)
        if self.profile.causal:
            embeddings = embeddings[..., : int(end.max()) + 1, :]
        length = embeddings.shape[-2]
        x = (embeddings.to(self.position_embedding.dtype) + self.position_embedding[:length]).flatten(0, -3)
        runs = [
            tokens.expand(*lead, *tokens.shape[-2:]).flatten(0, -3)
            for tokens in map(self._cast, deep.tokens if deep else ())
        ]
        flat_end = end.flatten()
        chunks = [
            self._encode(
                x[low : low + TEXT_BATCH],
                flat_end[low : low + TEXT_BATCH],
                deep,
                [run[low : low + TEXT_BATCH] for run in runs],
                edits,
            )
            for low in range(0, x.shape[0], TEXT_BATCH)
        ]
        return torch.cat(chunks).reshape(*lead, -1)

    def _encode(
        self, x: Tensor, end: Tensor, deep: DeepPrompts | None, runs: list[Tensor], edits: TextEdits
    ) -> Tensor:
        for number, block in enumerate(self.blocks, start=1):
            if deep is not None and 0 <= number - deep.first_block < len(runs):
                run = runs[number - deep.first_block]
                after = deep.position + run.shape[1]
                x = torch.cat([x[:, : deep.position], run, x[:, after:]], dim=1)
            x = block(x, causal=self.profile.causal)
            if number in edits.blocks:
                x = edits.blocks[number](x)
        x = self.ln_final(x[torch.arange(x.shape[0], device=x.device), end])
        if edits.projection is not None:
            return edits.projection(x)
        if self.projection is not None:
            x = x @ self.projection
        return x if self.projection_bias is None else x + self.projection_bias

    def _cast(self, tokens: Tensor) -> Tensor:
        # Published code inserts deep prompts as float16 also in float32 runs; the rounding shows.
        if self.profile.deep_prompt_cast == "float16":
            tokens = tokens.half()
        return tokens.to(self.position_embedding.dtype)
