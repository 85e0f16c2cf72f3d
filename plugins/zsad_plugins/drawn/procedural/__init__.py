"""Procedural images of objects and materials with and without defects: drawn, not photographed.

>>> from zsad_plugins.drawn import procedural
>>> drawn = procedural.generate(0, 7, size=64, families=["leather"], defects=["scratch"], anomalous=True)
>>> drawn.image.shape, drawn.defect
((64, 64, 3), 'scratch')
"""

from zsad_plugins.drawn.procedural.captions import captions, captions_vocabulary, defect_phrases
from zsad_plugins.drawn.procedural.catalogue import FAMILIES, HELD_OUT_FAMILIES, TRAINING_FAMILIES
from zsad_plugins.drawn.procedural.generation import (
    ProceduralImage,
    generate,
    generate_combined,
    generate_pair,
)
from zsad_plugins.drawn.procedural.repertoire import DEFECTS, HELD_OUT_DEFECTS, TRAINING_DEFECTS
from zsad_plugins.drawn.procedural.selection import plausible_defects

__all__ = [
    "DEFECTS",
    "FAMILIES",
    "HELD_OUT_DEFECTS",
    "HELD_OUT_FAMILIES",
    "TRAINING_DEFECTS",
    "TRAINING_FAMILIES",
    "ProceduralImage",
    "captions",
    "captions_vocabulary",
    "defect_phrases",
    "generate",
    "generate_combined",
    "generate_pair",
    "plausible_defects",
]
