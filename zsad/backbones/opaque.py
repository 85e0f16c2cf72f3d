"""A vision tower that zsad only calls: timm computes it, and zsad reads what timm gives of its inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from zsad.backbones.precision import full_float32
from zsad.backbones.vision import VisionTower
from zsad.backbones.vision_values import VisionOutput, check_side
from zsad.errors import InputError
from zsad.inputs import ImageResize
from zsad.recipe.profiles import TowerProfile
from zsad.streams import Injection, TokenRequest, VisionRequest
from zsad.values import Grid, Stage, TokenSet


@dataclass(frozen=True)
class Shapes:
    """What a model gives for an image of some size.

    Attributes:
        levels: Channels, height and width of every level's map.
        feature: Channels of the image feature.
    """

    levels: tuple[tuple[int, int, int], ...]
    feature: int


@dataclass(frozen=True, eq=False)
class OpaqueWeights:
    """A timm model in place, and what is known of its features.

    Attributes:
        name: Name of the model, for messages.
        module: The model; ``forward_intermediates`` gives a map of features per level.
        empty: Builds the model again without weights, on torch's meta device if it can be, where shapes cost
            nothing.
        native_image_size: Side in pixels of the images that the model was trained on.
        known: Shapes by height and width of the image, as far as they have been asked for.
    """

    name: str
    module: nn.Module
    empty: Callable[[], nn.Module]
    native_image_size: int
    known: dict[tuple[int, int], Shapes] = field(default_factory=dict)

    def shapes_at(self, height: int, width: int) -> Shapes:
        """Return what the model gives for an image of so many pixels.

        Raises:
            InputError: The model takes no such image, or gives no maps.
        """
        size = height, width
        if size not in self.known:
            self.known[size] = self._probed(*size)
        return self.known[size]

    @property
    def native(self) -> Shapes:
        """What the model gives for the images that it was trained on."""
        return self.shapes_at(self.native_image_size, self.native_image_size)

    @property
    def ln_post(self) -> nn.Module | None:
        """The model's final norm, or None where it does not fit all levels, or is not there."""
        norm = getattr(self.module, "norm", None)
        tokens = isinstance(norm, nn.LayerNorm) and "2d" not in type(norm).__name__.lower()
        if not tokens and type(norm).__name__ != "RmsNorm":
            return None
        levels = self.native.levels
        same = len({channels for channels, _, _ in levels}) == 1
        return norm if same and "norm" in signature(_intermediates_of(self.module)).parameters else None

    @property
    def leading(self) -> int:
        """Tokens before the patches that timm can give beside each level, the class token first."""
        known = "return_prefix_tokens" in signature(_intermediates_of(self.module)).parameters
        has_class = getattr(self.module, "cls_token", None) is not None
        return int(getattr(self.module, "num_prefix_tokens", 0)) if known and has_class else 0

    @torch.no_grad()
    def _probed(self, height: int, width: int) -> Shapes:
        image = torch.zeros(1, 3, height, width)
        try:
            try:
                empty = self.empty()
                maps, feature = _called(empty, image.to(next(empty.parameters())))
            except (RuntimeError, NotImplementedError) as error:
                if "meta" not in str(error).lower():
                    raise
                # Some models compute with values where others have shapes alone.
                maps, feature = _called(self.module, image.to(next(self.module.parameters())))
        except InputError:
            raise
        except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise InputError(
                f"{self.name} takes no image of {width} x {height} pixels (timm says: {reason}); "
                f"use --image-size {self.native_image_size}"
            ) from error
        if not maps or any(not isinstance(entry, Tensor) or entry.ndim != 4 for entry in maps):
            raise InputError(
                f"{self.name} gives no features on a grid; use a vision model with a spatial map"
            )
        if feature.ndim != 2:
            raise InputError(f"{self.name} gives no feature of a whole image; use a model that pools its map")
        levels = tuple((entry.shape[1], entry.shape[2], entry.shape[3]) for entry in maps)
        return Shapes(levels, feature.shape[1])


