"""The embedded backbone ``mini``: a small CLIP of zsad's own that ships in the wheel (card: README.md)."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zsad.backbones.card import BackboneCard, TrainedOn
from zsad.backbones.chance import seeded
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad_plugins.mini.added_rows import AddedRows, read_added_rows
from zsad_plugins.mini.model import MiniModel, MiniShape
from zsad_plugins.mini.stem import MEAN, STD
from zsad_plugins.mini.tokenizer import RowTokenizer

FILE = "mini.safetensors"
SHAPE_KEY = "mini_shape"
"""The metadata entry that holds the shape as JSON."""
TOKEN_IDS_KEY = "token_ids"

STEM_SAW = "ImageNet-1k labels (through its stem)"

CARD = BackboneCard(
    name="mini",
    trained_on=f"{STEM_SAW} and zsad's procedural images with captions and defect masks",
    saw_anomaly_labels=True,
    licence="Apache-2.0",
    datasets=(TrainedOn(dataset="ImageNet-1k"), TrainedOn(dataset="procedural")),
)
RANDOM_CARD = BackboneCard(
    name="mini-random",
    trained_on=f"{STEM_SAW}, the towers on nothing",
    licence="Apache-2.0",
    datasets=(TrainedOn(dataset="ImageNet-1k"),),
)
RANDOM_SEED = 0


def read_mini(path: Path | None = None) -> tuple[MiniModel, Tensor, dict[str, Tensor]]:
    """Read a file of ``mini``, by default the shipped one.

    Returns:
        The model in float32 on the CPU, CLIP's id of every token row, and the tensors as stored.
    """
    if path is None:
        with as_file(files("zsad_plugins.mini") / FILE) as shipped:
            return read_mini(shipped)
    with safe_open(path, framework="pt") as file:
        shape = MiniShape.model_validate_json(file.metadata()[SHAPE_KEY])
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    state = dict(stored)
    ids = state.pop(TOKEN_IDS_KEY)
    # Drawn and thrown away: on the meta device, torch would load its compiler for a multiplication.
    with seeded(RANDOM_SEED):
        model = MiniModel(shape)
    model.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return model.requires_grad_(False).eval(), ids, stored


def write_mini(path: Path, model: MiniModel, ids: Tensor, notes: dict[str, str] | None = None) -> None:
    """Write a file of ``mini`` in float16.

    Args:
        path: Where to.
        model: The learned model.
        ids: CLIP's id of every token row.
        notes: Further metadata, such as seed and command.
    """
    state = {name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}
    metadata = {SHAPE_KEY: model.shape.model_dump_json(), **(notes or {})}
    save_file({**state, TOKEN_IDS_KEY: ids}, path, metadata=metadata)


def load(device: torch.device, dtype: torch.dtype) -> ClipBackbone:
    """Load the shipped weights; nothing is downloaded."""
    model, ids, stored = read_mini()
    return backbone_of(model, ids, state_digest(stored), device, dtype, added=read_added_rows())


def load_random(device: torch.device, dtype: torch.dtype) -> ClipBackbone:
    """Load the shipped stem under freshly drawn towers: the control for everything that ``mini`` learned."""
    trained, ids, _ = read_mini()
    with seeded(RANDOM_SEED):
        model = MiniModel(trained.shape)
    model.stem = trained.stem
    model = model.requires_grad_(False).eval()
    added = read_added_rows().unlearned()
    return backbone_of(model, ids, state_digest(model.state_dict()), device, dtype, RANDOM_CARD, added)


def backbone_of(
    model: MiniModel,
    ids: Tensor,
    digest: str,
    device: torch.device,
    dtype: torch.dtype,
    card: BackboneCard = CARD,
    added: AddedRows | None = None,
) -> ClipBackbone:
    """Return a backbone over a model, which is moved to ``device`` and ``dtype``.

    Args:
        model: The model.
        ids: CLIP's id of every token row.
        digest: sha256 of the weights, the added rows left out: whatever was learned on the backbone holds
            with any of them.
        device: Where to.
        dtype: Precision of weights and activations.
        card: What is known of the weights.
        added: The rows of the second edition's words, or None for a model of the first one's alone.
    """
    embedding: Tensor = model.text.token_embedding
    if added is not None:
        embedding = added.extend(embedding)
    model = model.to(device, dtype)
    shape = model.shape
    return ClipBackbone(
        card=card,
        arch="mini",
        vision=model.vision_weights(),
        text=replace(model.text_weights(), token_embedding=embedding.to(device, dtype)),
        tokenizer=RowTokenizer(ids, shape.context_length, added.words if added else None),
        mean=MEAN,
        std=STD,
        native_profile=shape.tower_profile(str(dtype).removeprefix("torch.")),
        native_text_profile=shape.text_profile(),
        digest=lambda: digest,
        device=device,
    )
