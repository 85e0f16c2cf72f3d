"""A vision tower whose single pass serves any number of methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from zsad.backbones.block import Block, BlockRun
from zsad.backbones.frozen import Frozen
from zsad.backbones.injection import check_edits, with_entering, with_replaced
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.precision import full_float32
from zsad.backbones.vision_values import VisionOutput, VisionWeights, check_side
from zsad.errors import InputError
from zsad.inputs import ImageResize
from zsad.recipe.profiles import TowerProfile
from zsad.streams import Injection, Stream, Term, TokenRequest, VisionRequest, WindowRequest
from zsad.values import Grid, Stage, TokenSet, Windows

K = TypeVar("K")
V = TypeVar("V")

WINDOW_BATCH = 8192
"""Windows per forward call: bounds memory, not results."""


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
        self.registers = _frozen(weights.registers)
        self.position_embedding = _frozen(weights.position_embedding)
        self.rotary = weights.rotary
        self.ln_pre: nn.Module = weights.ln_pre
        self.ln_post: nn.Module = weights.ln_post
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
        return self._first_norm.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the tower's parameters."""
        return self._first_norm.dtype

    @property
    def _first_norm(self) -> Tensor:
        block = self.blocks[0]
        assert isinstance(block, Block)
        return block.ln_1.weight

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """Channels of the blocks."""
        return self._first_norm.shape[0]

    @property
    def embed_dim(self) -> int:
        """Channels of the joint space; where there is neither pool nor projection, it is that of ln_post."""
        if self.pool is not None:
            return self.pool.embed_dim
        return self.width if self.projection is None else self.projection.shape[1]

    @property
    def leading(self) -> int:
        """Places before the patches: the class token, if any, and registers."""
        return (self.class_embedding is not None) + (0 if self.registers is None else len(self.registers))

    @property
    def native_image_size(self) -> int:
        """Side in pixels of the images that the tower was trained on."""
        return self.native_grid[0] * self.patch_size

    def check_image_size(self, size: int, rule: ImageResize = "squash") -> None:
        """Raise InputError unless a side of ``size`` pixels is a whole number of patches."""
        check_side(size, self.patch_size)

    def levels(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return tokens and channels of what a pass over an image of so many pixels holds."""
        return (((height // self.patch_size) * (width // self.patch_size), self.width),)

    def tap_widths(self, blocks: Sequence[int], stage: Stage) -> tuple[int, ...]:
        """Return the channels of tokens that are read at blocks."""
        return (self.embed_dim if stage == "joint" else self.width,) * len(blocks)

    @full_float32()
    def forward(
        self,
        images: Tensor,
        requests: Sequence[VisionRequest],
        auxiliary: Mapping[str, Tensor] | None = None,
        injection: Injection | None = None,
    ) -> tuple[VisionOutput, ...]:
        """Run one pass and read what each request asks for.

        Args:
            images: [B, 3, H, W], normalised; both sides whole numbers of patches.
            requests: One per method; equal streams, terms and readouts are computed once.
            auxiliary: Side inputs that terms may read.
            injection: Tokens that take part in the pass and are read beside the patches, and edits of
                blocks. Windows, short passes of their own, see the edits alone.

        Returns:
            One output per request.

        Raises:
            InputError: A token set is read, or a block edited, that the tower has not, a window does not fit,
                or something needs a class token that the tower has not.
            ZsadError: A term changed weights of the tower, in this pass or before.
        """
        self._frozen.check()
        injection = injection or Injection()
        self.counts["passes"] += 1
        # One by one: convolutions of large batches round differently than those of small ones.
        pixels = torch.split(images.to(self.dtype), 1)
        patches = torch.cat([self.patch_embedding(image) for image in pixels])
        grid = Grid(patches.shape[2], patches.shape[3])
        embedded = self._embed(patches.flatten(2).transpose(1, 2), grid)
        token_requests = [token for request in requests for token in request.tokens]
        for request in requests:
            self.check_request(request)
        check_edits(injection, self.depth)
        entering = self.ln_pre(with_entering(embedded, injection, self._class_position))
        states, last = self._run(entering, grid, token_requests, auxiliary or {}, injection)

        def window_features(window: WindowRequest) -> TokenSet:
            return self._window_features(embedded, grid, window, injection)

        def class_feature(ln_post: bool) -> Tensor:
            # Likewise: a product of few rows rounds them differently than one of many.
            states = torch.split(last[:, : self.leading + grid.count], 1)
            return torch.cat([self._image_feature(state, ln_post) for state in states])

        def read_place(place: TokenRequest) -> tuple[Tensor, Tensor | None]:
            state = states[_state_key(place)]
            count = grid.count + self._places_before(place.stream, place.block)
            # Injected tokens, behind the patches, are read apart: together they would round otherwise.
            behind = state[:, count:]
            return (
                self._read(state[:, :count], place.stage),
                self._read(behind, place.stage) if behind.shape[1] else None,
            )

        # Two methods that name one place differently share what is computed for it.
        image_feature, read, windows = _cached(class_feature), _cached(read_place), _cached(window_features)

        def token_set(token: TokenRequest) -> TokenSet:
            tokens, injected = read(replace(token, name=""))
            before = self._places_before(token.stream, token.block)
            has_class = before and self.class_embedding is not None
            return TokenSet(
                token.name,
                tokens[:, before:],
                grid,
                token.stage,
                token.block,
                tokens[:, 0] if has_class else None,
                injected,
                tokens[:, 1:before] if has_class and before > 1 else None,
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

    def check_request(self, request: VisionRequest) -> None:
        """Raise InputError if a method reads at a block that the tower has not."""
        for token in request.tokens:
            if not 1 <= token.block <= self.depth:
                raise InputError(
                    f"token set '{token.name}' is read at block {token.block}, "
                    f"but this tower has {self.depth} blocks"
                )

    def _embed(self, patches: Tensor, grid: Grid) -> Tensor:
        """Add class token, positions and registers, if any, to patch embeddings [B, N, D]: [B, T, D]."""
        batch, tokens, first = patches.shape[0], patches, 0
        if self.class_embedding is not None:
            tokens, first = torch.cat([self.class_embedding.expand(batch, 1, -1), patches], dim=1), 1
        if self.position_embedding is not None:
            size, how = (grid.height, grid.width), self.profile.position_embedding
            position = resize_position_embedding(self.position_embedding, self.native_grid, size, how, first)
            tokens = tokens + position
        if self.registers is not None:
            registers = self.registers.expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, :first], registers, tokens[:, first:]], dim=1)
        return tokens

    @property
    def _class_position(self) -> Tensor | None:
        """Position of the class token, [D], or None in a tower without one."""
        if self.class_embedding is None:
            return None
        if self.position_embedding is None:
            return torch.zeros_like(self.class_embedding)
        return self.position_embedding[0]

    def _places_before(self, stream: Stream | None, block: int) -> int:
        """Return how many places stand before the patches in a stream at a block."""
        return self.leading if stream is None or stream.has_class_token(block) else 0

    def _run(
        self,
        x: Tensor,
        grid: Grid,
        requests: Sequence[TokenRequest],
        auxiliary: Mapping[str, Tensor],
        injection: Injection,
    ) -> tuple[dict[_StateKey, Tensor], Tensor]:
        """Run the blocks; return the requested states by place, and the ordinary stream's last state.

        Injected tokens stand at the end of every state.
        """
        wanted = {_state_key(request) for request in requests}
        last_block: dict[Stream, int] = {}
        for request in requests:
            if request.stream is not None:
                last_block[request.stream] = max(request.block, last_block.get(request.stream, 0))
        refined: dict[Stream, Tensor] = {}
        states: dict[_StateKey, Tensor] = {}
        length = self.leading + grid.count
        rotation = None if self.rotary is None else self.rotary.on(grid)
        for number, block in enumerate(self.blocks, start=1):
            self.counts["blocks"] += 1
            x = with_replaced(x, length, number, injection)
            assert isinstance(block, Block)
            state = BlockRun(
                block, x, grid, auxiliary, self.counts,
                edit=injection.edits.get(number), leading=self.leading, rotation=rotation,
            )  # fmt: skip
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
                    states[stream, number, "output"] = refined[stream]
            if (None, number, "output") in wanted:
                states[None, number, "output"] = state.output
            if (None, number, "attention") in wanted:
                states[None, number, "attention"] = state.after_attention
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

    def to_joint(self, tokens: Tensor) -> Tensor:
        """Return raw tokens [..., D] in the joint space, [..., C], in the precision that they came in."""
        return self._read(tokens.to(self.dtype), "joint").to(tokens.dtype)

    def _to_joint(self, tokens: Tensor) -> Tensor:
        """Take tokens [B, T, D] or [B, D] to the joint space."""
        if self.pool is not None:
            return self.pool.each(tokens)
        return tokens if self.projection is None else tokens @ self.projection

    def _image_feature(self, state: Tensor, ln_post: bool) -> Tensor:
        """Read the class token of a state [B, T, D], or pool its patches: [B, C]."""
        if self.pool is None:
            return self._to_joint(self.ln_post(state[:, 0]) if ln_post else state[:, 0])
        if not ln_post:
            raise InputError(
                "this backbone pools its image feature: no class token of it could be read without ln_post; "
                "use --set readout.cls_ln_post=true"
            )
        feature: Tensor = self.pool(self.ln_post(state[:, self.leading :]))
        return feature

    def _window_features(
        self, embedded: Tensor, grid: Grid, window: WindowRequest, injection: Injection
    ) -> TokenSet:
        """Run every window of patches through the tower as a short sequence of its own.

        Patches keep the position rows of the full image (Jeong et al., CVPR 2023, section 4.2).
        """
        if self.class_embedding is None or self.rotary is not None:
            lacks = "no class token" if self.class_embedding is None else "no table of positions"
            raise InputError(
                f"this backbone has {lacks} to read windows of patches by; use a CLIP of the ViT family"
            )
        index = window_index(grid, window.size, window.stride).to(embedded.device)
        batch, count = embedded.shape[0], index.shape[0]
        patches = embedded[:, self.leading :][:, index]  # [B, windows, size * size, D]
        before = embedded[:, : self.leading].unsqueeze(1).expand(-1, count, -1, -1)
        sequences = torch.cat([before, patches], dim=2).flatten(0, 1)
        features = []
        for chunk in torch.split(sequences, WINDOW_BATCH):
            self.counts["window_passes"] += 1
            x = self.ln_pre(chunk)
            for number, block in enumerate(self.blocks, start=1):
                edit = injection.edits.get(number)
                if edit is None:
                    x = block(x)
                else:
                    assert isinstance(block, Block)
                    square = Grid(window.size, window.size)
                    run = BlockRun(block, x, square, {}, Counter(), edit=edit, leading=self.leading)
                    x = run.output
            features.append(self._image_feature(x, ln_post=True))
        incidence = torch.zeros(count, grid.count, device=embedded.device)
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


_StateKey = tuple[Stream | None, int, str]


def _state_key(request: TokenRequest) -> _StateKey:
    return request.stream, request.block, request.point


def _frozen(value: Tensor | None) -> nn.Parameter | None:
    return None if value is None else nn.Parameter(value, requires_grad=False)


def _cached(compute: Callable[[K], V]) -> Callable[[K], V]:
    """Return ``compute`` with its results kept for the life of the pass."""
    kept: dict[K, V] = {}

    def get(key: K) -> V:
        if key not in kept:
            kept[key] = compute(key)
        return kept[key]

    return get
