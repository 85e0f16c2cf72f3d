"""Where injected tokens enter a pass: beside the class token, or behind the patches of the first blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.streams import Injection


def check_edits(injection: Injection, depth: int) -> None:
    """Check that every edited block is one of the tower.

    Raises:
        InputError: One is not.
    """
    for number in injection.edits:
        if not 1 <= number <= depth:
            raise InputError(f"block {number} is edited, but this tower has {depth} blocks")


def with_entering(embedded: Tensor, injection: Injection, class_position: Tensor | None) -> Tensor:
    """Return embedded tokens [B, T, D] with those behind them that enter as the class token does.

    Args:
        embedded: Class token and patches with their positions, before ``ln_pre``.
        injection: Of the pass.
        class_position: Position of the class token, [D], or None in a tower without one.

    Raises:
        InputError: The tower has no class token.
    """
    if injection.tokens is None or not injection.as_class:
        return embedded
    if class_position is None:
        raise InputError(
            "this backbone has no class token whose place injected tokens could take; use a CLIP of the ViT "
            "family"
        )
    tokens = injection.tokens[0].to(embedded.dtype) + class_position
    return torch.cat([embedded, tokens.expand(len(embedded), -1, -1)], dim=1)


def with_replaced(x: Tensor, length: int, number: int, injection: Injection) -> Tensor:
    """Return a block's input [B, T, D] with the tokens of that block behind its first ``length`` places.

    Args:
        x: Input of the block.
        length: Class token and patches.
        number: Of the block, counted from 1.
        injection: Of the pass; tokens of its own stay as they are behind its depth.
    """
    if injection.tokens is None or injection.as_class or number > len(injection.tokens):
        return x
    tokens = injection.tokens[number - 1].to(x.dtype).expand(x.shape[0], -1, -1)
    return torch.cat([x[:, :length], tokens], dim=1)
