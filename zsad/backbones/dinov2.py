"""DINOv2 as a side input (Oquab et al., 2023; with registers: Darcet et al., 2024): patch features alone.

The tower is the core's own. What is special is the way the position table goes to another grid, for which the
official code (github.com/facebookresearch/dinov2) has two rules: models with registers use bicubic
interpolation with antialias, those without the profile ``bicubic_offset``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from torch import Tensor, nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.vision import VisionTower
from zsad.backbones.vision_values import VisionWeights
from zsad.errors import InputError
from zsad.recipe.profiles import Activation, PositionResize, TowerProfile
from zsad.streams import TokenRequest, VisionRequest
from zsad.values import Stage

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel means and deviations of the images that DINOv2 expects."""


class DinoV2(nn.Module):
    """A frozen DINOv2 tower.

    Attributes:
        card: What is known of the weights.
        tower: The tower under the official code's profile.
        registers: Number of register tokens.
    """

    def __init__(
        self, weights: VisionWeights, activation: Activation, card: BackboneCard, digest: Callable[[], str]
    ) -> None:
        super().__init__()
        self.card = card
        self.registers = 0 if weights.registers is None else len(weights.registers)
        how: PositionResize = "bicubic_antialias" if self.registers else "bicubic_offset"
        profile = TowerProfile(activation=activation, position_embedding=how)
        self.tower = VisionTower(weights, profile).eval()
        self._digest = digest

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.tower.depth

    @property
    def width(self) -> int:
        """Channels."""
        return self.tower.width

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.tower.patch_size

    @property
    def native_grid(self) -> tuple[int, int]:
        """Grid (h, w) that the position table was learned on."""
        return self.tower.native_grid

    @property
    def trained_on(self) -> str:
        """What the weights were trained on, in words."""
        return self.card.trained_on

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, independent of the file format and of the precision they run in."""
        return self._digest()

    def patch_tokens(self, pixel_values: Tensor) -> Tensor:
        """Return the last block's patch tokens after the final norm, without class and register tokens.

        Args:
            pixel_values: [B, 3, H, W], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.

        Returns:
            [B, h, w, D] in the tower's dtype.

        Raises:
            InputError: H or W is not a multiple of the patch size.
        """
        return self.intermediate(pixel_values, (self.depth,), normed=True)[0]

    def intermediate(
        self, pixel_values: Tensor, blocks: Sequence[int], *, normed: bool = False
    ) -> tuple[Tensor, ...]:
        """Return the patch tokens after some blocks, without class and register tokens.

        Args:
            pixel_values: [B, 3, H, W], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.
            blocks: Counted from 1.
            normed: Whether the final norm is applied to each of them.

        Returns:
            One [B, h, w, D] per entry of ``blocks``, in the tower's dtype.

        Raises:
            InputError: H or W is not a multiple of the patch size, or a block is outside the tower.
        """
        wrong = [block for block in blocks if not 1 <= block <= self.depth]
        if wrong:
            raise InputError(f"block {wrong[0]} is outside {self.card.name}, which has {self.depth} blocks")
        (height, width), size = pixel_values.shape[-2:], self.patch_size
        if min(height, width) < size or height % size or width % size:
            raise InputError(
                f"images of {height} x {width} pixels are not a whole number of {self.card.name}'s patches "
                f"of {size} pixels"
            )
        stage: Stage = "ln_post" if normed else "raw"
        request = VisionRequest(tuple(TokenRequest(f"{block}", block, stage=stage) for block in blocks))
        (output,) = self.tower(pixel_values, [request])
        return tuple(
            entry.tokens.unflatten(1, (entry.grid.height, entry.grid.width)) for entry in output.token_sets
        )


def imagenet_from_clip(images: Tensor, clip_mean: Sequence[float], clip_std: Sequence[float]) -> Tensor:
    """Turn images that were normalised for CLIP into DINOv2's input (as Salehi et al., BMVC 2026, do).

    Args:
        images: [B, 3, H, W], normalised by ``clip_mean`` and ``clip_std``.
        clip_mean: Channel means of the CLIP.
        clip_std: Channel deviations of the CLIP.

    Returns:
        [B, 3, H, W]: de-normalised, cut to 0..1 and normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.
    """

    def channels(values: Sequence[float]) -> Tensor:
        return images.new_tensor(values).view(3, 1, 1)

    pixels = (images * channels(clip_std) + channels(clip_mean)).clamp(0, 1)
    return (pixels - channels(IMAGENET_MEAN)) / channels(IMAGENET_STD)
