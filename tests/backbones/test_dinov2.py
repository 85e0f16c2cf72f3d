"""DINOv2 against an independent forward pass in float64, written out in numpy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from scipy.special import erf

from tests.parity.synthetic import TINY_DINO, dino_state_dict
from zsad.backbones.dinov2 import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DinoV2,
    imagenet_from_clip,
)
from zsad.backbones.dinov2_loading import dinov2_from_official_state, load_dinov2
from zsad.backbones.position import resize_position_embedding
from zsad.errors import InputError
from zsad.recipe.profiles import PositionResize

Array = npt.NDArray[np.float64]
SEED = 7
GRIDS = [
    (12, 12),
    (16, 16),
    (5, 5),
    (8, 18),
    (9, 16),
]  # native, larger, smaller, rectangular, as many as native


def cubic(distance: Array, a: float) -> Array:
    """Keys' cubic kernel."""
    d = np.abs(distance)
    inner = (a + 2) * d**3 - (a + 3) * d**2 + 1
    outer = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, inner, np.where(d < 2, outer, 0.0))


def antialias_matrix(size: int, target: int) -> Array:
    """Weights of PIL-like bicubic resampling: a = -0.5, widened when shrinking, cut at the border."""
    scale = size / target
    centre = (np.arange(target) + 0.5) * scale
    weights = cubic((np.arange(size) + 0.5 - centre[:, None]) / max(scale, 1.0), -0.5)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def plain_matrix(size: int, target: int, offset: float) -> Array:
    """Weights of bicubic interpolation with a = -0.75 and repeated border pixels."""
    source = (np.arange(target) + 0.5) * size / (target + offset) - 0.5
    matrix = np.zeros((target, size))
    for row, x in enumerate(source):
        for tap in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            matrix[row, min(max(tap, 0), size - 1)] += cubic(np.asarray(x - tap), -0.75)
    return matrix


def reference_position(pos_embed: Array, grid: tuple[int, int], registers: bool) -> Array:
    side = int(np.sqrt(len(pos_embed) - 1))
    if grid == (side, side):
        return pos_embed
    rows, columns = (antialias_matrix(side, n) if registers else plain_matrix(side, n, 0.1) for n in grid)
    table = np.einsum("ih,jw,hwd->ijd", rows, columns, pos_embed[1:].reshape(side, side, -1))
    return np.concatenate([pos_embed[:1], table.reshape(grid[0] * grid[1], -1)])


