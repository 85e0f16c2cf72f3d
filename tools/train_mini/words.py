"""What ``mini`` learns to read: states, templates, nouns and the names of defects.

States and templates of the published methods come from ``zsad_prompts``; here stands what goes beyond them.
Nouns of the public anomaly datasets that no procedural family shows are only ever used as the noun of a
state sentence: the towers learn that they are nouns, not what they look like.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

PLACEHOLDER = "X"
"""The word whose embeddings learned prompts replace."""

TEMPLATES = (
    "{}",
    "{}.",
    "a {}",
    "the {}",
    "a photo of {}",
    "a photo of my {}.",
    "a photo of a cool {}.",
    "a photo of the cool {}.",
    "a photo of one {}.",
    "a good photo of a {}.",
    "a good photo of the {}.",
    "a bad photo of a {}.",
    "a bad photo of the {}.",
    "a low resolution photo of a {}.",
    "a low resolution photo of the {}.",
    "a black and white photo of a {}.",
    "a black and white photo of the {}.",
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
    "an image of a {}",
    "a picture of a {}",
    "a close-up of a {}",
    "an inspection image of a {}",
    "a scan of a {}",
    "a microscope image of a {}",
    "an industrial photo of a {}",
    "a medical image of a {}",
    "a photo showing a {}",
)

NORMAL = (
    "{}",
    "normal {}",
    "good {}",
    "intact {}",
    "clean {}",
    "healthy {}",
    "undamaged {}",
    "regular {}",
    "faultless {}",
    "pristine {}",
    "new {}",
    "smooth {}",
    "uniform {}",
    "bare {}",
    "correct {}",
    "acceptable {}",
    "{} in good condition",
    "{} in perfect condition",
    "{} without any anomaly",
    "{} without anomalies",
    "{} without defects",
    "{} without scratches",
    "{} without lesion",
    "{} with no defect",
    "{} with no damage",
    "{} with no flaw",
    "{} with nothing wrong",
    "{} free of defects",
    "{} that is complete and intact",
    "{} as it should be",
)

ABNORMAL = (
    "defective {}",
    "abnormal {}",
    "anomalous {}",
    "broken {}",
    "faulty {}",
    "flawed {}",
    "bad {}",
    "imperfect {}",
    "blemished {}",
    "unhealthy {}",
    "diseased {}",
    "unusual {}",
    "irregular {}",
    "rejected {}",
    "{} with an anomaly",
    "{} with anomalies",
    "{} with defects",
    "{} with a defect",
    "{} with a flaw",
    "{} with a fault",
    "{} with a blemish",
    "{} with an abnormality",
    "{} with an abnormal region",
    "{} with a lesion",
    "{} with a tumor",
    "{} with a polyp",
    "{} with something wrong",
    "{} in bad condition",
    "damaged part of the {}",
    "defect on the {}",
    "anomaly on the {}",
    "flaw in the {}",
    "a defect",
    "damage",
    "an anomaly",
)

NOUNS = (
    # MVTec AD
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal nut", "pill", "screw"),
    *("tile", "toothbrush", "transistor", "wood", "zipper"),
    # VisA
    *("candle", "capsules", "cashew", "chewing gum", "chewinggum", "fryum", "macaroni", "macaroni1"),
    *("macaroni2", "pcb", "pcb1", "pcb2", "pcb3", "pcb4", "pipe fryum", "printed circuit board"),
    # BTAD, MPDD, KolektorSDD, DAGM, DTD-Synthetic, MTD, Real-IAD, MVTec LOCO and AD 2, ELPV
    *("01", "02", "03", "product", "bracket", "black bracket", "brown bracket", "white bracket", "connector"),
    *("metal plate", "tubes", "electrical commutator", "commutator", "metal surface", "texture", "surface"),
    *(
        "woven",
        "stratified",
        "blotchy",
        "matted",
        "mesh",
        "perforated",
        "fibrous",
        "marbled",
        "magnetic tile",
    ),
    *("audiojack", "bottle cap", "button battery", "end cap", "eraser", "fire hood", "mint", "mounts"),
    *("phone battery", "plastic nut", "plastic plug", "porcelain doll", "regulator", "rolled strip base"),
    *("sim card set", "switch", "tape", "terminal block", "toothbrush", "toy", "toy brick", "usb"),
    *("usb adaptor", "u block", "vcpill", "wooden beads", "woodstick", "breakfast box", "juice bottle"),
    *("pushpins", "screw bag", "splicing connectors", "can", "fabric", "fruit jelly", "rice", "sheet metal"),
    *("vial", "wallplugs", "walnuts", "solar cell", "solar panel", "photovoltaic module"),
    # roads, steel, concrete, medical
    *(
        "road pavement",
        "road",
        "asphalt",
        "pavement",
        "concrete",
        "wall",
        "bridge deck",
        "steel",
        "steel strip",
    ),
    *("steel surface", "rail", "brain", "brain mri", "head ct", "liver", "liver ct", "retina", "chest"),
    *("chest x-ray", "lung", "colon", "skin", "thyroid", "tissue", "organ", "breast", "spine", "knee", "eye"),
    # what people bring
    *("object", "item", "thing", "part", "component", "piece", "workpiece", "device", "material", "specimen"),
    *("sample", "image", "photo", "plate", "panel", "sheet", "film", "foil", "coating", "paint", "paper"),
    *("cardboard", "box", "package", "label", "sticker", "print", "pattern", "cloth", "textile", "yarn"),
    *("thread", "rope", "wire", "cord", "hose", "pipe", "tube", "ring", "washer", "nut", "bolt", "nail"),
    *("gear", "bearing", "spring", "valve", "pump", "engine", "wheel", "tire", "casting", "weld", "joint"),
    *("brick", "stone", "marble", "granite", "ceramic", "glass", "mirror", "lens", "window", "door", "floor"),
    *("table", "chip", "wafer", "circuit", "resistor", "capacitor", "battery", "screen", "display", "phone"),
    *(
        "keyboard",
        "plastic",
        "rubber",
        "foam",
        "sponge",
        "apple",
        "orange",
        "banana",
        "fruit",
        "leaf",
        "plant",
    ),
    *("egg", "bread", "cookie", "biscuit", "chocolate", "candy", "pasta", "meat", "fish", "tablet", "pills"),
    *("syringe", "tooth", "bone", "cell", "cup", "mug", "plate", "spoon", "fork", "knife", "coin", "button"),
    *("shoe", "shirt", "bag", "car", "vehicle", "aircraft", "turbine blade", "blade", "tool", "machine"),
)

POSITIONS = (
    ("top left", "top", "top right"),
    ("left", "center", "right"),
    ("bottom left", "bottom", "bottom right"),
)


@dataclass(frozen=True)
class Phrases:
    """State sentences and templates, ``{}`` marking the object."""

    templates: tuple[str, ...]
    normal: tuple[str, ...]
    abnormal: tuple[str, ...]


def phrases() -> Phrases:
    """Return the phrases of this module and of every file in ``zsad_prompts``."""
    found: dict[str, list[str]] = {
        "templates": list(TEMPLATES),
        "normal": list(NORMAL),
        "abnormal": list(ABNORMAL),
    }
    for data in _prompt_files():
        for key, kept in found.items():
            listed = data.get(key, ()) if isinstance(data, dict) else ()
            kept += [text for text in listed if isinstance(text, str)]
    return Phrases(*(tuple(dict.fromkeys(kept)) for kept in found.values()))


def prompt_texts() -> tuple[str, ...]:
    """Return every string in ``zsad_prompts``, apart from the sources: their words get embeddings."""
    return tuple(dict.fromkeys(text for data in _prompt_files() for text in _strings(data)))


def _prompt_files() -> Iterator[Any]:
    for entry in sorted(files("zsad_prompts").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            yield yaml.safe_load(entry.read_text(encoding="utf-8"))


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            if key not in ("source", "licence"):
                yield str(key)
                yield from _strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value)
