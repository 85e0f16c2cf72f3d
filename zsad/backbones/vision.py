"""A vision tower whose single pass serves any number of methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from zsad.backbones.attention_pool import AttentionPool
from zsad.backbones.block import Block, BlockRun
from zsad.backbones.frozen import Frozen
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.precision import full_float32
from zsad.errors import InputError
from zsad.recipe.profiles import TowerProfile
from zsad.streams import InjectedTokens, Stream, Term, TokenRequest, VisionRequest, WindowRequest
from zsad.values import Grid, Stage, TokenSet, Windows

K = TypeVar("K")
V = TypeVar("V")

WINDOW_BATCH = 8192
"""Windows per forward call: bounds memory, not results."""


@dataclass(frozen=True)
class VisionOutput:
    """What one request gets from a pass.

    Attributes:
        token_sets: In the order of the request.
        image_feature: [B, C] joint feature of the class token or of the attention pool, not normalised.
    """

    token_sets: tuple[TokenSet, ...]
    image_feature: Tensor


@dataclass(frozen=True)
class VisionWeights:
    """The loaded weights of a tower, shared by the towers of every profile.

    Attributes:
        patch_embedding: Maps [B, 3, H, W] to [B, D, h, w].
        class_embedding: [D], or None for a tower without a class token.
        position_embedding: [1 + h0 * w0, D], or [h0 * w0, D] without a class token.
        native_grid: (h0, w0).
        ln_pre: Norm before the first block, or identity.
        blocks: The transformer blocks.
        ln_post: Norm after the last block.
        projection: [D, C], or None where the pool leads to the joint space.
        patch_size: Side of a patch in pixels.
        pool: What the image feature is read with where there is no class token.
    """

    patch_embedding: nn.Module
    class_embedding: Tensor | None
    position_embedding: Tensor
    native_grid: tuple[int, int]
    ln_pre: nn.Module
    blocks: tuple[Block, ...]
    ln_post: nn.Module
    projection: Tensor | None
    patch_size: int
    pool: AttentionPool | None = None


class VisionTower(nn.Module):
    """A ViT under one :class:`TowerProfile`.

    Attributes:
        profile: The numerics of this tower.
        counts: What the passes so far computed: ``passes``, ``blocks``, ``terms``, ``attention:vv`` ...
    """

    def __init__(self, weights: VisionWeights, profile: TowerProfile) -> None:
        super().__init__()
        self.profile = profile
        self.patch_embedding = weights.patch_embedding
        self.class_embedding = _frozen(weights.class_embedding)
        self.position_embedding = nn.Parameter(weights.position_embedding, requires_grad=False)
        self.ln_pre, self.ln_post = weights.ln_pre, weights.ln_post
        self.blocks = nn.ModuleList(block.with_activation(profile.activation) for block in weights.blocks)
        self.projection = _frozen(weights.projection)
        self.pool = weights.pool and weights.pool.with_activation(profile.activation)
        self.native_grid = weights.native_grid
        self.patch_size = weights.patch_size
        self.counts: Counter[str] = Counter()
        self._frozen = Frozen()

    @property
    def device(self) -> torch.device:
        """Where the tower's parameters are."""
        return self.position_embedding.device

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """Channels of the blocks."""
        return self.position_embedding.shape[1]

    @property
    def embed_dim(self) -> int:
        """Channels of the joint space."""
        if self.pool is not None:
            return self.pool.embed_dim
        assert self.projection is not None  # a tower has one or the other
        return self.projection.shape[1]

    @property
    def leading(self) -> int:
        """Places before the patches: 1 for the class token, 0 in a tower without one."""
        return 0 if self.class_embedding is None else 1

    @property
    def native_image_size(self) -> int:
        """Side in pixels of the images that the tower was trained on."""
        return self.native_grid[0] * self.patch_size

    def check_image_size(self, size: int) -> None:
        """Raise InputError unless a square of ``size`` pixels is a whole number of patches."""
        if size < self.patch_size or size % self.patch_size:
            low = max(self.patch_size, size - size % self.patch_size)
            raise InputError(
                f"image size {size} is not a multiple of the backbone's patch size {self.patch_size}; "
                f"use --image-size {low} or {low + self.patch_size}"
            )

    @full_float32()
    def forward(
        self,
        images: Tensor,
        requests: Sequence[VisionRequest],
        auxiliary: Mapping[str, Tensor] | None = None,
        injected: InjectedTokens | None = None,
    ) -> tuple[VisionOutput, ...]:
        """Run one pass and read what each request asks for.

        Args:
            images: [B, 3, S, S], normalised.
            requests: One per method; equal streams, terms and readouts are computed once.
            auxiliary: Side inputs that terms may read.
            injected: Visual tokens that take part in the pass and are cut from what is read.

        Returns:
            One output per request.

        Raises:
            InputError: A token set is read at a block that the tower has not, a window does not fit, or
                something is read of a class token that the tower has not.
            ZsadError: A term changed weights of the tower, in this pass or before.
        """
        self._frozen.check()
        self.counts["passes"] += 1
        # One by one: convolutions of large batches round differently than those of small ones.
        pixels = torch.split(images.to(self.position_embedding.dtype), 1)
        patches = torch.cat([self.patch_embedding(image) for image in pixels])
        grid = Grid(patches.shape[2], patches.shape[3])
        embedded = self._embed(patches.flatten(2).transpose(1, 2), grid)
        token_requests = [token for request in requests for token in request.tokens]
        self._check_blocks(token_requests)
        states, last = self._run(self.ln_pre(embedded), grid, token_requests, auxiliary or {}, injected)

        def window_features(window: WindowRequest) -> TokenSet:
            return self._window_features(embedded, grid, window)

        def class_feature(ln_post: bool) -> Tensor:
            # Likewise: a product of few rows rounds them differently than one of many.
            states = torch.split(last[:, : self.leading + patch_count(grid)], 1)
            return torch.cat([self._image_feature(state, ln_post) for state in states])

        def read_place(place: TokenRequest) -> Tensor:
            return self._read(states[_state_key(place)], place.stage)

        # Two methods that name one place differently share what is computed for it.
        image_feature, read, windows = _cached(class_feature), _cached(read_place), _cached(window_features)

        def token_set(token: TokenRequest) -> TokenSet:
            tokens = read(replace(token, name=""))
            has_class = self._has_class(token.stream, token.block)
            return TokenSet(
                token.name,
                tokens[:, 1:] if has_class else tokens,
                grid,
                token.stage,
                token.block,
                tokens[:, 0] if has_class else None,
            )

        return tuple(
            VisionOutput(
                tuple(token_set(token) for token in request.tokens)
                + tuple(
                    replace(windows(replace(window, name="")), name=window.name) for window in request.windows
                ),
                image_feature(request.cls_ln_post),
            )
            for request in requests
        )

    def _check_blocks(self, requests: Sequence[TokenRequest]) -> None:
        for request in requests:
            if not 1 <= request.block <= self.depth:
                raise InputError(
                    f"token set '{request.name}' is read at block {request.block}, "
                    f"but this tower has {self.depth} blocks"
                )

    def _embed(self, patches: Tensor, grid: Grid) -> Tensor:
        """Add the class token, if any, and positions to patch embeddings [B, N, D]: [B, T, D]."""
        position = resize_position_embedding(
            self.position_embedding,
            self.native_grid,
            (grid.height, grid.width),
            self.profile.position_embedding,
            self.leading,
        )
        if self.class_embedding is None:
            return patches + position
        tokens = torch.cat([self.class_embedding.expand(patches.shape[0], 1, -1), patches], dim=1)
        return tokens + position

    def _has_class(self, stream: Stream | None, block: int) -> bool:
        """Whether the first place of a stream at a block is the class token."""
        return self.leading == 1 and (stream is None or stream.has_class_token(block))

    def _run(
        self,
        x: Tensor,
        grid: Grid,
        requests: Sequence[TokenRequest],
        auxiliary: Mapping[str, Tensor],
        injected: InjectedTokens | None,
    ) -> tuple[dict[_StateKey, Tensor], Tensor]:
        """Run the blocks; return the requested states by place, and the ordinary stream's last state."""
        wanted = {_state_key(request) for request in requests}
        last_block: dict[Stream, int] = {}
        for request in requests:
            if request.stream is not None:
                last_block[request.stream] = max(request.block, last_block.get(request.stream, 0))
        refined: dict[Stream, Tensor] = {}
        states: dict[_StateKey, Tensor] = {}
        patches = patch_count(grid)
        length = self.leading + patches
        for number, block in enumerate(self.blocks, start=1):
            self.counts["blocks"] += 1
            x = _with_injected(x, length, number, injected)
            assert isinstance(block, Block)
            state = BlockRun(block, x, grid, auxiliary, self.counts)
            terms = _cached(partial(self._term, state))
            for stream, end in last_block.items():
                if number > end:
                    continue
                if number < stream.start:
                    refined[stream] = state.output
                elif stream.cumulative:
                    before = x if number == stream.start else refined[stream]
                    refined[stream] = before + terms(stream.term)
                elif (stream, number, "output") in wanted:
                    refined[stream] = terms(stream.term)
                if (stream, number, "output") in wanted:
                    # Injected tokens, which stand behind the patches, are not read.
                    read = patches + self._has_class(stream, number)
                    states[stream, number, "output"] = refined[stream][:, :read]
            if (None, number, "output") in wanted:
                states[None, number, "output"] = state.output[:, :length]
            if (None, number, "attention") in wanted:
                states[None, number, "attention"] = state.after_attention[:, :length]
            x = state.output
        return states, x

    def _term(self, state: BlockRun, term: Term) -> Tensor:
        self.counts["terms"] += 1
        with self._frozen.kept(state.block, term):
            return term(state)

    def _read(self, state: Tensor, stage: Stage) -> Tensor:
        """Take a raw state [B, T, D] to a stage."""
        if stage == "raw":
            return state
        normed: Tensor = self.ln_post(state)
        return normed if stage == "ln_post" else self._to_joint(normed)

    def _to_joint(self, tokens: Tensor) -> Tensor:
        """Take tokens [B, T, D] or [B, D] to the joint space."""
        if self.pool is not None:
            return self.pool.each(tokens)
        assert self.projection is not None  # a tower has one or the other
        return tokens @ self.projection

    def _image_feature(self, state: Tensor, ln_post: bool) -> Tensor:
        """Read the class token of a state [B, T, D], or pool its patches: [B, C]."""
        if self.pool is None:
            return self._to_joint(self.ln_post(state[:, 0]) if ln_post else state[:, 0])
        if not ln_post:
            raise InputError(
                "this backbone has no class token that could be read without ln_post; "
                "use --set readout.cls_ln_post=true"
            )
        feature: Tensor = self.pool(self.ln_post(state))
        return feature

    def _window_features(self, embedded: Tensor, grid: Grid, window: WindowRequest) -> TokenSet:
        """Run every window of patches through the tower as a short sequence of its own.

        Patches keep the position rows of the full image (Jeong et al., CVPR 2023, section 4.2).
        """
        if self.leading == 0:
            raise InputError(
                "this backbone has no class token to read windows of patches by; use a CLIP of the ViT family"
            )
        index = window_index(grid, window.size, window.stride).to(embedded.device)
        batch, count = embedded.shape[0], index.shape[0]
        patches = embedded[:, 1:][:, index]  # [B, windows, size * size, D]
        class_token = embedded[:, :1].unsqueeze(1).expand(-1, count, -1, -1)
        sequences = torch.cat([class_token, patches], dim=2).flatten(0, 1)
        features = []
        for chunk in torch.split(sequences, WINDOW_BATCH):
            self.counts["window_passes"] += 1
            x = self.ln_pre(chunk)
            for block in self.blocks:
                x = block(x)
            features.append(self._image_feature(x, ln_post=True))
        incidence = torch.zeros(count, patch_count(grid), device=embedded.device)
        incidence.scatter_(1, index, 1.0)
        tokens = torch.cat(features).reshape(batch, count, -1)
        return TokenSet(window.name, tokens, Windows(grid, incidence), "joint", self.depth)


