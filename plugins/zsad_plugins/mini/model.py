"""The modules of ``mini``: what its file holds, what training learns, and what the towers share."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from zsad.backbones.block import Block
from zsad.backbones.text import TextWeights
from zsad.backbones.vision_values import VisionWeights
from zsad.recipe.profiles import Activation, TextProfile, TowerProfile
from zsad_plugins.mini.stem import CHANNELS, STRIDE, ConvolutionalStem, StemPatchEmbedding

POSITION_DEVIATION = 0.01
TOKEN_DEVIATION = 0.02
"""Standard deviations at the start of training; CLIP's own."""


class MiniShape(BaseModel):
    """The sizes of ``mini``; its file carries them.

    Attributes:
        grid: Side of the native patch grid.
        width: Channels of the vision tower.
        depth: Vision blocks.
        heads: Vision attention heads.
        expansion: MLP channels per channel, in both towers.
        text_width: Channels of the text tower.
        text_depth: Text blocks.
        text_heads: Text attention heads.
        text_expansion: MLP channels per channel of the text tower.
        rows: Rows of the token embedding.
        context_length: Longest text in tokens.
        joint: Channels of the joint space.
        activation: Activation of the MLPs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid: int = 15
    width: int = 192
    depth: int = 8
    heads: int = 3
    expansion: int = 2
    text_width: int = 128
    text_depth: int = 6
    text_heads: int = 4
    text_expansion: int = 4
    rows: int
    context_length: int = 77
    joint: int = 192
    activation: Activation = "gelu"

    @property
    def image_size(self) -> int:
        """Side of the native image in pixels."""
        return self.grid * STRIDE

    def tower_profile(self, dtype: str) -> TowerProfile:
        """Return the vision numerics that the weights are trained with."""
        return TowerProfile.model_validate(
            {"activation": self.activation, "position_embedding": "bicubic_antialias", "dtype": dtype}
        )

    def text_profile(self) -> TextProfile:
        """Return the text numerics that the weights are trained with."""
        return TextProfile(activation=self.activation, context_length=self.context_length)


def _blocks(depth: int, width: int, heads: int, expansion: int, activation: Activation) -> nn.ModuleList:
    return nn.ModuleList(
        Block(
            ln_1=nn.LayerNorm(width),
            q_proj=nn.Linear(width, width),
            k_proj=nn.Linear(width, width),
            v_proj=nn.Linear(width, width),
            out_proj=nn.Linear(width, width),
            ln_2=nn.LayerNorm(width),
            fc1=nn.Linear(width, width * expansion),
            fc2=nn.Linear(width * expansion, width),
            heads=heads,
            activation=activation,
        )
        for _ in range(depth)
    )


def _drawn(*shape: int, deviation: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * deviation)


class MiniVision(nn.Module):
    """Parameters of the vision tower, without the stem."""

    def __init__(self, shape: MiniShape) -> None:
        super().__init__()
        width = shape.width
        self.patch_projection = nn.Conv2d(CHANNELS, width, 1)
        self.class_embedding = _drawn(width, deviation=TOKEN_DEVIATION)
        self.position_embedding = _drawn(1 + shape.grid**2, width, deviation=POSITION_DEVIATION)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = _blocks(shape.depth, width, shape.heads, shape.expansion, shape.activation)
        self.projection = _drawn(width, shape.joint, deviation=width**-0.5)


class MiniText(nn.Module):
    """Parameters of the text tower."""

    def __init__(self, shape: MiniShape) -> None:
        super().__init__()
        width = shape.text_width
        self.token_embedding = _drawn(shape.rows, width, deviation=TOKEN_DEVIATION)
        self.position_embedding = _drawn(shape.context_length, width, deviation=POSITION_DEVIATION)
        self.blocks = _blocks(
            shape.text_depth, width, shape.text_heads, shape.text_expansion, shape.activation
        )
        self.ln_final = nn.LayerNorm(width)
        self.projection = _drawn(width, shape.joint, deviation=width**-0.5)


class MiniModel(nn.Module):
    """Everything that ``mini.safetensors`` holds, apart from the token ids of the embedding's rows."""

    def __init__(self, shape: MiniShape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = ConvolutionalStem()
        self.vision = MiniVision(shape)
        self.text = MiniText(shape)

    def vision_weights(self, *, stem: bool = True) -> VisionWeights:
        """Return what a vision tower shares.

        Args:
            stem: Whether the tower takes images. Without it, it takes the stem's features as images: so
                training passes through the same tower as every user.
        """
        vision, grid = self.vision, self.shape.grid
        projection = vision.patch_projection
        return VisionWeights(
            patch_embedding=StemPatchEmbedding(self.stem, projection) if stem else projection,
            class_embedding=vision.class_embedding,
            position_embedding=vision.position_embedding,
            native_grid=(grid, grid),
            ln_pre=vision.ln_pre,
            blocks=tuple(vision.blocks),  # type: ignore[arg-type]
            ln_post=vision.ln_post,
            projection=vision.projection,
            patch_size=STRIDE,
        )

    def text_weights(self) -> TextWeights:
        """Return what a text tower shares."""
        text = self.text
        return TextWeights(
            token_embedding=text.token_embedding,
            position_embedding=text.position_embedding,
            blocks=tuple(text.blocks),  # type: ignore[arg-type]
            ln_final=text.ln_final,
            projection=text.projection,
        )

    def learned(self) -> dict[str, Tensor]:
        """Return the state without the frozen stem."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("stem.")}
