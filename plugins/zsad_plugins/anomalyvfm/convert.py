"""Import a published checkpoint, as far as its names are publicly described; all else in it is refused.

What is known: the entries ``model``, ``decoder`` and ``predictor``; the leaves ``lora_A_q``, ``lora_B_q``,
``mag_q`` (and ``_v``) of joint projections; ``conv1``, ``bn1``, ``conv2``, ``bn2`` of the decoder's blocks.
Where these lie is read from the checkpoint itself; the README says what follows from that.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from zsad.errors import InputError
from zsad.weights.state import StateReader, reading

LOW_RANK = re.compile(r"(model\.(?:.*\.)?)([0-9]+)\.((?:\w+\.)*\w+)\.(lora_A|lora_B|mag)(?:_([qkv]))?")
"""Tower, block, layer, leaf, and which third of a joint projection."""

LAYERS = {"q_proj": "q_proj", "v_proj": "v_proj", "proj": "out_proj", "out_proj": "out_proj",
          "qkv.q": "q_proj", "qkv.v": "v_proj"}  # fmt: skip
"""zsad's name of a layer, by the last name of the layer in the checkpoint."""

LEAVES = {"lora_A": ("down", "rank width"), "lora_B": ("up", "width rank"), "mag": ("magnitude", "width")}

BLOCK = {"conv1": "conv1", "bn1": "norm1", "conv2": "conv2", "bn2": "norm2"}
"""zsad's name of a layer of the decoder's blocks."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return updates, decoder and image head under zsad's names.

    A LayerScale behind attention is part of zsad's output projection, so it becomes part of its update.

    Raises:
        InputError: Not such a checkpoint, or one with names that are not known.
    """
    with reading(checkpoint, "AnomalyVFM") as state:
        return {**_updates(state), **_decoder(state), **_head(state)}


def _updates(state: StateReader) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    towers: dict[str, set[int]] = {}
    for match in filter(None, map(LOW_RANK.fullmatch, sorted(state.names))):
        name = match[0]
        tower, number, path, leaf, third = match.groups()
        last = path.rpartition(".")[2]
        layer = LAYERS.get(last if third is None else f"{last}.{third}")
        if layer is None:
            raise InputError(
                f"'{name}' updates a layer that is none of queries, values and output projection"
            )
        mine, shape = LEAVES[leaf]
        key = f"attention_refiner.blocks.{number}.{layer}.{mine}"
        if key in found:
            raise InputError(f"'{name}' is the second entry for one and the same layer")
        found[key] = state.take(name, shape)
        towers.setdefault(tower, set()).add(int(number))
    if len(towers) != 1:
        raise InputError("it has no low-rank updates of one vision tower ('model...lora_A_q' and so on)")
    ((tower, numbers),) = towers.items()
    _check_updates(state, found, numbers)
    for number in sorted(numbers):
        if (scale := f"{tower}{number}.ls1.gamma") in state.names:
            gamma = state.take(scale, "width")
            prefix = f"attention_refiner.blocks.{number}.out_proj"
            found[f"{prefix}.up"] = found[f"{prefix}.up"] * gamma[:, None]
            if f"{prefix}.magnitude" in found:
                found[f"{prefix}.magnitude"] = found[f"{prefix}.magnitude"] * gamma.abs()
    strange = [name for name in state.names if name.startswith("model.") and re.search("lora|mag|dora", name)]
    if strange:
        raise InputError(f"it has '{strange[0]}', which the import does not know")
    state.leave_out("model.")  # the frozen tower, which is the user's backbone
    return found


def _check_updates(state: StateReader, found: dict[str, Tensor], numbers: set[int]) -> None:
    """Check that every block has the same updates, and that A and B are not each other's transposes."""
    if numbers != set(range(len(numbers))):
        raise InputError(f"its updates are of the blocks {sorted(numbers)}, and not of all from 0 on")
    if state.sizes["rank"] >= state.sizes["width"]:
        raise InputError(
            f"its updates have the rank {state.sizes['rank']} in a tower of {state.sizes['width']} channels; "
            "A has to be [rank, channels] and B [channels, rank]"
        )
    leaves = ["down", "up"] + ["magnitude"] * any(name.endswith("magnitude") for name in found)
    for number in sorted(numbers):
        for layer in ("q_proj", "v_proj", "out_proj"):
            for leaf in leaves:
                if f"attention_refiner.blocks.{number}.{layer}.{leaf}" not in found:
                    raise InputError(f"block {number} lacks {leaf} of its {layer}")


def _decoder(state: StateReader) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    names = [name for name in state.names if name.startswith("decoder.")]
    pattern = re.compile(rf"(decoder\..+)\.({'|'.join(BLOCK)})\.(?:weight|bias)")
    blocks = {match[1] for name in names if (match := pattern.fullmatch(name))}
    if not blocks:
        raise InputError("its decoder has no blocks of 'conv1', 'bn1', 'conv2' and 'bn2'")
    before = "width"
    for place, block in enumerate(sorted(blocks, key=_natural)):
        after = f"{block}.channels"
        for theirs, shape in (
            ("conv1", f"{after} {before} 3 3"),
            ("bn1", after),
            ("conv2", f"{after} {after} 3 3"),
            ("bn2", after),
        ):
            for leaf, tensor in state.layer(f"{block}.{theirs}", shape).items():
                found[f"scorer.blocks.{place}.{BLOCK[theirs]}.{leaf}"] = tensor
        before = after
    outputs = sorted({name.rpartition(".")[0] for name in state.names if name.startswith("decoder.")})
    maps = [name for name in outputs if "conf" not in name]
    if len(maps) != 1:
        raise InputError(
            f"its decoder has the outputs {', '.join(outputs) or 'none'}, of which one has to be the map and "
            "others have to be named as confidences"
        )
    layer = state.layer(maps[0], f"1 {before} kernel kernel")
    found |= {"scorer.output.weight": layer["weight"][None], "scorer.output.bias": layer["bias"]}
    state.leave_out(*(f"{name}." for name in outputs if name != maps[0]))
    return found


def _head(state: StateReader) -> dict[str, Tensor]:
    layers = sorted({name.rpartition(".")[0] for name in state.names if name.startswith("predictor.")})
    if len(layers) != 1:
        raise InputError(f"its predictor is not one linear layer (it has: {', '.join(layers) or 'none'})")
    layer = state.layer(layers[0], "1 summary")
    return {"scorer.head.weight": layer["weight"][None], "scorer.head.bias": layer["bias"]}


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"([0-9]+)", name)]