class OpaqueTower(nn.Module):
    """An opaque tower: taps by timm's own intermediate outputs, without streams, injected tokens and windows.

    Levels, counted from 1 as blocks are, are the maps that timm gives: one per block of a plain transformer,
    one per stage of a hierarchical model, whose grids and channels then differ.

    Attributes:
        profile: Precision; the rest is the model's own.
        counts: What the passes so far computed: ``passes``.
    """

    def __init__(self, weights: OpaqueWeights, profile: TowerProfile) -> None:
        super().__init__()
        if (profile.activation, profile.position_embedding) != ("own", "own"):
            raise InputError(
                f"{weights.name} computes with an activation and positions of its own; leave "
                "profile.activation and profile.position_embedding out"
            )
        self.profile = profile
        self.module = weights.module
        self.counts: Counter[str] = Counter()
        self._weights = weights

    @property
    def device(self) -> torch.device:
        """Where the tower's parameters are."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the tower's parameters."""
        return next(self.module.parameters()).dtype

    @property
    def native_image_size(self) -> int:
        """Side in pixels of the images that the tower was trained on."""
        return self._weights.native_image_size

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self._native)

    @property
    def width(self) -> int:
        """Channels of the last level."""
        return self._native[-1][0]

    @property
    def embed_dim(self) -> int:
        """Channels of the image feature."""
        return self._weights.native.feature

    @property
    def patch_size(self) -> int:
        """Pixels from one token to the next on the coarsest level, of which an image has to be a multiple."""
        info: Any = getattr(self.module, "feature_info", ())
        info = getattr(info, "info", info)  # a list, or timm's class around one
        reductions = [entry["reduction"] for entry in info if isinstance(entry.get("reduction"), int)]
        return max(reductions, default=round(self.native_image_size / self._native[-1][1]))

    @property
    def _native(self) -> tuple[tuple[int, int, int], ...]:
        return self._weights.native.levels

    def check_image_size(self, size: int, rule: ImageResize = "squash") -> None:
        """Check that the model takes images whose side, or short side, has ``size`` pixels.

        Raises:
            InputError: It does not, or that is no whole number of patches.
        """
        native, patch = self.native_image_size, self.patch_size
        if rule == "short-side":
            check_side(size, patch)
            self._check_long_side(size)
        elif size != native and size % patch:
            try:
                nearby = max(patch, size - size % patch)
                self._weights.shapes_at(nearby, nearby)
            except InputError as error:  # then sizes nearby are no help
                name = self._weights.name
                raise InputError(
                    f"{name} takes no image of {size} x {size} pixels; use --image-size {native}"
                ) from error
            check_side(size, patch)
        self._weights.shapes_at(size, size)

    def _check_long_side(self, size: int) -> None:
        try:
            self._weights.shapes_at(size, size + self.patch_size)
        except InputError as error:
            raise InputError(
                f"{self._weights.name} takes no images that are longer one way than the other; use --set "
                "profile.image_resize=squash"
            ) from error

    def levels(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return tokens and channels of every level of a pass over an image of so many pixels."""
        tall, wide = (side / self.native_image_size for side in (height, width))
        return tuple(
            (max(1, round(rows * tall)) * max(1, round(columns * wide)), channels)
            for channels, rows, columns in self._native
        )

    def tap_widths(self, blocks: Sequence[int], stage: Stage) -> tuple[int, ...]:
        """Return the channels of tokens that are read at levels."""
        return tuple(self._native[block - 1][0] for block in blocks)

    def check_request(self, request: VisionRequest) -> None:
        """Check that the model can give what a method reads.

        Raises:
            InputError: It cannot, named by the capability that it lacks.
        """
        name = self._weights.name
        if not request.cls_ln_post:
            raise InputError(
                f"{name} is an opaque tower, whose image feature cannot be read without its final norm; use "
                "--set readout.cls_ln_post=true"
            )
        if request.windows:
            raise InputError(f"{name} is an opaque tower without the capability 'streams': it has no windows")
        for token in request.tokens:
            if token.stream is not None or token.point != "output":
                what = "refined streams" if token.stream is not None else "state after attention"
                raise InputError(
                    f"{name} is an opaque tower without the capability 'streams': it has no {what}, which "
                    f"token set '{token.name}' reads"
                )
            if not 1 <= token.block <= self.depth:
                raise InputError(
                    f"token set '{token.name}' is read at block {token.block}, but this tower has "
                    f"{self.depth} levels"
                )
            if token.stage != "raw" and self._weights.ln_post is None:
                raise InputError(
                    f"{name} has no final norm for all its levels, behind which '{token.name}' is read; use "
                    "--set readout.stage=raw"
                )

    @full_float32()
    def forward(
        self,
        images: Tensor,
        requests: Sequence[VisionRequest],
        auxiliary: Mapping[str, Tensor] | None = None,
        injection: Injection | None = None,
    ) -> tuple[VisionOutput, ...]:
        """Run the model once and read what each request asks for.

        Args:
            images: [B, 3, H, W], normalised.
            requests: One per method.
            auxiliary: Side inputs, which nothing here reads.
            injection: Has to be None.

        Returns:
            One output per request; ``joint`` is what ``ln_post`` is, as there is no joint space.

        Raises:
            InputError: A request asks for what the model cannot give.
        """
        if injection is not None:
            raise InputError(
                f"{self._weights.name} is an opaque tower without the capability 'streams': nothing can "
                "be injected into it"
            )
        for request in requests:
            self.check_request(request)
        self.counts["passes"] += 1
        prefix = {"return_prefix_tokens": True} if self._weights.leading else {}
        levels, feature = _called(self.module, images.to(self.dtype), **prefix)
        return tuple(
            VisionOutput(tuple(self._token_set(token, levels) for token in request.tokens), feature)
            for request in requests
        )

    def _token_set(self, token: TokenRequest, levels: Sequence[Any]) -> TokenSet:
        found = levels[token.block - 1]
        maps, before = found if isinstance(found, (tuple, list)) else (found, None)
        grid = Grid(maps.shape[2], maps.shape[3])
        class_token = None if before is None else before[:, 0]
        registers = before[:, 1:] if before is not None and before.shape[1] > 1 else None
        found = TokenSet(
            token.name, grid.to_tokens(maps), grid, token.stage, token.block, class_token, registers=registers
        )
        if token.stage == "raw":
            return found
        norm = self._weights.ln_post
        assert norm is not None  # check_request has looked
        return found.mapped(norm)


Tower: TypeAlias = VisionTower | OpaqueTower
"""Either kind of vision tower."""


def _called(module: Any, images: Tensor, **options: Any) -> tuple[Sequence[Any], Tensor]:
    """Return a timm model's maps per level, and its image feature before any classifier."""
    last, levels = _intermediates_of(module)(images, **options)
    return levels, module.forward_head(last, pre_logits=True)


def _intermediates_of(module: nn.Module) -> Callable[..., Any]:
    """Return a timm model's method that gives its intermediate maps.

    Raises:
        InputError: It has none.
    """
    found: Callable[..., Any] | None = getattr(module, "forward_intermediates", None)
    if found is None:
        raise InputError(
            f"the model {type(module).__name__} gives no features on a grid; use a vision model with a "
            "spatial map"
        )
    return found
