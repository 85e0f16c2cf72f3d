"""Synthetic learned parameters of adapters, by the rule of :mod:`tests.parity.synthetic`, and their files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from tests.parity.synthetic import Array, State, draw

STEP = 29
"""By how much the rows of a windowed matrix are apart in its vector."""


def draw_windows(key: str, rows: int, columns: int, seed: int, gain: float = 1.0) -> Array:
    """Return [rows, columns] whose element (i, j) is v[29 i + j] of one random vector."""
    vector = draw(key, ((rows - 1) * STEP + columns,), seed, gain * columns**-0.5)
    return vector[STEP * np.arange(rows)[:, None] + np.arange(columns)]


def draw_norm(space: str, prefix: str, width: int, seed: int) -> State:
    """Return weight and bias of a LayerNorm."""
    weight, bias = f"{prefix}.weight", f"{prefix}.bias"
    return {
        weight: draw(space + weight, (width,), seed, 0.1, 1.0),
        bias: draw(space + bias, (width,), seed, 0.05),
    }


def afclip_parameters(clip: Mapping[str, Array], seed: int) -> State:
    """Return AF-CLIP's learned parameters: the prompt, and the adaptor's as ``adaptor.NAME``."""
    space, inner = "afclip/", 8 * 64
    width, text = clip["visual.proj"].shape[0], clip["text_projection"].shape[0]
    prompt, attention = "state_prompt_embedding", "adaptor.attention.attn"
    state = {prompt: draw(space + prompt, (1, 12, text), seed, 0.02)}
    for name, gain in (("to_q", 3.0), ("to_k", 3.0), ("to_v", 1.0)):
        key = f"{attention}.{name}.weight"
        state[key] = draw_windows(space + key, inner, width, seed, gain)
    weight, bias = f"{attention}.to_out.0.weight", f"{attention}.to_out.0.bias"
    state[weight] = draw_windows(space + weight, width, inner, seed)
    state[bias] = draw(space + bias, (width,), seed, 0.05)
    return state | draw_norm(space, "adaptor.attention.norm", width, seed)


def write_afclip(clip: Mapping[str, Array], seed: int, folder: Path) -> tuple[Path, Path]:
    """Write the two files in the authors' form: a parameter, and a module pickled whole."""
    state = {key: torch.from_numpy(value) for key, value in afclip_parameters(clip, seed).items()}
    folder.mkdir(parents=True, exist_ok=True)
    prompt, adaptor = folder / "afclip_prompt.pt", folder / "afclip_adaptor.pt"
    torch.save(nn.Parameter(state.pop("state_prompt_embedding")), prompt)
    with authors_module() as kind:
        torch.save(nested(kind, {k.removeprefix("adaptor."): v for k, v in state.items()}), adaptor)
    return prompt, adaptor


def nested(kind: type[nn.Module], state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a module of modules whose parameters have the names of a state dict."""
    module = kind()
    for key, value in state.items():
        *owners, leaf = key.split(".")
        place = module
        for owner in owners:
            if owner not in place._modules:
                place.add_module(owner, kind())
            place = place.get_submodule(owner)
        place.register_parameter(leaf, nn.Parameter(value))
    return module


@contextmanager
def authors_module() -> Iterator[type[nn.Module]]:
    """Give the class ``clip.adaptor.Adaptor``, which exists while files are written and not afterwards."""
    names = ("clip", "clip.adaptor")
    modules = {name: ModuleType(name) for name in names}
    kind = type("Adaptor", (nn.Module,), {"__module__": "clip.adaptor"})
    modules["clip.adaptor"].Adaptor = kind  # type: ignore[attr-defined]
    former = {name: sys.modules.get(name) for name in names}
    sys.modules.update(modules)
    try:
        yield kind
    finally:
        for name, module in former.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def mrad_maps(clip: Mapping[str, Array], seed: int, gain: float = 4.0) -> dict[str, State]:
    """Return MRAD's linear maps, the content of its checkpoint of the fine-tuned method."""
    space, found = "mrad/", {}
    width, joint = clip["visual.proj"].shape
    for name, layers, inputs in (
        ("image_proj", ("mlp1", "mlp2"), joint),
        ("patch_proj", ("fc.0", "fc.1"), width),
    ):
        state: State = {}
        for layer in layers:
            weight, bias = f"{layer}.weight", f"{layer}.bias"
            state[weight] = draw(f"{space}{name}.{weight}", (joint, inputs), seed, gain * inputs**-0.5)
            state[bias] = draw(f"{space}{name}.{bias}", (joint,), seed, 0.05)
        found[name] = state
    return found


def dictas_parameters(clip: Mapping[str, Array], seed: int) -> State:
    """Return DictAS's learned parameters under the names of its checkpoint's entry ``Mymodel``."""
    space, width = "dictas/", clip["visual.proj"].shape[0]
    joint, hidden = clip["text_projection"].shape[1], width // 2

    def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> State:
        weight = f"{name}.weight"
        state = {weight: draw(space + weight, (outputs, inputs), seed, inputs**-0.5)}
        return state | ({f"{name}.bias": draw(f"{space}{name}.bias", (outputs,), seed, 0.05)} if bias else {})

    state: State = {}
    for generator in ("Query_Generator", "Key_Generator", "Value_Generator.AttnBlock"):
        for name in ("q_proj", "k_proj", "v_proj", "TwoLayerMLP.linear3"):
            state |= linear(f"{generator}.{name}", width, width, bias=False)
        for name in ("TwoLayerMLP.linear1", "TwoLayerMLP.linear2"):
            state |= linear(f"{generator}.{name}", width, width)
        for name in ("norm1", "TwoLayerMLP.norm"):
            state |= draw_norm(space, f"{generator}.{name}", width, seed)
    state |= linear("Fuse_Feature.fuse_modules", hidden, 4 * width)
    state |= linear("Fuse_Feature.compress", 1, hidden)
    return state | linear("Fuse_Feature.post_process", joint, hidden)