def reference(state: dict[str, np.ndarray], images: Array, heads: int) -> list[Array]:
    """Return the official model's tokens [B, T, D] after each block, then after the final norm."""
    w = {key: value.astype(np.float64) for key, value in state.items()}

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def linear(x: Array, name: str) -> Array:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def attention(x: Array, name: str) -> Array:
        batch, count, width = x.shape
        q, k, v = linear(x, f"{name}.qkv").reshape(batch, count, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        logits = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return linear((weights @ v).transpose(0, 2, 1, 3).reshape(batch, count, width), f"{name}.proj")

    def mlp(x: Array, name: str) -> Array:
        if f"{name}.w12.weight" in w:
            gate, value = np.split(linear(x, f"{name}.w12"), 2, axis=-1)
            return linear(gate / (1 + np.exp(-gate)) * value, f"{name}.w3")
        hidden = linear(x, f"{name}.fc1")
        return linear(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), f"{name}.fc2")

    kernel = w["patch_embed.proj.weight"]
    width, patch = kernel.shape[0], kernel.shape[-1]
    batch, _, height, breadth = images.shape
    grid = (height // patch, breadth // patch)
    cut = images.reshape(batch, 3, grid[0], patch, grid[1], patch).transpose(0, 2, 4, 1, 3, 5)
    x = cut.reshape(batch, grid[0] * grid[1], -1) @ kernel.reshape(width, -1).T + w["patch_embed.proj.bias"]
    class_token = np.broadcast_to(w["cls_token"], (batch, 1, width))
    x = np.concatenate([class_token, x], axis=1)
    x = x + reference_position(w["pos_embed"][0], grid, "register_tokens" in w)
    if "register_tokens" in w:
        registers = np.broadcast_to(w["register_tokens"], (batch, *w["register_tokens"].shape[1:]))
        x = np.concatenate([x[:, :1], registers, x[:, 1:]], axis=1)
    states = []
    for number in range(sum(key.endswith("ls1.gamma") for key in w)):
        block = f"blocks.{number}"
        x = x + w[f"{block}.ls1.gamma"] * attention(norm(x, f"{block}.norm1"), f"{block}.attn")
        x = x + w[f"{block}.ls2.gamma"] * mlp(norm(x, f"{block}.norm2"), f"{block}.mlp")
        states.append(x)
    return [*states, norm(x, "norm")]


def state_of(kind: str) -> dict[str, np.ndarray]:
    """Return official weights: ``registers``, ``plain`` (none) or ``swiglu`` (as the giant has)."""
    state = dino_state_dict(TINY_DINO, SEED)
    if kind == "plain":
        del state["register_tokens"]
    if kind == "swiglu":
        random = np.random.default_rng(SEED)
        hidden = (int(192 * 4 * 2 / 3) + 7) // 8 * 8
        shapes = {"w12.weight": (2 * hidden, 192), "w12.bias": (2 * hidden,), "w3.weight": (192, hidden),
                  "w3.bias": (192,)}  # fmt: skip
        state = {key: value for key, value in state.items() if ".mlp." not in key}
        for number in range(TINY_DINO["layers"]):
            for name, shape in shapes.items():
                values = random.normal(size=shape, scale=shape[-1] ** -0.5)
                state[f"blocks.{number}.mlp.{name}"] = values.astype(np.float32)
    return state


def tensors(state: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value.copy()) for key, value in state.items()}