def window_index(grid: Grid, size: int, stride: int) -> Tensor:
    """Return the patch indices of every window, row-major: [windows, size * size] int64.

    Raises:
        InputError: The window is larger than the grid.
    """
    if size > min(grid.height, grid.width):
        raise InputError(
            f"a window of {size} x {size} patches does not fit the {grid.height} x {grid.width} grid; "
            "use a larger --image-size"
        )
    cells = torch.arange(grid.height * grid.width).view(grid.height, grid.width)
    return cells.unfold(0, size, stride).unfold(1, size, stride).reshape(-1, size * size)


def patch_count(grid: Grid) -> int:
    """Return the number of patches of a grid."""
    return grid.height * grid.width


_StateKey = tuple[Stream | None, int, str]


def _state_key(request: TokenRequest) -> _StateKey:
    return request.stream, request.block, request.point


def _frozen(value: Tensor | None) -> nn.Parameter | None:
    return None if value is None else nn.Parameter(value, requires_grad=False)


def _with_injected(x: Tensor, length: int, number: int, injected: InjectedTokens | None) -> Tensor:
    if injected is None or number > len(injected.tokens):
        return x
    tokens = injected.tokens[number - 1].to(x.dtype).expand(x.shape[0], -1, -1)
    return torch.cat([x[:, :length], tokens], dim=1)


def _cached(compute: Callable[[K], V]) -> Callable[[K], V]:
    """Return ``compute`` with its results kept for the life of the pass."""
    kept: dict[K, V] = {}

    def get(key: K) -> V:
        if key not in kept:
            kept[key] = compute(key)
        return kept[key]

    return get
