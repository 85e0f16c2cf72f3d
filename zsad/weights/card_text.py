"""The card of learned weights for people: as named values, as Markdown, as a repository's README."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import yaml

from zsad.backbones.card import TrainedOn
from zsad.files import write_text
from zsad.weights.file import WeightsFile, read_weights_file

FILE = "weights.md"
ORIGINS = {
    "authors": "converted from the authors' published checkpoint",
    "own": "own training",
    "none": "not learned",
}
TAGS = ("zsad", "anomaly-detection", "anomaly-segmentation", "zero-shot")
_ANY_BACKBONE, _ANY_ADAPTER = "BACKBONE", "ADAPTER"
_HUB_BACKBONE = "hf-hub:"


def card_fields(weights: WeightsFile) -> dict[str, str | None]:
    """Return what a card says, in words, by what it is about; None where it says nothing."""
    card = weights.card
    parts = [f"{key}: {name} ({weights.parameters[key]:,} values)" for key, name in card.parts.items()]
    profile = [f"{name.replace('_', ' ')} {value}" for name, value in card.profile.items() if value]
    return {
        "method": card.method,
        "learned parts": ", ".join(parts),
        "backbone": f"sha256 {card.backbone}" if card.backbone else "not stated",
        "vision profile": ", ".join(profile) or "not stated",
        "text activation": card.text_activation,
        "text adapter": card.text_adapter,
        "origin": ORIGINS[card.origin],
        "trained on": _trained_on(card.trained_on),
        "source": card.source,
        "size": size_words(weights.size),
        "sha256": weights.sha256,
    }


def size_words(size: int) -> str:
    """Return a number of bytes in binary units."""
    if size < 1024:
        return f"{size} bytes"
    value, unit = size / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if value >= 1024:
            value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def card_markdown(
    weights: WeightsFile, *, name: str | None, backbone: str | None = None, licence: str | None = None
) -> str:
    """Return the card as a page of Markdown.

    Args:
        weights: The file.
        name: What ``--weights`` is to be given; None for weights that their method finds by itself.
        backbone: Name of the backbone that they were learned on, where somebody knows it.
        licence: Licence of the weights, where somebody knows it.
    """
    card = weights.card
    fields = card_fields(weights) | {"licence": licence}
    if backbone and card.backbone:
        fields["backbone"] = f"{backbone} ({fields['backbone']})"
    elif backbone:
        fields["backbone"] = backbone
    rows = "\n".join(f"| {_escaped(key)} | {_escaped(value)} |" for key, value in fields.items() if value)
    blocks = [
        f"# Learned weights of {_escaped(card.method)}",
        "Learned parameters of a method of zero-shot anomaly detection, in the form that zsad reads. The "
        "file holds the parts named below and no backbone.",
        f"| | |\n|---|---|\n{rows}",
    ]
    if card.trained_on:
        sets = "\n".join(f"- {_escaped(_dataset(entry, every_class=True))}" for entry in card.trained_on)
        seen = "zsad marks an evaluation on data that these weights have seen as contaminated."
        blocks += ["## Trained on", sets, seen]
    adapter = card.profile.get("adapter") or card.text_adapter
    blocks += ["## Use", _usage(card.method, backbone, name, adapter is not None)]
    if not backbone:
        which = f"with the sha256 {card.backbone}" if card.backbone else "that they were learned on"
        blocks.append(f"{_ANY_BACKBONE} stands for the name of the backbone {which}.")
    if adapter is not None:
        blocks.append(f"{_ANY_ADAPTER} stands for the folder of the adapter {adapter} on the backbone.")
    blocks.append("Under another backbone or another vision profile the weights are refused.")
    return "\n\n".join(blocks) + "\n"


def write_card_markdown(path: Path) -> Path:
    """Write the card of a weights file as ``weights.md`` beside it.

    Returns:
        The file.

    Raises:
        InputError: Not a zsad weights file.
        ZsadError: The folder cannot be written to.
    """
    target = path.with_name(FILE)
    write_text(target, card_markdown(read_weights_file(path), name=path.name))
    return target


def model_card(
    weights: WeightsFile, *, name: str, backbone: str | None = None, licence: str | None = None
) -> str:
    """Return the README of a repository: the card as Markdown under the metadata that model hubs read.

    Args:
        weights: The file.
        name: What ``--weights`` is to be given.
        backbone: Name of the backbone; ``hf-hub:REPOSITORY`` is linked as the base model.
        licence: Identifier of the licence, such as ``apache-2.0``.
    """
    metadata = {
        "library_name": "zsad",
        "license": licence,
        "base_model": backbone.removeprefix(_HUB_BACKBONE)
        if backbone and backbone.startswith(_HUB_BACKBONE)
        else None,
        "backbone_sha256": weights.card.backbone,
        "tags": [*TAGS, weights.card.method],
    }
    head = yaml.safe_dump({key: value for key, value in metadata.items() if value}, sort_keys=False)
    text = card_markdown(weights, name=name, backbone=backbone, licence=licence)
    return f"---\n{head}---\n\n{text}"


def _trained_on(entries: tuple[TrainedOn, ...] | None) -> str:
    if entries is None:
        return "not stated"
    return "; ".join(_dataset(entry) for entry in entries) or "nothing"


def _dataset(entry: TrainedOn, *, every_class: bool = False) -> str:
    classes = entry.classes
    if classes is None:
        return f"{entry.dataset} (classes not stated)"
    if every_class:
        manifest = f" (manifest {entry.manifest})" if entry.manifest else ""
        return f"{entry.dataset}: {', '.join(classes)}{manifest}"
    return f"{entry.dataset} ({len(classes)} {'class' if len(classes) == 1 else 'classes'})"


def _usage(method: str, backbone: str | None, name: str | None, adapted: bool) -> str:
    options = {"backbone": backbone or _ANY_BACKBONE}
    options |= {"weights": name} if name else {}
    options |= {"adapter": _ANY_ADAPTER} if adapted else {}
    words = [word for option, value in options.items() for word in (f"--{option}", value)]
    shell = shlex.join(["zsad", "predict", "IMAGE", "--method", method, *words])
    given = ", ".join([json.dumps(method), *(f"{option}={json.dumps(v)}" for option, v in options.items())])
    call = f"import zsad\n\ndetector = zsad.load({given})"
    return f"```sh\n{_line(shell)}\n```\n\n```python\n{call}\n```"


def _line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """Return text on one line, in which Markdown and HTML see nothing of theirs."""
    line = _line(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*|\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", line)
