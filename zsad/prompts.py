"""What prompt learners yield and conditioners edit: token sequences with slots, deep prompts, a reduction.

Shapes use B images, n prompts, L places of a sequence, D channels of the text tower, m tokens of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DeepPrompts:
    """Learned tokens that replace the states of a run of tokens at the input of several blocks.

    Attributes:
        tokens: One tensor per block, each [m, D], [n, m, D] or [B, n or 1, m, D]: broadcast over the
            prompts' leading axes.
        first_block: Block (counted from 1) whose input the first one replaces.
        position: First replaced sequence position; 1 is the token after the start token.
    """

    tokens: tuple[Tensor, ...]
    first_block: int = 2
    position: int = 1


@dataclass(frozen=True)
class TextEdits:
    """Learned layers within the text tower, each of which takes states [..., D] one by one.

    Attributes:
        blocks: What is put behind some blocks, counted from 1; its output feeds on into the next one.
        projection: Stands in for the tower's projection to the joint space, [..., D] to [..., C], or None.
    """

    blocks: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    projection: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Reduction:
    """How the features of many prompts become one vector per state.

    Attributes:
        normalize_each: L2-normalise every prompt's feature before the mean.
        joint_norm: Divide the pair by its joint Frobenius norm instead of normalising each vector.
    """

    normalize_each: bool = True
    joint_norm: bool = False


@dataclass(frozen=True)
class Prompts:
    """Token sequences of one class, or of each image once a conditioner has edited them.

    Attributes:
        embeddings: [n, L, D] or [B, n, L, D] token embeddings, without position embedding.
        end: [n] or [B, n] position of the end token, whose output is the text feature.
        state: [n] 0 for prompts of the normal state, 1 for the abnormal one.
        deep: Deep prompts, or None.
        reduction: From prompt features to one vector per state.
        slots: Named runs of positions that a conditioner may edit, for example ``context``.
        weights: [n] or [B, n] weight of each prompt in the mean (0 leaves it out), or None for equal.
        edits: Learned layers within the text tower, or None.
    """

    embeddings: Tensor
    end: Tensor
    state: Tensor
    deep: DeepPrompts | None = None
    reduction: Reduction = Reduction()
    slots: Mapping[str, slice] = field(default_factory=dict)
    weights: Tensor | None = None
    edits: TextEdits | None = None
