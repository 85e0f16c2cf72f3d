"""What a method may ask of a pass: taps, refined streams and windows, as comparable data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from zsad.values import Grid, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn


class BlockLayers(Protocol):
    """The layers of one frozen block of a tower; terms call them and leave them as they are."""

    @property
    def ln_1(self) -> nn.LayerNorm:
        """Norm before attention."""

    @property
    def q_proj(self) -> nn.Linear:
        """Queries, [D, D]."""

    @property
    def k_proj(self) -> nn.Linear:
        """Keys, [D, D]."""

    @property
    def v_proj(self) -> nn.Linear:
        """Values, [D, D]."""

    @property
    def out_proj(self) -> nn.Linear:
        """Projection of the merged heads, [D, D]."""

    @property
    def ln_2(self) -> nn.LayerNorm:
        """Norm before the MLP."""

    @property
    def heads(self) -> int:
        """Number of attention heads."""

    def split(self, x: Tensor) -> Tensor:
        """Split [B, T, D] into heads [B, heads, T, D / heads]."""

    def merge(self, x: Tensor) -> Tensor:
        """Join heads [B, heads, T, d] to [B, T, heads * d]."""

    def mlp(self, x: Tensor) -> Tensor:
        """Return the MLP's output for [B, T, D], without the residual."""


class BlockState(Protocol):
    """One block of one pass, as terms and edits see it: what is read is computed, and at most once.

    Places in a state: first the ``leading`` ones, which are the class token (place 0, where the tower has
    one) and registers; then come the h * w patches of the grid, and injected tokens behind them.
    """

    @property
    def block(self) -> BlockLayers:
        """The block's layers."""

    @property
    def input(self) -> Tensor:
        """Ordinary stream before the block, [B, T, D]."""

    @property
    def after_attention(self) -> Tensor:
        """Ordinary stream after attention, before the MLP, [B, T, D]."""

    @property
    def output(self) -> Tensor:
        """Ordinary stream after the block, [B, T, D]."""

    @property
    def grid(self) -> Grid:
        """Grid of the patches."""

    @property
    def leading(self) -> int:
        """Places before the patches: class token and registers."""

    @property
    def auxiliary(self) -> Mapping[str, Tensor]:
        """Side inputs of the pass by name, B first."""

    def attend(self, pair: str) -> Tensor:
        """Return softmax(a b^T / sqrt(d)) v per head, [B, heads, T, d], for a pair such as ``"vv"``."""

    def turn(self, heads: Tensor) -> Tensor:
        """Turn queries or keys [B, heads, T, d] by their places; where nothing turns, return them."""

    def project(self, heads: Tensor) -> Tensor:
        """Merge heads [B, heads, T, d] and apply the out-projection: [B, T, D]."""


class Term(Hashable, Protocol):
    """What a refined stream adds in one block. Equal terms are computed once per block and pass."""

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, T, D] (or [B, N, D] for streams without a class token); T is N in a tower without."""


@dataclass(frozen=True)
class SelfAttention:
    """Self-correlation attention with the block's own out-projection.

    The head outputs of the pairs are summed before the out-projection, whose bias enters once:
    ``("vv",)`` is that of Li et al. (Pattern Recognition 2025) and Zhou et al. (ICLR 2024),
    ``("qq", "kk", "vv")`` that of Salehi et al. (2025).

    Attributes:
        pairs: Which projections form the similarity, such as ``"vv"``.
    """

    pairs: tuple[str, ...] = ("vv",)

    def __call__(self, state: BlockState) -> Tensor:
        """Return the out-projected attention, [B, T, D]."""
        heads = state.attend(self.pairs[0])
        for pair in self.pairs[1:]:
            heads = heads + state.attend(pair)
        return state.project(heads)


@dataclass(frozen=True)
class Stream:
    """A refined stream: it reads the ordinary stream and never feeds back.

    Attributes:
        start: First refined block, counted from 1. Before it the stream is the ordinary one.
        term: What each block adds.
        cumulative: The terms add up on the input of block ``start``. If not, the stream at a block is
            that block's term alone.
        class_token: Whether the first token of the term is the class token. Only a stream that does not
            add up on the ordinary one can be without.
    """

    start: int
    term: Term
    cumulative: bool = True
    class_token: bool = True

    def __post_init__(self) -> None:
        if self.cumulative and not self.class_token:
            raise ValueError("a cumulative stream starts from the ordinary one, which has a class token")

    def has_class_token(self, block: int) -> bool:
        """Whether the stream's first token at ``block`` is the class token, in a tower that has one."""
        return self.class_token or block < self.start


Point = Literal["output", "attention"]


@dataclass(frozen=True)
class TokenRequest:
    """One token set to read.

    Attributes:
        name: Name of the token set, unique within the method.
        block: Block to read at, counted from 1.
        stream: A refined stream, or None for the ordinary one.
        point: Block ``output``, or the ordinary stream after ``attention``, before the MLP.
        stage: ``raw``, ``ln_post`` or ``joint``.
    """

    name: str
    block: int
    stream: Stream | None = None
    point: Point = "output"
    stage: Stage = "joint"

    def __post_init__(self) -> None:
        if self.stream is not None and self.point != "output":
            raise ValueError("only the ordinary stream has a state after attention")


@dataclass(frozen=True)
class WindowRequest:
    """Class features of square windows of patches, each run through the tower on its own.

    Attributes:
        name: Name of the token set.
        size: Side of a window in patches.
        stride: Step between windows in patches.
    """

    name: str
    size: int
    stride: int = 1


@dataclass(frozen=True)
class VisionRequest:
    """Everything that one method reads of a pass.

    Attributes:
        tokens: Token sets, in the order in which the method wants them.
        windows: Window features, after the token sets.
        cls_ln_post: Whether the class token passes ln_post before the projection (the detector sets it
            from the recipe's readout).
    """

    tokens: tuple[TokenRequest, ...] = ()
    windows: tuple[WindowRequest, ...] = ()
    cls_ln_post: bool = True


class BlockEdit(Protocol):
    """What takes the place of a block's output and feeds on into the next block.

    A residual adapter reads ``state.output``; an edit that attends otherwise reads ``state.input`` and the
    block's layers.
    """

    def __call__(self, state: BlockState) -> Tensor:
        """Return [B, T, D], every place of the state included."""


@dataclass(frozen=True)
class Injection:
    """What a refiner brings into a pass, which then belongs to its method alone.

    Attributes:
        tokens: [depth, B or 1, n, D], put behind the patches at block 1 and replaced at the following blocks;
            from block ``depth + 1`` on they stay as ordinary tokens. None for none.
        as_class: The tokens, of depth 1, enter as the class token does: its position is added to each, and
            they pass ``ln_pre`` with the rest.
        edits: What takes the place of the output of some blocks, counted from 1.
    """

    tokens: Tensor | None = None
    as_class: bool = False
    edits: Mapping[int, BlockEdit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.as_class and (self.tokens is None or len(self.tokens) != 1):
            raise ValueError("tokens that enter as the class token does have the depth 1")


def tap_requests(
    blocks: tuple[int, ...], stage: Stage, stream: Stream | None = None, name: str = "tokens"
) -> tuple[TokenRequest, ...]:
    """Return one token request per tapped block, named ``name.block``."""
    return tuple(TokenRequest(f"{name}.{block}", block, stream, stage=stage) for block in blocks)
