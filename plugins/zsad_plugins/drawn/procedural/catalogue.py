"""The families of images: how each is drawn, what it is called, which defects it can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Canvas
from zsad_plugins.drawn.procedural.families import (
    electronics,
    fasteners,
    food,
    household,
    pharmacy,
    prints,
    sheets,
    tissue,
)
from zsad_plugins.drawn.procedural.scene import Scene

Draw = Callable[[np.random.Generator, Canvas], Scene]

_ANYWHERE = (
    "scratch",
    "crack",
    "hole",
    "stain",
    "contamination",
    "discoloration",
    "blob",
    "pits",
    "burn",
    "cut",
)
_OBJECT = (*_ANYWHERE, "chip", "missing_part", "bent", "abrasion")
_METAL = (*_ANYWHERE, "dent", "corrosion", "abrasion")
_METAL_OBJECT = (*_METAL, "chip", "missing_part", "bent")
_SOFT = (*_ANYWHERE, "wrinkle", "abrasion")
_CLOTH = (*_SOFT, "fray", "broken_pattern", "bent")
_MINERAL = (*_ANYWHERE, "chip", "abrasion")
_SCAN = ("blob", "discoloration")


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of image.

    Attributes:
        draw: Draws a scene without a defect.
        nouns: What captions call it, the usual name first; one that stands twice is drawn twice as often.
        material: Its material in captions where the drawing does not choose one.
        defects: The defects that make sense on it.
        weight: How often it is drawn, relative to the others.
        full_frame: True for a material from edge to edge.
    """

    draw: Draw
    nouns: tuple[str, ...]
    material: str
    defects: tuple[str, ...]
    weight: float = 1.0
    full_frame: bool = False


def _sheet(
    draw: Draw, nouns: tuple[str, ...], material: str, defects: tuple[str, ...], weight: float = 1.5
) -> Family:
    return Family(draw, nouns, material, defects, weight, full_frame=True)


