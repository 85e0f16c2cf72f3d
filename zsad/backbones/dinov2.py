"""DINOv2 vision towers (Oquab et al., 2023; with registers: Darcet et al., 2024).

The blocks are those of transformers. What the tower computes is what the official code
(github.com/facebookresearch/dinov2) computes: the position embedding is resized by its two rules, see
:func:`resize_dinov2_position`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.dinov2_names import weights_digest
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.precision import full_float32
from zsad.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel means and deviations of the images that DINOv2 expects."""


class DinoV2(nn.Module):
    """A frozen DINOv2 tower.

    Attributes:
        card: What is known of the weights.
        depth: Number of blocks.
        width: Channels.
        patch_size: Side of a patch in pixels.
        registers: Number of register tokens.
        native_grid: Grid (h, w) that the position embedding was learned on.
    """

    def __init__(
        self, model: PreTrainedModel, card: BackboneCard, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        module: Any = model  # transformers' modules are typed as tensors or modules
        config = module.config
        self.card = card
        self.depth: int = config.num_hidden_layers
        self.width: int = config.hidden_size
        self.patch_size: int = config.patch_size
        self.registers: int = getattr(config, "num_register_tokens", 0)
        side = math.isqrt(module.embeddings.position_embeddings.shape[1] - 1)
        self.native_grid = (side, side)
        # The hash is of the weights as they were loaded, so it cannot wait where they are rounded.
        rounded = any(p.dtype != dtype and dtype != torch.float64 for p in model.parameters())
        self._known_sha256 = weights_digest(model) if rounded else None
        self.model: Any = module.eval().requires_grad_(False).to(device=device, dtype=dtype)

    @property
    def trained_on(self) -> str:
        """What the weights were trained on, in words."""
        return self.card.trained_on

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, independent of the file format and of the precision they run in."""
        return self._known_sha256 or weights_digest(self.model)

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

    @full_float32()
    def intermediate(
        self, pixel_values: Tensor, blocks: Sequence[int], *, normed: bool = False
    ) -> tuple[Tensor, ...]:
        """Return the patch tokens after some blocks, without class and register tokens.

        Args:
            pixel_values: [B, 3, H, W], normalised by ``IMAGENET_MEAN`` and ``IMAGENET_STD``.
            blocks: Counted from 1; later blocks than the last one asked for are not computed.
            normed: Whether the final norm is applied to each of them.

        Returns:
            One [B, h, w, D] per entry of ``blocks``, in the tower's dtype.

        Raises:
            InputError: H or W is not a multiple of the patch size, or a block is outside the tower.
        """
        wrong = [block for block in blocks if not 1 <= block <= self.depth]
        if wrong:
            raise InputError(f"block {wrong[0]} is outside {self.card.name}, which has {self.depth} blocks")
        x, grid = self._embed(pixel_values)
        layers = self.model.encoder.layer
        norm: Callable[[Tensor], Tensor] = self.model.layernorm if normed else nn.Identity()
        states: dict[int, Tensor] = {}
        for number in range(1, max(blocks, default=0) + 1):
            x = layers[number - 1](x)
            if isinstance(x, tuple):  # transformers 4 wraps it
                x = x[0]
            if number in blocks:
                states[number] = norm(x)[:, 1 + self.registers :].reshape(x.shape[0], *grid, -1)
        return tuple(states[block] for block in blocks)

    def _embed(self, pixel_values: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return the first block's input [B, 1 + registers + h * w, D] and the grid (h, w)."""
        height, width = pixel_values.shape[-2:]
        size = self.patch_size
        if min(height, width) < size or height % size or width % size:
            raise InputError(
                f"images of {height} x {width} pixels are not a whole number of {self.card.name}'s patches "
                f"of {size} pixels"
            )
        embeddings = self.model.embeddings
        projection = embeddings.patch_embeddings.projection
        patches: Tensor = projection(pixel_values.to(projection.weight))
        grid = (patches.shape[2], patches.shape[3])
        position = resize_dinov2_position(
            embeddings.position_embeddings[0], self.native_grid, grid, registers=self.registers > 0
        )
        batch = patches.shape[0]
        class_token = embeddings.cls_token.expand(batch, -1, -1) + position[:1]
        parts = [class_token, patches.flatten(2).transpose(1, 2) + position[1:]]
        if self.registers:  # they have no position
            parts.insert(1, embeddings.register_tokens.expand(batch, -1, -1))
        return torch.cat(parts, dim=1), grid


def resize_dinov2_position(
    embedding: Tensor, native: tuple[int, int], grid: tuple[int, int], *, registers: bool
) -> Tensor:
    """Interpolate the position embedding to another grid as the official code does.

    Models with registers use bicubic interpolation with antialias to the grid's size. Models without use
    bicubic interpolation without antialias, with sampling points as if the grid were 0.1 larger (the
    official code's ``interpolate_offset``), a rule that transformers does not follow.

    Args:
        embedding: [1 + h0 * w0, D], class token first.
        native: Grid (h0, w0) that the embedding was learned on.
        grid: Grid (h, w) of the image.
        registers: Whether the model has register tokens.

    Returns:
        [1 + h * w, D] in the dtype of ``embedding``.
    """
    if registers:
        return resize_position_embedding(embedding, native, grid, "bicubic_antialias")
    if grid == native:
        return embedding
    work = embedding if embedding.dtype == torch.float64 else embedding.float()
    resized = F.interpolate(
        work[1:].reshape(1, *native, -1).permute(0, 3, 1, 2),
        scale_factor=((grid[0] + 0.1) / native[0], (grid[1] + 0.1) / native[1]),
        mode="bicubic",
    )
    return torch.cat([work[:1], resized[0].flatten(1).T]).to(embedding.dtype)


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
