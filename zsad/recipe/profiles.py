"""Numerics profiles and readouts: the data that decides what may share a pass through a tower.

No torch here: recipes are checked against profiles before any weight is loaded.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

from zsad.errors import InputError
from zsad.inputs import ImageResize
from zsad.values import Stage

Activation = Literal["quick_gelu", "gelu", "gelu_tanh", "swiglu", "own"]
"""``swiglu`` takes twice the channels and so no tower knows both it and another one; ``own`` is whatever an
opaque tower computes, which nothing outside can change."""

PositionResize = Literal["bilinear", "bicubic", "bicubic_antialias", "bicubic_offset", "own"]
"""``bicubic_offset`` samples as if the grid were 0.1 larger than it is, see
:func:`zsad.backbones.position.resize_position_embedding`; for ``own`` see :data:`Activation`."""

SQUARE_INPUT = "square_input"
"""The capability that ``squash`` provides, for parts that cannot do with other images."""


class TowerProfile(BaseModel):
    """Everything that changes the numbers of a vision tower, apart from its weights.

    With the backbone's sha256 and the image size it forms the encode key: methods that agree in the
    three are served by one pass.

    Attributes:
        activation: Activation of the MLPs. OpenAI's weights were trained with QuickGELU, many of
            SigLIP's towers with the tanh approximation of GELU.
        position_embedding: Interpolation of the position embedding to another grid
            (align_corners=False; torch's two bicubic kernels differ even when enlarging). It says nothing
            of a tower whose positions are rotations (DINOv3).
        image_resize: How an image is brought to the image size; a map always covers the whole image.
        resize_order: Which pass of that resize comes first; values are rounded in between, so it decides
            on grey levels.
        dtype: Precision of weights and activations.
        adapter: Hash of an adapter (LoRA) on the tower, or None.
        injected: Name of the source of injected visual tokens, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation
    position_embedding: PositionResize
    image_resize: ImageResize = "squash"
    resize_order: Literal["horizontal-first"] = "horizontal-first"
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    adapter: str | None = None
    injected: str | None = None

    def binding(self) -> dict[str, str | None]:
        """Return the fields that learned weights are bound to (precision may change, these may not)."""
        return {
            "activation": self.activation,
            "position_embedding": self.position_embedding,
            "image_resize": self.image_resize,
            "resize_order": self.resize_order,
            "adapter": self.adapter,
        }


class TextProfile(BaseModel):
    """Everything that changes the numbers of a text tower, apart from its weights.

    Attributes:
        activation: Activation of the MLPs.
        causal: Whether attention is causal; then cutting texts at their longest end token is exact.
        deep_prompt_cast: Precision to which deep prompts are rounded before they are inserted
            (published code rounds them to float16, in float32 runs too), or None.
        context_length: Longest text in tokens.
        adapter: Hash of an adapter (LoRA) on the tower, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation
    causal: bool = True
    deep_prompt_cast: Literal["float16"] | None = None
    context_length: int = 77
    adapter: str | None = None


def _depth_value(value: object) -> object:
    """Accept YAML spellings of a depth: 6 is a block, 0.25 and "1/4" are fractions of the depth."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    return Depth(block=value) if isinstance(value, int) else Depth(fraction=str(value))


class Depth(BaseModel):
    """A place in a tower of any depth.

    Attributes:
        fraction: Share of the tower's depth, written ``"1/4"`` or ``"0.25"``.
        block: An absolute block number, counted from 1, instead of a fraction.
        at: Absolute values for the depths that a method was published on; they win over ``fraction``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: str | None = None
    block: int | None = None
    at: dict[int, int] = {}

    @field_validator("fraction")
    @classmethod
    def _is_a_share(cls, value: str | None) -> str | None:
        if value is not None and not 0 <= _fraction(value) <= 1:
            raise ValueError(f"'{value}' is not a share of the depth, from 0 to 1")
        return value

    @model_validator(mode="after")
    def _says_where(self) -> Depth:
        if self.fraction is None and self.block is None:
            raise ValueError("a depth needs a fraction or a block")
        return self

    def resolve(self, depth: int) -> int:
        """Return the block, from 1 to ``depth``: the fraction of the depth, halves rounded up.

        Raises:
            InputError: Outside the tower.
        """
        if depth in self.at:
            found = self.at[depth]
        elif self.block is not None:
            found = self.block
        else:
            assert self.fraction is not None  # checked when it was written
            found = max(1, int(_fraction(self.fraction) * depth + Fraction(1, 2)))
        if not 1 <= found <= depth:
            raise InputError(f"block {found} is outside the tower of {depth} blocks")
        return found


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(f"'{text}' is not a number") from error


DepthValue = Annotated[Depth, BeforeValidator(_depth_value)]
"""A :class:`Depth` that also takes the short spellings ``6``, ``0.25`` and ``"1/4"``."""


class Readout(BaseModel):
    """What is read from a pass; never part of the encode key.

    Attributes:
        taps: Where patch tokens are read.
        stage: ``raw`` block output, after ``ln_post``, or in the ``joint`` space (ln_post, projection).
        cls_ln_post: Whether the class token passes ln_post before the projection. Towers without one know
            only true.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: tuple[DepthValue, ...] = (Depth(fraction="1"),)
    stage: Stage = "joint"
    cls_ln_post: bool = True

    def blocks(self, depth: int) -> tuple[int, ...]:
        """Return the tapped blocks of a tower of ``depth`` blocks, counted from 1.

        Raises:
            InputError: A tap is outside the tower.
        """
        return tuple(tap.resolve(depth) for tap in self.taps)