CATALOGUE: Mapping[str, Family] = MappingProxyType(
    {
        "bolt": Family(fasteners.bolt, ("screw", "bolt", "metal screw"), "metal", _METAL_OBJECT),
        "nut": Family(fasteners.nut, ("metal nut", "metal nut", "hex nut", "nut"), "metal", _METAL_OBJECT),
        "washer": Family(fasteners.washer, ("washer", "metal ring", "metal part"), "metal", _METAL_OBJECT),
        "gear": Family(fasteners.gear, ("gear", "gear wheel"), "metal", _METAL_OBJECT),
        "gasket": Family(fasteners.gasket, ("ring", "seal", "gasket"), "rubber", _OBJECT),
        "bracket": Family(
            fasteners.bracket,
            ("bracket", "metal bracket", "bracket black", "bracket brown", "bracket white"),
            "metal",
            _METAL_OBJECT,
        ),
        "capsule": Family(
            pharmacy.capsule, ("capsule", "capsules"), "plastic", (*_OBJECT, "misprint", "dent")
        ),
        "pill": Family(pharmacy.pill, ("pill", "tablet"), "food", (*_OBJECT, "misprint")),
        "blister": Family(
            pharmacy.blister, ("blister pack", "pills", "capsules"), "plastic", (*_OBJECT, "dent")
        ),
        "chewing_gum": Family(pharmacy.chewing_gum, ("chewing gum", "chewinggum", "gum"), "food", _OBJECT),
        "biscuit": Family(food.biscuit, ("biscuit", "cookie"), "food", _OBJECT),
        "fryum": Family(food.fryum, ("fryum", "fryum", "snack"), "food", _OBJECT),
        "pipe_fryum": Family(food.pipe_fryum, ("pipe fryum",), "food", _OBJECT),
        "macaroni": Family(food.macaroni, ("macaroni", "macaroni", "pasta"), "food", _OBJECT),
        "hazelnut": Family(food.hazelnut, ("hazelnut",), "food", _OBJECT),
        "cashew": Family(food.cashew, ("cashew",), "food", _OBJECT),
        "circuit_film": _sheet(
            electronics.circuit_film,
            ("pcb", "printed circuit board", "circuit board"),
            "circuit board",
            (
                "missing_part",
                "blob",
                "hole",
                "pits",
                "scratch",
                "crack",
                "misprint",
                "contamination",
                "stain",
            ),
            2.0,
        ),
        "circuit_board": Family(
            electronics.circuit_board,
            ("pcb", "printed circuit board", "circuit board"),
            "circuit board",
            (*_OBJECT, "misprint", "corrosion"),
            1.5,
        ),
        "transistor": Family(electronics.transistor, ("transistor",), "plastic", (*_OBJECT, "misprint")),
        "connector": Family(electronics.connector, ("connector", "plug"), "plastic", _OBJECT),
        "cable": Family(electronics.cable, ("cable", "wire", "cable"), "plastic", (*_OBJECT, "fray")),
        "bottle": Family(household.bottle, ("bottle",), "glass", _OBJECT),
        "brush": Family(
            household.brush, ("toothbrush", "brush"), "plastic", (*_OBJECT, "fray", "broken_pattern")
        ),
        "candle": Family(household.candle, ("candle",), "wax", (*_OBJECT, "dent")),
        "zipper": Family(household.zipper, ("zipper",), "fabric", (*_CLOTH, "missing_part")),
        "button": Family(household.button, ("button",), "plastic", _OBJECT),
        "coin": Family(household.coin, ("coin", "medal"), "metal", (*_METAL, "chip", "bent")),
        "tube": Family(household.tube, ("tube", "tubes", "pipe"), "metal", (*_METAL, "chip", "bent")),
        "label": Family(
            prints.label, ("label", "sticker", "print"), "paper", (*_OBJECT, "misprint", "wrinkle")
        ),
        "assembly": Family(
            prints.assembly,
            ("object", "object", "part", "product", "component", "item"),
            "plastic",
            (*_OBJECT, "dent", "misprint", "corrosion"),
            6.0,
        ),
        "printed_pattern": _sheet(
            prints.printed_pattern,
            ("printed pattern", "wallpaper", "product", "surface"),
            "paper",
            (*_SOFT, "misprint", "broken_pattern", "bent"),
        ),
        "smooth_surface": _sheet(
            prints.smooth_surface,
            ("surface", "surface", "object", "product"),
            "plastic",
            (*_METAL, "wrinkle"),
        ),
        "mat": _sheet(
            sheets.mat,
            ("mat", "surface", "product"),
            "rubber",
            (*_SOFT, "broken_pattern", "bent"),
        ),
        "leather": _sheet(sheets.leather, ("leather",), "leather", (*_SOFT, "dent"), 2.5),
        "wood": _sheet(sheets.wood, ("wood",), "wood", (*_ANYWHERE, "dent", "chip", "abrasion")),
        "carpet": _sheet(sheets.carpet, ("carpet",), "carpet", (*_ANYWHERE, "fray", "wrinkle")),
        "fabric": _sheet(sheets.fabric, ("fabric", "cloth", "textile"), "fabric", _CLOTH),
        "grid": _sheet(
            sheets.grid,
            ("grid", "grid", "mesh"),
            "metal",
            (
                "missing_part",
                "bent",
                "broken_pattern",
                "contamination",
                "fray",
                "blob",
                "corrosion",
                "cut",
                "burn",
            ),
        ),
        "tile": _sheet(sheets.tile, ("tile", "ceramic tile"), "ceramic", _MINERAL),
        "stone": _sheet(sheets.stone, ("stone", "marble", "surface"), "stone", _MINERAL),
        "concrete": _sheet(sheets.concrete, ("concrete", "wall", "pavement"), "concrete", _MINERAL, 2.0),
        "road": _sheet(sheets.road, ("road", "road", "pavement", "asphalt"), "asphalt", _MINERAL, 2.5),
        "metal_sheet": _sheet(
            sheets.metal_sheet, ("metal plate", "metal sheet", "surface"), "metal", _METAL, 2.5
        ),
        "steel": _sheet(sheets.steel, ("steel", "steel surface", "surface"), "metal", _METAL, 2.5),
        "magnetic_tile": _sheet(
            sheets.magnetic_tile,
            ("magnetic tile", "magnetic tile", "surface"),
            "metal",
            (*_METAL, "chip", "fray"),
            2.5,
        ),
        "mucosa": _sheet(
            tissue.mucosa, ("colon", "colon", "tissue"), "tissue", ("blob", "discoloration", "hole"), 3.0
        ),
        "skin": _sheet(
            tissue.skin, ("skin",), "skin", ("blob", "discoloration", "scratch", "pits", "cut", "burn")
        ),
        "brain": _sheet(tissue.brain, ("brain", "brain scan"), "tissue", _SCAN, 2.5),
        "chest": _sheet(tissue.chest, ("chest", "chest scan"), "tissue", _SCAN, 1.0),
    }
)

FAMILIES: tuple[str, ...] = tuple(CATALOGUE)
"""Every family."""

HELD_OUT_FAMILIES: tuple[str, ...] = ("gear", "biscuit", "button")
"""Never drawn unless asked for by name: for the samples dataset and the held-out figures."""

TRAINING_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)
"""What is drawn when no family is named."""