def write_folder(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Write weights as transformers does, by its own module."""
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    kinds: Any = (transformers.Dinov2Model, transformers.Dinov2Config)
    if registers:
        kinds = (transformers.Dinov2WithRegistersModel, transformers.Dinov2WithRegistersConfig)
    options = {"num_register_tokens": registers} if registers else {}
    config = kinds[1](
        hidden_size=192, num_hidden_layers=TINY_DINO["layers"], num_attention_heads=3, patch_size=14,
        image_size=168, layer_norm_eps=1e-6, use_swiglu_ffn="blocks.0.mlp.w12.weight" in state, **options,
    )  # fmt: skip
    named = {name: tensor for key, value in state.items() for name, tensor in hub_tensors(key, value)}
    model, info = kinds[0].from_pretrained(None, config=config, state_dict=named, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    model.save_pretrained(folder)


def hub_tensors(key: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield an official tensor under the names of the files on the hub."""
    if found := re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", key):
        for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
            yield f"encoder.layer.{found[1]}.attention.attention.{name}.{found[2]}", part
        return
    changes = (
        (r"^(cls_token|mask_token|register_tokens)$", r"embeddings.\1"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
        (r"^norm\.", "layernorm."), (r"^blocks\.", "encoder.layer."),
        (r"attn\.proj", "attention.output.dense"), (r"ls([12])\.gamma", r"layer_scale\1.lambda1"),
        (r"w12", "weights_in"), (r"w3", "weights_out"),
    )  # fmt: skip
    for pattern, name in changes:
        key = re.sub(pattern, name, key)
    yield key, value


def images_of(grid: tuple[int, int], batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(batch, 3, 14 * grid[0], 14 * grid[1], dtype=torch.float64, generator=generator)


@pytest.fixture(scope="module")
def tower() -> DinoV2:
    return dinov2_from_official_state(tensors(state_of("registers")))


@pytest.mark.parametrize("kind", ["registers", "plain", "swiglu"])
@pytest.mark.parametrize("grid", GRIDS)
def test_equals_the_reference_in_float64(kind: str, grid: tuple[int, int]) -> None:
    state, images = state_of(kind), images_of(grid)
    tower = dinov2_from_official_state(tensors(state), dtype=torch.float64)
    extra = 1 if kind == "plain" else 5
    expected = [
        tokens[:, extra:].reshape(2, *grid, 192) for tokens in reference(state, images.numpy(), heads=3)
    ]
    np.testing.assert_allclose(tower.patch_tokens(images), expected[-1], rtol=0, atol=1e-11)
    for mine, block in zip(tower.intermediate(images, (3, 1)), (3, 1), strict=True):
        np.testing.assert_allclose(mine, expected[block - 1], rtol=0, atol=1e-11)


def test_float32_is_within_its_rounding(tower: DinoV2) -> None:
    images = images_of((16, 16))
    expected = reference(state_of("registers"), images.numpy(), heads=3)[-1][:, 5:].reshape(2, 16, 16, 192)
    mine = tower.patch_tokens(images.float())
    assert mine.dtype == torch.float32
    assert np.abs(mine.numpy() - expected).max() <= 1e-5 * expected.std()


def test_normed_taps_end_with_the_patch_tokens(tower: DinoV2) -> None:
    images = images_of((12, 12)).float()
    assert torch.equal(tower.intermediate(images, (2, 4), normed=True)[1], tower.patch_tokens(images))


@pytest.mark.parametrize("registers", [True, False])
def test_position_resize_is_the_official_rule(registers: bool) -> None:
    table = np.random.default_rng(0).normal(size=(1 + 37 * 37, 3))
    for grid in [(37, 37), (16, 16), (24, 40), (51, 38)]:
        how: PositionResize = "bicubic_antialias" if registers else "bicubic_offset"
        mine = resize_position_embedding(torch.from_numpy(table), (37, 37), grid, how)
        np.testing.assert_allclose(mine, reference_position(table, grid, registers), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["registers", "plain", "swiglu"])
def test_folder_round_trip(kind: str, tmp_path: Path) -> None:
    tower = dinov2_from_official_state(tensors(state_of(kind)))
    write_folder(tensors(state_of(kind)), tmp_path)
    again = load_dinov2(str(tmp_path))
    images = images_of((12, 10)).float()
    assert torch.equal(again.patch_tokens(images), tower.patch_tokens(images))
    assert again.sha256 == tower.sha256
    assert (again.depth, again.width, again.patch_size, again.native_grid) == (4, 192, 14, (12, 12))
    assert again.registers == tower.registers == (0 if kind == "plain" else 4)
    assert again.trained_on == f"not stated (folder {tmp_path.name})"


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_official_file(ending: str, tower: DinoV2, tmp_path: Path) -> None:
    path = tmp_path / f"dinov2{ending}"
    state = tensors(state_of("registers"))
    if ending == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    images = images_of((12, 12)).float()
    assert torch.equal(load_dinov2(str(path)).patch_tokens(images), tower.patch_tokens(images))


def test_the_hash_is_of_the_loaded_weights(tower: DinoV2) -> None:
    state = tensors(state_of("registers"))
    for dtype in (torch.bfloat16, torch.float64):
        assert dinov2_from_official_state(state, dtype=dtype).sha256 == tower.sha256
    state["mask_token"] += 1  # no part of what the tower computes
    assert dinov2_from_official_state(state).sha256 == tower.sha256
    state["norm.bias"][0] += 1
    assert dinov2_from_official_state(state).sha256 != tower.sha256


def test_bfloat16_runs_and_is_close(tower: DinoV2) -> None:
    half = dinov2_from_official_state(tensors(state_of("registers")), dtype=torch.bfloat16)
    images = images_of((16, 16)).float()
    mine, exact = half.patch_tokens(images), tower.patch_tokens(images)
    assert mine.dtype == torch.bfloat16
    assert torch.cosine_similarity(mine.float(), exact, dim=-1).min() > 0.99


def test_it_is_frozen_and_in_evaluation_mode(tower: DinoV2) -> None:
    assert not tower.tower.training and not any(p.requires_grad for p in tower.parameters())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("pos_embed"), "lacks 'pos_embed'"),
        (lambda s: s.pop("blocks.2.norm1.bias"), r"lacks 'blocks\.2\.norm1\.bias'"),
        (lambda s: s.update(head=torch.zeros(1)), "unknown 'head'"),
        (lambda s: s.update({"norm.bias": torch.zeros(3)}), "DINOv2"),
    ],
)
def test_refuses_other_weights(change: Callable[[dict[str, torch.Tensor]], Any], said: str) -> None:
    state = tensors(state_of("registers"))
    change(state)
    with pytest.raises(InputError, match=said):
        dinov2_from_official_state(state)


