"""DINOv2 vision towers (Oquab et al., 2023; with registers: Darcet et al., 2024) by transformers.

Weights come from a hub, from a folder that transformers wrote, or from a file under the key names of the
official code (github.com/facebookresearch/dinov2). What the tower computes is what that code computes: the
position embedding is resized by its two rules, see :func:`resize_dinov2_position`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import state_digest
from zsad.backbones.hub import hub_errors
from zsad.backbones.position import resize_position_embedding
from zsad.backbones.precision import full_float32
from zsad.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel means and deviations of the images that DINOv2 expects."""

PUBLISHED = BackboneCard(
    "facebook/dinov2", "LVD-142M (142 million curated web images, without labels)", licence="Apache-2.0"
)


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
        self._known_sha256 = _digest(model) if rounded else None
        self.model: Any = module.eval().requires_grad_(False).to(device=device, dtype=dtype)

    @property
    def trained_on(self) -> str:
        """What the weights were trained on, in words."""
        return self.card.trained_on

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, independent of the file format and of the precision they run in."""
        return self._known_sha256 or _digest(self.model)

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
    """Turn images that were normalised for CLIP into DINOv2's input (Crane+).

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


def load_dinov2(
    name_or_folder: str,
    device: torch.device = torch.device("cpu"),  # noqa: B008 -- immutable
    dtype: torch.dtype = torch.float32,
) -> DinoV2:
    """Load a DINOv2.

    Args:
        name_or_folder: A hub name such as ``facebook/dinov2-with-registers-base``; a folder with config.json
            and model.safetensors; or a file (.pth, .safetensors) under the official code's key names.
        device: Where to put it.
        dtype: Precision to run it in.

    Raises:
        InputError: No such folder or file, not a DINOv2, or weights that are incomplete.
        ZsadError: The hub cannot be reached.
    """
    path = Path(name_or_folder).expanduser()
    if path.is_file():
        from zsad.backbones.open_clip_loading import read_state_dict  # open_clip takes seconds to import

        card = BackboneCard(name_or_folder, f"not stated (file {path.name})")
        return dinov2_from_official_state(read_state_dict(path)[0], card=card, device=device, dtype=dtype)
    if path.is_dir():
        return _load_folder(
            path, BackboneCard(name_or_folder, f"not stated (folder {path.name})"), device, dtype
        )
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name_or_folder):
        raise InputError(
            f"there is no DINOv2 folder or file '{name_or_folder}' "
            "(a hub name looks like facebook/dinov2-with-registers-base)"
        )
    with hub_errors(name_or_folder, "give its folder instead of the name"):
        from huggingface_hub import snapshot_download

        wanted = ["config.json", "*.safetensors", "*.safetensors.index.json"]
        path = Path(snapshot_download(name_or_folder, allow_patterns=wanted))
    card = BackboneCard(name_or_folder, "not stated")
    if name_or_folder.startswith("facebook/dinov2-"):
        card = replace(PUBLISHED, name=name_or_folder)
    return _load_folder(path, card, device, dtype)


def dinov2_from_official_state(
    state: Mapping[str, Tensor],
    *,
    heads: int | None = None,
    card: BackboneCard | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 -- immutable
    dtype: torch.dtype = torch.float32,
) -> DinoV2:
    """Build a DINOv2 from tensors under the official code's key names; the shapes tell its architecture.

    Args:
        state: ``cls_token``, ``pos_embed``, ``blocks.0.attn.qkv.weight`` and so on.
        heads: Attention heads; by default heads of 64 channels, as in every published model.
        card: What is known of the weights.
        device: Where to put it.
        dtype: Precision to run it in.

    Raises:
        InputError: Keys or shapes are not those of a DINOv2.
    """
    card = card or BackboneCard("DINOv2", "not stated")
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "norm.weight")
    missing = [key for key in needed if key not in state]
    if missing:
        raise InputError(
            f"{card.name} does not hold a DINOv2 under its official key names: it lacks '{missing[0]}'"
        )
    patch = state["patch_embed.proj.weight"]
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    swiglu = "blocks.0.mlp.w12.weight" in state
    options: dict[str, Any] = {
        "hidden_size": patch.shape[0],
        "num_hidden_layers": 1
        + max(int(key.split(".")[1]) for key in state if re.match(r"blocks\.\d+\.", key)),
        "num_attention_heads": heads or patch.shape[0] // 64,
        # A SwiGLU keeps two thirds of the nominal ratio of 4.
        "mlp_ratio": 4 if swiglu else state["blocks.0.mlp.fc1.weight"].shape[0] // patch.shape[0],
        "use_swiglu_ffn": swiglu,
        "patch_size": patch.shape[-1],
        "image_size": math.isqrt(state["pos_embed"].shape[1] - 1) * patch.shape[-1],
        "layer_norm_eps": 1e-6,
    }
    named = {name: tensor for key, value in state.items() for name, tensor in _hub_tensors(key, value)}
    named.setdefault("embeddings.mask_token", torch.zeros(1, patch.shape[0]))  # read in training alone
    with _readable(card.name):
        model = _complete(lambda: _from_tensors(options, registers, named), card.name)
    return DinoV2(model, card, device, dtype)


