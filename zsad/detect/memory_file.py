"""Memories of reference images as a file: whole or not at all, and taken only where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zsad.backbones.clip import state_digest
from zsad.detect.memories import ReferenceFacts, Remembered
from zsad.detect.record import Record
from zsad.errors import InputError
from zsad.files import atomic_write
from zsad.plugin.specs import PartKind

if TYPE_CHECKING:
    from zsad.detect.detector import Detector

METADATA_KEY = "zsad_memory"
"""The safetensors metadata entry that holds the card as JSON."""

BEFORE_MEMORY: tuple[PartKind, ...] = (
    "auxiliary",
    "attention_refiner",
    "feature_adapter",
    "reference_store",
)
"""The parts that an image passes on its way into a memory."""

MEND = "make it again with 'zsad remember' and what this run is asked for"


class ClassCard(Record):
    """What is known of the memory of one class.

    Attributes:
        class_name: The class; empty for the memory of every class.
        sha256: Hash of its tensors.
        references: The images.
    """

    class_name: str
    sha256: str
    references: tuple[ReferenceFacts, ...]


class MemoryCard(Record):
    """What is known of a file of memories.

    Attributes:
        format: Of the file.
        method: The method that it was made by; others that agree in ``made_by`` may take it.
        made_by: All that decides what is remembered of an image, by what it is called.
        shots: How many references were drawn of each class, or None where all were taken.
        seed: By which they were drawn.
        classes: What it holds.
    """

    format: Literal[1] = 1
    method: str
    made_by: dict[str, str]
    shots: int | None
    seed: int
    classes: tuple[ClassCard, ...]


def made_by(detector: Detector) -> dict[str, str]:
    """Return all that decides what a detector remembers of an image, by what it is called."""
    recipe = detector.recipe
    profile = recipe.profile.model_dump(exclude={"injected"})
    readout = recipe.as_dict()["readout"]
    parts = [part for kind in BEFORE_MEMORY for part in recipe.of_kind(kind)]
    options = {
        f"{part.key}.{name}": str(value)
        for part in parts
        for name, value in part.described()["options"].items()
    }
    learned = {
        name: tensor for name, tensor in detector.parts.state_dict().items() if name.startswith(BEFORE_MEMORY)
    }
    return {
        "backbone": detector.backbone.sha256,
        "image size": str(recipe.image_size),
        **{name.replace("_", " "): str(value) for name, value in profile.items()},
        **{f"readout.{name}": str(value) for name, value in readout.items()},
        **{part.key: part.spec.name for part in parts},
        **options,
        "learned weights": state_digest(learned),
    }


def save_memories(
    path: Path,
    detector: Detector,
    memories: Mapping[str, Remembered],
    *,
    shots: int | None = None,
    seed: int = 0,
) -> None:
    """Write memories into one file.

    Args:
        path: The file to write or replace.
        detector: What made them.
        memories: By the noun of their class.
        shots: How many references were drawn of each class, or None where all were taken.
        seed: By which they were drawn.

    Raises:
        ZsadError: The folder cannot be written to.
    """
    tensors: dict[str, Tensor] = {}
    cards = []
    for number, (name, found) in enumerate(sorted(memories.items())):
        buffers = {key: tensor.detach().cpu().contiguous() for key, tensor in found.buffers.items()}
        # Two names of one storage would be written once.
        tensors |= {f"{number}.{key}": tensor.clone() for key, tensor in buffers.items()}
        cards.append(ClassCard(class_name=name, sha256=state_digest(buffers), references=found.references))
    card = MemoryCard(
        method=detector.recipe.method,
        made_by=made_by(detector),
        shots=shots,
        seed=seed,
        classes=tuple(cards),
    )
    serialized = save(tensors, metadata={METADATA_KEY: card.model_dump_json()})
    atomic_write(path, lambda stream: stream.write(serialized))


def load_memories(path: Path, detector: Detector) -> dict[str, Remembered]:
    """Read the memories of a file, by class.

    Args:
        path: From :func:`save_memories`.
        detector: What reads them. Its scorer and what follows may be others than those that they were made
            with; all that an image passes on its way into a memory has to be the same.

    Raises:
        InputError: It is no file of memories, damaged, or made otherwise than this detector makes them.
    """
    card = read_memory_card(path)
    method = detector.recipe.method
    if detector.store is None:
        raise InputError(f"method '{method}' takes no reference images; leave --memory {path} out")
    now = made_by(detector)
    for what in (*now, *card.made_by):
        before, after = card.made_by.get(what), now.get(what)
        if before != after:
            raise InputError(
                f"{path} was made with {what} {_short(before)}, this run has {_short(after)}; {MEND}"
            )
    found = {}
    with safe_open(path, framework="pt") as file:
        for number, entry in enumerate(card.classes):
            prefix = f"{number}."
            buffers = {
                name.removeprefix(prefix): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118 (the file itself is not iterable)
                if name.startswith(prefix)
            }
            if state_digest(buffers) != entry.sha256:
                raise InputError(f"{path} is damaged: it does not hold what its card says; {MEND}")
            device = detector.backbone.device
            on_device = {name: tensor.to(device) for name, tensor in buffers.items()}
            found[entry.class_name] = Remembered(on_device, entry.references)
    return found


def read_memory_card(path: Path) -> MemoryCard:
    """Read the card of a file of memories.

    Raises:
        InputError: It is none, or of a newer zsad.
    """
    if not path.is_file():
        raise InputError(f"there is no memory file {path}; 'zsad remember' makes one")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is no memory file, or damaged ({error}); 'zsad remember' makes one"
        ) from error
    if text is None:
        raise InputError(f"{path} holds no memory of reference images; 'zsad remember' makes one")
    try:
        return MemoryCard.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise InputError(f"the card of {path} is not readable: {where}: {problem['msg']}") from error


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return f"{value[:12]}..." if len(value) == 64 and value.isalnum() else value
