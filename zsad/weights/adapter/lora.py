"""LoRA layers of the PEFT library in the towers of a backbone, whose own weights stay as they are.

An adapted backbone is a :class:`ClipBackbone` of its own. Its blocks are copies of the plain ones over the
same storage, and PEFT replaces linear layers in the copies alone; so a plain and an adapted backbone serve
detectors side by side, and the memory of the weights is spent once.

Gradients reach it through :func:`zsad.detect.passes.Pass` and the text side; ``detector.encode`` and
``detector.score`` record none.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, inject_adapter_in_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from zsad.backbones.block import Block
from zsad.backbones.card import TowerName, TrainedOn
from zsad.backbones.chance import seeded
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.downloads import check_download
from zsad.errors import InputError
from zsad.files import atomic_write, write_text
from zsad.weights.adapter.card import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, AdapterCard, read_adapter_card
from zsad.weights.adapter.options import LoraOptions

PEFT_PREFIX = "base_model.model."
"""What PEFT's files write before the name of a module."""

ADAPTER_NAME = "default"
"""PEFT's name for a model's only adapter; its files leave it out."""

INCIDENTAL = frozenset(
    {"peft_version", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping", "task_type"}
)
"""Entries of PEFT's config that change no number."""


@dataclass(frozen=True)
class Adapter:
    """LoRA layers on one backbone.

    Attributes:
        options: What they are made of.
        towers: Modules ``vision.blocks`` and ``text.blocks``, as far as they are adapted. Every tower of the
            backbone shares them; ``towers.train()`` turns the dropout on, ``towers.eval()`` off.
    """

    options: LoraOptions
    towers: nn.ModuleDict

    def blocks(self, tower: TowerName) -> tuple[Block, ...] | None:
        """Return the adapted blocks of a tower, or None where it is not adapted."""
        if tower not in self.towers:
            return None
        return tuple(self.towers[tower]["blocks"])  # type: ignore[index]


def adapt_backbone(backbone: ClipBackbone, options: LoraOptions, seed: int = 0) -> ClipBackbone:
    """Return the backbone with a fresh adapter: B is zero, so that every feature is still the plain one.

    Args:
        backbone: The plain backbone; neither its modules nor its values are touched.
        options: What the adapter is made of.
        seed: Seed of A.

    Raises:
        InputError: The backbone has an adapter already, or no text tower where one is to be adapted.
    """
    return _over(backbone, _fresh(backbone, options, seed), "a new adapter")


def adapter_parameters(adapted: ClipBackbone) -> dict[str, nn.Parameter]:
    """Return what an adapter learns: ``vision.blocks.0.q_proj.lora_A.weight`` ..., in float32."""
    return _parameters(_adapter_of(adapted))


def adapter_state(adapted: ClipBackbone) -> dict[str, Tensor]:
    """Return copies of the adapter's parameters on the CPU, for a checkpoint."""
    return {name: value.detach().cpu().clone() for name, value in adapter_parameters(adapted).items()}


def load_adapter_state(adapted: ClipBackbone, state: Mapping[str, Tensor]) -> None:
    """Put what :func:`adapter_state` returned back.

    Raises:
        InputError: It is the state of another adapter.
    """
    _load(_adapter_of(adapted), state, "the state of the adapter")


def adapter_hashes(adapted: ClipBackbone) -> dict[TowerName, str]:
    """Return the hash of every adapted tower's parameters and scale as they are now, 16 hexadecimal digits.

    The profiles of a backbone carry the hashes of the time when it was made: :func:`refreshed` renews them.
    """
    return _hashes(_adapter_of(adapted))


def refreshed(adapted: ClipBackbone) -> ClipBackbone:
    """Return the same adapted backbone, whose profiles name the parameters as learning has left them."""
    adapter = _adapter_of(adapted)
    return adapted.with_adapter(adapter, _hashes(adapter), adapted.card)


def save_adapter(
    adapted: ClipBackbone, folder: Path, *, method: str, trained_on: Sequence[TrainedOn]
) -> AdapterCard:
    """Write an adapter as PEFT does, with zsad's card beside it.

    Args:
        adapted: The backbone with the learned adapter.
        folder: Where to; it is made where it is missing.
        method: The method that it was learned beside.
        trained_on: The datasets that it was learned on.

    Returns:
        The card.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    adapter = _adapter_of(adapted)
    card = AdapterCard(
        options=adapter.options,
        towers=_hashes(adapter),
        backbone=adapted.sha256,
        method=method,
        trained_on=tuple(trained_on),
    )
    tensors = {f"{PEFT_PREFIX}{name}": value.contiguous() for name, value in adapter_state(adapted).items()}
    serialized = save(tensors, metadata={"format": "pt"})
    atomic_write(folder / WEIGHTS_FILE, lambda stream: stream.write(serialized))
    with tempfile.TemporaryDirectory() as scratch:
        peft_config(adapter.options, inference_mode=True).save_pretrained(scratch)
        write_text(folder / CONFIG_FILE, (Path(scratch) / CONFIG_FILE).read_text())
    # Last: a folder with a card is complete, and the card's hashes tell whether the tensors are its own.
    write_text(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")
    return card


def load_adapter(backbone: ClipBackbone, folder: Path) -> ClipBackbone:
    """Return the backbone with a saved adapter, whose parameters are frozen.

    Args:
        backbone: The plain backbone that the adapter was learned on.
        folder: From :func:`save_adapter`.

    Raises:
        InputError: Not such a folder, files that do not belong together, or another backbone.
    """
    card = read_adapter_card(folder)
    if card.backbone != backbone.sha256:
        raise InputError(
            f"--adapter {folder} was learned on another backbone (sha256 {card.backbone[:12]}..., this one "
            f"has {backbone.sha256[:12]}...); name the backbone it was learned on, or train on this one"
        )
    _check_config(folder, card.options)
    path = folder / WEIGHTS_FILE
    check_download(path, "a readable safetensors file")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file; train the adapter again") from error
    adapter = _fresh(backbone, card.options)
    _load(adapter, {name.removeprefix(PEFT_PREFIX): value for name, value in stored.items()}, str(path))
    if _hashes(adapter) != card.towers:
        raise InputError(
            f"{path} is not the file that {CARD_FILE} beside it describes; restore the folder or train again"
        )
    adapter.towers.requires_grad_(False)
    return _over(backbone, adapter, str(folder), card)


def peft_config(options: LoraOptions, *, inference_mode: bool = False) -> LoraConfig:
    """Return the options as PEFT's config; its target is a pattern over ``TOWER.blocks.NUMBER.LINEAR``."""
    towers, modules = "|".join(options.towers), "|".join(options.modules)
    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=rf"({towers})\.blocks\.\d+\.({modules})",
        inference_mode=inference_mode,
    )