_OFFICIAL_NAMES = (
    (r"cls_token|mask_token|register_tokens", r"embeddings.\g<0>"),
    (r"pos_embed", "embeddings.position_embeddings"),
    (r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"norm\.(\w+)", r"layernorm.\1"),
    (r"blocks\.(\d+)\.(norm[12]\.\w+|mlp\.fc[12]\.\w+)", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.mlp\.w12\.(\w+)", r"encoder.layer.\1.mlp.weights_in.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(\w+)", r"encoder.layer.\1.mlp.weights_out.\2"),
)
"""Official names and those of the files on the hub, which every version of transformers reads."""

_MODULE_NAMES = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
    (".mlp.down_proj.", ".mlp.weights_out."),
)
"""Names of transformers 5's modules and those of the files on the hub."""


def _hub_tensors(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield an official tensor under the names of the files on the hub."""
    block = re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", key)
    if block:
        for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
            yield f"encoder.layer.{block[1]}.attention.attention.{name}.{block[2]}", part
        return
    for pattern, name in _OFFICIAL_NAMES:
        found = re.fullmatch(pattern, key)
        if found:
            yield found.expand(name), value
            return
    yield key, value  # is refused as unknown when it is loaded


def _digest(model: nn.Module) -> str:
    """Hash the weights under the names of the hub's files, without the mask token, which nothing reads."""
    state = model.state_dict()
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith("mask_token") or ".mlp.up_proj." in key:
            continue
        if ".mlp.gate_proj." in key:
            both = (value, state[key.replace("gate_proj", "up_proj")])
            named[key.replace("gate_proj", "weights_in")] = torch.cat(both)
            continue
        for module, file in _MODULE_NAMES:
            key = key.replace(module, file)
        named[key] = value
    return state_digest(named)


def _load_folder(folder: Path, card: BackboneCard, device: torch.device, dtype: torch.dtype) -> DinoV2:
    source = f"the folder {folder}"
    if not (folder / "config.json").is_file():
        raise InputError(f"{source} holds no DINOv2: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{source} has no model.safetensors; other weight files are not read, because loading them can "
            "run code"
        )
    with _readable(source):
        model = _complete(lambda: _from_folder(folder), source)
    return DinoV2(model, card, device, dtype)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Say in one sentence that local weights cannot be read.

    Raises:
        InputError: Instead of what the libraries raise for damaged files and shapes that do not fit.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{source} does not hold a readable DINOv2: {reason}") from error


def _complete(load: Callable[[], tuple[PreTrainedModel, Mapping[str, Any]]], source: str) -> PreTrainedModel:
    """Load without transformers' messages, and refuse weights that do not fill the model exactly.

    Raises:
        InputError: Weights are missing, unknown, or of another shape.
    """
    with _quiet():
        model, info = load()
    problems = {
        "lacks": sorted(info["missing_keys"]),
        "has the unknown": sorted(info["unexpected_keys"]),
        "has another shape of": sorted(str(key) for key in info["mismatched_keys"]),
    }
    for what, keys in problems.items():
        if keys:
            raise InputError(f"{source} does not hold the weights of a DINOv2: it {what} '{keys[0]}'")
    return model


def _from_folder(folder: Path) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    from transformers import AutoConfig, Dinov2Model, Dinov2WithRegistersModel

    config = AutoConfig.from_pretrained(folder)
    kinds: dict[str, Any] = {"dinov2": Dinov2Model, "dinov2_with_registers": Dinov2WithRegistersModel}
    if config.model_type not in kinds:
        raise InputError(f"the folder {folder} holds a model of type {config.model_type}, not a DINOv2")
    loaded: tuple[PreTrainedModel, Mapping[str, Any]] = kinds[config.model_type].from_pretrained(
        folder, config=config, use_safetensors=True, output_loading_info=True
    )
    return loaded


def _from_tensors(
    options: Mapping[str, Any], registers: int, state: Mapping[str, Tensor]
) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    import transformers

    kind: Any = transformers.Dinov2Model
    config: Any = transformers.Dinov2Config(**options)
    if registers:
        kind = transformers.Dinov2WithRegistersModel
        config = transformers.Dinov2WithRegistersConfig(**options, num_register_tokens=registers)
    loaded: tuple[PreTrainedModel, Mapping[str, Any]] = kind.from_pretrained(
        None, config=config, state_dict=dict(state), output_loading_info=True
    )
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' loading bars and reports: what matters of them is said as an error."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # has no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
