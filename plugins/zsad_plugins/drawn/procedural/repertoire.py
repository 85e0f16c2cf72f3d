"""The types of defects: which function makes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Field
from zsad_plugins.drawn.procedural.defects import form, lines, marks, matter
from zsad_plugins.drawn.procedural.scene import Scene

Damage = Callable[[np.random.Generator, Scene, float], Field]

REPERTOIRE: Mapping[str, Damage] = MappingProxyType(
    {
        "scratch": lines.scratch,
        "crack": lines.crack,
        "cut": lines.cut,
        "wrinkle": lines.wrinkle,
        "stain": marks.stain,
        "discoloration": marks.discoloration,
        "burn": marks.burn,
        "corrosion": marks.corrosion,
        "abrasion": marks.abrasion,
        "contamination": matter.contamination,
        "blob": matter.blob,
        "hole": matter.hole,
        "pits": matter.pits,
        "dent": matter.dent,
        "missing_part": form.missing_part,
        "chip": form.chip,
        "bent": form.bent,
        "misprint": form.misprint,
        "broken_pattern": form.broken_pattern,
        "fray": form.fray,
    }
)

DEFECTS: tuple[str, ...] = tuple(REPERTOIRE)
"""Every type of defect."""

HELD_OUT_DEFECTS: tuple[str, ...] = ("cut", "burn")
"""Never drawn unless asked for by name: for the samples dataset and the held-out figures."""

TRAINING_DEFECTS: tuple[str, ...] = tuple(name for name in DEFECTS if name not in HELD_OUT_DEFECTS)
"""What is drawn when no defect is named."""
