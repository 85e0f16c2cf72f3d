"""Procedural images of objects and materials with and without defects: drawn, not photographed.

>>> from zsad.data import procedural
>>> drawn = procedural.generate(0, 7, size=64, families=["leather"], defects=["scratch"], anomalous=True)
>>> drawn.image.shape, drawn.defect
((64, 64, 3), 'scratch')
"""

from zsad.data.procedural.captions import captions, captions_vocabulary, defect_phrases
from zsad.data.procedural.catalogue import FAMILIES, HELD_OUT_FAMILIES, TRAINING_FAMILIES
from zsad.data.procedural.generation import (
    ProceduralImage,
    generate,
    generate_combined,
    generate_pair,
)
from zsad.data.procedural.repertoire import DEFECTS, HELD_OUT_DEFECTS, TRAINING_DEFECTS
from zsad.data.procedural.selection import plausible_defects

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