def _fresh(backbone: ClipBackbone, options: LoraOptions, seed: int = 0) -> Adapter:
    if backbone.adapter is not None:
        raise InputError(f"backbone '{backbone.card.name}' has an adapter already; adapt the plain backbone")
    towers = nn.ModuleDict()
    for tower in options.towers:
        plain = backbone.blocks(tower)
        if plain is None and tower == "vision":
            raise InputError(
                f"backbone '{backbone.card.name}' is an opaque tower without blocks to adapt (capability "
                "'streams'); use a plain vision transformer"
            )
        if plain is None:
            raise InputError(
                f"backbone '{backbone.card.name}' has no text tower to adapt; use --set adapter.target=vision"
            )
        blocks = nn.ModuleList(_sharing_storage(block) for block in plain)
        towers[tower] = nn.ModuleDict({"blocks": blocks})
    with seeded(seed):
        inject_adapter_in_model(peft_config(options), towers, ADAPTER_NAME)
    adapter = Adapter(options, towers.eval())
    for parameter in _parameters(adapter).values():
        # Steps of an optimiser are lost in half precision. PEFT's layers take their input to the parameters'
        # precision and their answer back to the tower's.
        if parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()
    return adapter


def _sharing_storage(block: Block) -> Block:
    """Return a block of its own over the same values.

    PEFT replaces layers in place and sets ``requires_grad`` of every parameter that it meets.
    """
    own = {id(value): nn.Parameter(value.detach(), requires_grad=False) for value in block.parameters()}
    return copy.deepcopy(block, own)


def _over(
    backbone: ClipBackbone, adapter: Adapter, name: str, card: AdapterCard | None = None
) -> ClipBackbone:
    """Return an adapted backbone, whose card says what backbone and adapter saw."""
    known = replace(backbone.card, name=f"{backbone.card.name} with {name}")
    if card is not None:
        known = replace(
            known,
            trained_on=f"{known.trained_on}; adapter on {card.trained_on_words()}",
            saw_anomaly_labels=True,
            datasets=(*known.datasets, *card.trained_on),
        )
    return backbone.with_adapter(adapter, _hashes(adapter), known)


def _adapter_of(adapted: ClipBackbone) -> Adapter:
    if not isinstance(adapted.adapter, Adapter):
        raise ValueError(f"backbone '{adapted.card.name}' has no adapter of LoRA layers")
    return adapted.adapter


def _parameters(adapter: Adapter) -> dict[str, nn.Parameter]:
    return {
        name.replace(f".{ADAPTER_NAME}", ""): parameter
        for name, parameter in adapter.towers.named_parameters()
        if ".lora_" in name
    }


def _hashes(adapter: Adapter) -> dict[TowerName, str]:
    options, parameters = adapter.options, _parameters(adapter)
    hashes: dict[TowerName, str] = {}
    for tower in options.towers:
        state = {name: value for name, value in parameters.items() if name.startswith(f"{tower}.")}
        text = f"lora {options.alpha}/{options.rank} {state_digest(state)}"
        hashes[tower] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return hashes


@torch.no_grad()
def _load(adapter: Adapter, state: Mapping[str, Tensor], source: str) -> None:
    parameters = _parameters(adapter)
    missing, unknown = sorted(set(parameters) - set(state)), sorted(set(state) - set(parameters))
    if missing or unknown:
        what = f"lacks '{missing[0]}'" if missing else f"has the unknown '{unknown[0]}'"
        raise InputError(f"{source} does not fit this adapter: it {what}")
    for name, parameter in parameters.items():
        if state[name].shape != parameter.shape:
            raise InputError(
                f"{source} does not fit this adapter: '{name}' has the shape {tuple(state[name].shape)}, "
                f"it needs {tuple(parameter.shape)}"
            )
    for name, parameter in parameters.items():
        parameter.copy_(state[name])


def _check_config(folder: Path, options: LoraOptions) -> None:
    """Check that PEFT's config and the card describe the same adapter.

    PEFT's config can ask for more than layers beside frozen ones, such as base weights that are changed or
    whole modules that are replaced; an adapter of zsad has none of it.
    """
    path = folder / CONFIG_FILE
    try:
        json.loads(path.read_text())
        found = asdict(PeftConfig.from_pretrained(str(folder)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not a readable PEFT config; restore the folder or train again"
        ) from error
    expected: dict[str, Any] = asdict(peft_config(options))
    for name in sorted((set(expected) | set(found)) - INCIDENTAL):
        if found.get(name) != expected.get(name):
            raise InputError(
                f"{path} is not the config of the adapter that {CARD_FILE} describes: '{name}' is "
                f"{found.get(name)!r} instead of {expected.get(name)!r}; restore the folder or train again"
            )