def test_refuses_wrong_folders(tower: DinoV2, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        load_dinov2(str(tmp_path))
    write_folder(tensors(state_of("registers")), tmp_path)
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    torch.save(state, tmp_path / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        load_dinov2(str(tmp_path))
    weights.write_bytes(b"\x00 no weights")
    with pytest.raises(InputError, match=r"model\.safetensors is not a file of tensors"):
        load_dinov2(str(tmp_path))
    del state["layernorm.weight"]
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(InputError, match=rf"the folder {tmp_path} does not hold .* lacks 'norm\.weight'"):
        load_dinov2(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match="type vit, not a DINOv2"):
        load_dinov2(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="readable"):
        load_dinov2(str(tmp_path))
    with pytest.raises(InputError, match="no DINOv2 folder or file"):
        load_dinov2(str(tmp_path / "elsewhere"))


def test_refuses_wrong_inputs(tower: DinoV2) -> None:
    with pytest.raises(InputError, match=r"169 x 168 pixels .* patches of 14"):
        tower.patch_tokens(torch.zeros(1, 3, 169, 168))
    with pytest.raises(InputError, match="block 5 is outside"):
        tower.intermediate(torch.zeros(1, 3, 168, 168), (5,))


def test_unreachable_hub_is_one_sentence(tmp_path: Path) -> None:
    script = (
        "from zsad.backbones.dinov2_loading import load_dinov2\n"
        "from zsad.errors import InputError, ZsadError\n"
        "try:\n"
        "    load_dinov2('facebook/dinov2-with-registers-base')\n"
        "except ZsadError as error:\n"
        "    print(isinstance(error, InputError), error)\n"
    )
    # An empty cache, so that a machine which has the model does not load it.
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_HUB_CACHE": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "False 'facebook/dinov2-with-registers-base' could not be downloaded because the model hub cannot be "
        "reached; download it on a connected machine and give its folder instead of the name\n"
    )


def test_importing_it_does_not_import_transformers() -> None:
    script = "import sys, zsad.backbones.dinov2_loading; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_imagenet_from_clip() -> None:
    clip_mean, clip_std = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    pixels = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def normalised(values: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
        return torch.stack([(values[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)

    wide = pixels * 1.2 - 0.1  # bicubic resizing leaves 0..1
    mine = imagenet_from_clip(normalised(wide, clip_mean, clip_std), clip_mean, clip_std)
    torch.testing.assert_close(mine, normalised(wide.clamp(0, 1), IMAGENET_MEAN, IMAGENET_STD))


def test_weights_that_git_lfs_did_not_fetch(tower: DinoV2, tmp_path: Path) -> None:
    write_folder(tensors(state_of("registers")), tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    with pytest.raises(InputError, match="it is a Git LFS pointer"):
        load_dinov2(str(tmp_path))
    (tmp_path / "dinov2.pth").write_text(pointer)
    with pytest.raises(InputError, match="it is a Git LFS pointer"):
        load_dinov2(str(tmp_path / "dinov2.pth"))
