"""The typed values that parts hand to one another.

Shapes use B images, N tokens, D channels, C joint channels, K score channels (normal, abnormal),
h x w token grid, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from zsad.errors import InputError, ZsadError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from zsad.inputs import InputForm

V = TypeVar("V")

NORMAL, ABNORMAL = 0, 1
"""Index of the two states wherever text features or score channels hold a pair."""

Stage = Literal["raw", "ln_post", "joint"]
"""Where tokens are read: a block's output, behind ``ln_post``, or in the joint space (also projected)."""


@dataclass(frozen=True)
class Sample:
    """One image on its way through a detector.

    Attributes:
        image: RGB uint8 [H, W, 3] at native size.
        class_name: Object noun for prompts; a batch may mix classes.
        path: File it came from, or None.
        tensors: [3, H, W] by the form of a tower's input, where a worker process prepared them.
    """

    image: np.ndarray
    class_name: str = "object"
    path: Path | None = None
    tensors: Mapping[InputForm, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Patch tokens in row-major order on a grid."""

    height: int
    width: int

    @property
    def count(self) -> int:
        """Number of patches."""
        return self.height * self.width

    def to_maps(self, tokens: Tensor) -> Tensor:
        """Lay tokens [B, h * w, K] out as [B, K, h, w]."""
        return tokens.transpose(1, 2).reshape(*tokens.shape[::2], self.height, self.width)

    def to_tokens(self, maps: Tensor) -> Tensor:
        """Read maps [B, K, h, w] row by row: [B, h * w, K]."""
        return maps.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Windows:
    """One token per window over the grid (Jeong et al., CVPR 2023).

    Attributes:
        grid: The patch grid that the windows lie on.
        incidence: [windows, h * w] float, 1 where a window covers a patch.
    """

    grid: Grid
    incidence: Tensor


@dataclass(frozen=True)
class TokenSet:
    """Tokens read at one place of a pass.

    Attributes:
        name: Name within the method, for example ``"vv.24"``.
        tokens: [B, N, D], without the class token.
        layout: Where the tokens lie.
        space: ``raw``, ``ln_post`` or ``joint``.
        block: Block they were read at, counted from 1.
        class_token: [B, D] in the same stream and space, or None where the stream has none.
        injected: [B, n, D] states of injected tokens there, or None where none take part.
        registers: [B, R, D] states of the tower's registers there, or None; read beside a class token alone.
    """

    name: str
    tokens: Tensor
    layout: Grid | Windows
    space: Stage
    block: int
    class_token: Tensor | None = None
    injected: Tensor | None = None
    registers: Tensor | None = None

    def mapped(self, function: Callable[[Tensor], Tensor]) -> TokenSet:
        """Return a copy with ``function`` applied to the tokens and to whatever stands beside them."""
        given = (self.class_token, self.injected, self.registers)
        beside = (None if tensor is None else function(tensor) for tensor in given)
        return TokenSet(self.name, function(self.tokens), self.layout, self.space, self.block, *beside)

    @property
    def grid(self) -> Grid:
        """The grid that the tokens lie on.

        Raises:
            InputError: They are windows.
        """
        if isinstance(self.layout, Windows):
            raise InputError(
                f"token set '{self.name}' holds windows, where patches on a grid are read; choose an "
                "attention_refiner that reads patches"
            )
        return self.layout

    @property
    def windows(self) -> Windows:
        """The windows that the tokens stand for.

        Raises:
            InputError: They are patches.
        """
        if isinstance(self.layout, Grid):
            raise InputError(
                f"token set '{self.name}' holds patches, where windows are read; choose an attention_refiner "
                "that reads windows"
            )
        return self.layout


@dataclass(frozen=True)
class Features:
    """What one method reads of a batch of images; nothing in it depends on text.

    Attributes:
        token_sets: In the order of the method's request: tokens first, windows after them.
        image_feature: [B, C] joint class feature, not normalised.
        class_names: Object noun per image.
        input_size: Height and width in pixels of what the tower saw, at which maps are made.
        auxiliary: Side inputs by the name of the auxiliary part's output, B first.
        prepass: [B, C] image feature of a plain pass before this one, or None for methods that need none
            (their ``image_feature`` is that of the only pass).
        names: What messages call each image; empty where nobody knows.
        cut: Rows at the bottom and columns at the right of the resized images that the tower did not see,
            fewer than a patch.
    """

    token_sets: tuple[TokenSet, ...]
    image_feature: Tensor
    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)
    prepass: Tensor | None = None
    names: tuple[str, ...] = ()
    cut: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.class_names)

    @property
    def whole_size(self) -> tuple[int, int]:
        """Height and width of the resized images, with what was cut."""
        return self.input_size[0] + self.cut[0], self.input_size[1] + self.cut[1]

    @property
    def plain_image_feature(self) -> Tensor:
        """[B, C] image feature of the plain pass, where there was one, else of the only pass."""
        return self.image_feature if self.prepass is None else self.prepass

    @property
    def patch_sets(self) -> tuple[TokenSet, ...]:
        """The token sets whose tokens lie on a grid of patches.

        Raises:
            InputError: There are none.
        """
        found = tuple(entry for entry in self.token_sets if isinstance(entry.layout, Grid))
        if not found:
            raise InputError("this method scores patches, and its attention_refiner reads none")
        return found

    @property
    def window_sets(self) -> tuple[TokenSet, ...]:
        """The token sets whose tokens stand for windows.

        Raises:
            InputError: There are none.
        """
        found = tuple(entry for entry in self.token_sets if isinstance(entry.layout, Windows))
        if not found:
            raise InputError("this method scores windows, and its attention_refiner reads none")
        return found

    @property
    def grid(self) -> Grid:
        """The grid that all token sets have in common.

        Raises:
            InputError: Some hold windows, or they differ in their grids.
        """
        grids = {entry.grid for entry in self.token_sets}
        if len(grids) != 1:
            raise InputError(
                "this method reads patches of one and the same grid, and its token sets have "
                f"{len(grids)}; choose another attention_refiner, or taps of one grid by "
                "--set readout.taps=[N]"
            )
        return grids.pop()

    def select(self, places: Sequence[int]) -> Features:
        """Return the features of the images at ``places`` of the batch."""
        index = list(places)
        return replace(
            self,
            token_sets=tuple(entry.mapped(lambda tensor: tensor[index]) for entry in self.token_sets),
            image_feature=self.image_feature[index],
            class_names=tuple(self.class_names[place] for place in index),
            auxiliary={name: tensor[index] for name, tensor in self.auxiliary.items()},
            prepass=None if self.prepass is None else self.prepass[index],
            names=tuple(self.names[place] for place in index) if self.names else (),
        )


def _required(value: V | None, what: str, word: str) -> V:
    if value is None:
        raise ZsadError(f"a part reads {what} before any has set it; it has to require '{word}'")
    return value


@dataclass(frozen=True)
class Conditioning:
    """What a batch is compared with: the text side, and what is remembered of references.

    Attributes:
        text_features: [B, 2, C], vectors of the normal and the abnormal state; [B, 0, C] without text.
        raw: [B, n, C] features of the single prompts, not normalised; None where the classes differ in n.
        intermediates: Named tensors that the scorer may read, for example ``prototypes.normal``, B first.
        provisional: What the prompts gave before a conditioner that asked for it edited them, or None.
        memory: What is remembered of references, the same for all these images, or None.
    """

    text_features: Tensor
    raw: Tensor | None = None
    intermediates: Mapping[str, Tensor] = field(default_factory=dict)
    provisional: Provisional | None = None
    memory: Mapping[str, Tensor] | None = None

    @property
    def required_memory(self) -> Mapping[str, Tensor]:
        """The memory, for scorers that require ``memory``.

        Raises:
            ZsadError: There is none.
        """
        return _required(self.memory, "a memory", "memory")

    def select(self, places: Sequence[int]) -> Conditioning:
        """Return the conditioning of the images at ``places`` of the batch."""
        index = list(places)
        return Conditioning(
            self.text_features[index],
            None if self.raw is None else self.raw[index],
            {name: tensor[index] for name, tensor in self.intermediates.items()},
            self.provisional and self.provisional.select(places),
            self.memory,
        )


ScoreKind = Literal["logits", "probabilities", "anomaly"]


@dataclass(frozen=True)
class ScoreSet:
    """Scores at the places of one token set.

    Attributes:
        name: Name of the token set they came from.
        values: [B, K, h, w]; K = 2 (normal, abnormal) for logits and probabilities, 1 for ``anomaly``.
        kind: What the values are.
    """

    name: str
    values: Tensor
    kind: ScoreKind


@dataclass(frozen=True)
class Scores:
    """What a scorer hands to the post-processors, and they to one another.

    Attributes:
        sets: Score sets that are not fused yet.
        map: [B, H, W] anomaly map, once it exists.
        image_score: [B], once some stage has set it.
        trace: Which stages set the image score, in order.
    """

    sets: tuple[ScoreSet, ...] = ()
    map: Tensor | None = None
    image_score: Tensor | None = None
    trace: tuple[str, ...] = ()

    @property
    def required_map(self) -> Tensor:
        """The anomaly map [B, H, W], for parts that require ``anomaly_map``.

        Raises:
            ZsadError: No stage has set it.
        """
        return _required(self.map, "the anomaly map", "anomaly_map")

    @property
    def required_image_score(self) -> Tensor:
        """The image score [B], for parts that require ``image_score``.

        Raises:
            ZsadError: No stage has set it.
        """
        return _required(self.image_score, "the image score", "image_score")

    def with_image_score(self, score: Tensor, stage: str) -> Scores:
        """Return a copy whose image score [B] is ``score``, with ``stage`` added to the trace."""
        return replace(self, image_score=score, trace=(*self.trace, stage))

    def select(self, places: Sequence[int]) -> Scores:
        """Return the scores of the images at ``places`` of the batch."""
        index = list(places)
        return Scores(
            tuple(replace(entry, values=entry.values[index]) for entry in self.sets),
            None if self.map is None else self.map[index],
            None if self.image_score is None else self.image_score[index],
            self.trace,
        )


class Provisional(NamedTuple):
    """What the unedited prompts of a class give, for a conditioner that asks for it."""

    conditioning: Conditioning
    scores: Scores

    def select(self, places: Sequence[int]) -> Provisional:
        """Return what belongs to the images at ``places`` of the batch."""
        return Provisional(self.conditioning.select(places), self.scores.select(places))


def join_scores(batches: Sequence[Scores]) -> Scores:
    """Return the scores of several batches as those of one; what one of them lacks is left out."""
    import torch  # only here: these types are read where torch is not wanted

    def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if len(present) == len(tensors) else None

    sets = zip(*(scores.sets for scores in batches), strict=True)
    return Scores(
        tuple(replace(same[0], values=torch.cat([entry.values for entry in same])) for same in sets),
        join([scores.map for scores in batches]),
        join([scores.image_score for scores in batches]),
        batches[0].trace,
    )


@dataclass(frozen=True)
class Prediction:
    """A detector's answer for a batch.

    Attributes:
        score: [B] image scores, float32 (float64 from a float64 tower); higher is more anomalous.
        anomaly_map: [B, H, W] over the whole of the resized images, in the same precision.
        class_names: Object noun per image.
        trace: Which stages set the image score.
        names: What messages call each image; empty where nobody knows.
    """

    score: Tensor
    anomaly_map: Tensor
    class_names: tuple[str, ...]
    trace: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.class_names)
