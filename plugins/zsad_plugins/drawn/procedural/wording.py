"""The words of captions: states, photo templates, and what each defect is called."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

NORMAL_STATES = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
    "normal {}",
    "intact {}",
    "undamaged {}",
    "good {}",
    "clean {}",
    "{} in good condition",
)
"""The first seven are WinCLIP's."""

ABNORMAL_STATES = (
    "damaged {}",
    "{} with flaw",
    "{} with defect",
    "{} with damage",
    "broken {}",
    "defective {}",
    "abnormal {}",
    "faulty {}",
    "imperfect {}",
    "anomalous {}",
    "{} with an anomaly",
)
"""The first four are WinCLIP's."""

TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a {}",
    "a photo of the {}",
    "a {}",
    "the {}",
    "{}",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a cropped photo of a {}.",
    "a cropped photo of the {}.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for visual inspection.",
    "a photo of a {} for anomaly detection.",
    "a photo of the {} for anomaly detection.",
    "a photo of my {}.",
    "there is a {} in the scene.",
    "this is a {} in the scene.",
    "an image of a {}",
    "a picture of a {}",
)
"""Templates that are true of any image."""

LOOKS = ("bright", "dark", "blurry", "jpeg corrupted", "small", "large")
"""Words of templates that are used where they are true of the image."""

LOOK_TEMPLATES = ("a {look} photo of a {}.", "a {look} photo of the {}.")
SIZE_TEMPLATES = ("a photo of a {look} {}.", "a photo of the {look} {}.")


PLURAL_NOUNS = frozenset({"capsules", "pills", "tubes"})
"""Nouns of families that name several things: no "a", and "are" instead of "is"."""

MASS_NOUNS = frozenset(
    {
        "asphalt",
        "chewinggum",
        "cloth",
        "concrete",
        "fabric",
        "gum",
        "leather",
        "macaroni",
        "marble",
        "pasta",
        "skin",
        "steel",
        "stone",
        "tissue",
        "wallpaper",
        "wood",
    }
)
"""Last words of nouns that name a stuff: no "a"."""


class DefectWords(NamedTuple):
    """What a defect is called.

    Attributes:
        before: Adjectives, said before the noun.
        after: Noun phrases, said after "with"; one that stands twice is drawn twice as often.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]


DEFECT_WORDS: Mapping[str, DefectWords] = MappingProxyType(
    {
        "scratch": DefectWords(
            ("scratched", "scraped"),
            ("a scratch", "scratches", "a long scratch", "a scratched surface", "a line"),
        ),
        "crack": DefectWords(("cracked", "fractured"), ("a crack", "cracks", "a fracture", "a long crack")),
        "cut": DefectWords(("cut", "slit"), ("a cut", "cuts", "a slit", "a deep cut")),
        "wrinkle": DefectWords(
            ("wrinkled", "creased", "folded"), ("a wrinkle", "wrinkles", "a fold", "a crease", "folds")
        ),
        "stain": DefectWords(
            ("stained", "dirty", "spotted"),
            ("a stain", "stains", "a spot", "a liquid stain", "a dirty spot", "oil"),
        ),
        "discoloration": DefectWords(
            ("discolored", "discoloured", "faded"),
            (
                "a discoloration",
                "a color change",
                "a wrong color",
                "a discolored area",
                "a different colour",
                "color",
            ),
        ),
        "burn": DefectWords(
            ("burnt", "burned", "scorched", "charred"), ("a burn", "a burn mark", "burns", "a burnt area")
        ),
        "corrosion": DefectWords(
            ("rusty", "corroded", "rusted"), ("rust", "corrosion", "a rust spot", "oxidation")
        ),
        "abrasion": DefectWords(
            ("worn", "abraded", "rough"),
            ("an abrasion", "wear", "a worn area", "a rough surface", "an uneven surface"),
        ),
        "contamination": DefectWords(
            ("contaminated", "dusty", "dirty"),
            (
                "contamination",
                "particles",
                "a foreign particle",
                "dust",
                "dirt",
                "a fiber",
                "a hair",
                "foreign material",
                "an inclusion",
            ),
        ),
        "blob": DefectWords(
            ("bumpy", "swollen", "bulging"),
            ("a bump", "a lump", "a bulge", "glue", "a blob", "a protrusion", "extra material", "a burr"),
        ),
        "hole": DefectWords(
            ("punctured", "pierced"), ("a hole", "holes", "a puncture", "a large hole", "a poke")
        ),
        "pits": DefectWords(
            ("pitted", "porous"),
            ("pits", "a pit", "blowholes", "a blowhole", "pinholes", "pores", "small holes"),
        ),
        "dent": DefectWords(
            ("dented", "pressed", "squeezed"), ("a dent", "dents", "an indentation", "a press mark")
        ),
        "missing_part": DefectWords(
            ("incomplete", "broken"),
            ("a missing part", "a missing component", "missing parts", "something missing"),
        ),
        "chip": DefectWords(
            ("chipped", "broken"),
            ("a chip", "a broken edge", "a broken part", "a chipped edge", "a broken piece"),
        ),
        "bent": DefectWords(
            ("bent", "deformed", "distorted"),
            ("a bent part", "a deformation", "a distortion", "a bend", "a twist"),
        ),
        "misprint": DefectWords(
            ("misprinted", "smeared"),
            ("a misprint", "a faulty imprint", "a print error", "a wrong print", "smeared ink"),
        ),
        "broken_pattern": DefectWords(
            ("irregular", "misaligned", "broken"),
            (
                "a broken pattern",
                "an irregular pattern",
                "a wrong pattern",
                "a misaligned pattern",
                "a wrong structure",
            ),
        ),
        "fray": DefectWords(
            ("frayed", "torn"),
            ("loose threads", "a loose thread", "frayed fibers", "a thread", "fraying", "a tear"),
        ),
    }
)

SPECIAL_WORDS: Mapping[tuple[str, str], DefectWords] = MappingProxyType(
    {
        ("mucosa", "blob"): DefectWords(
            ("diseased", "abnormal"), ("a polyp", "a polyp", "polyps", "a growth", "a lesion", "a tumor")
        ),
        ("mucosa", "discoloration"): DefectWords(
            ("inflamed", "diseased"), ("a lesion", "an inflammation", "a discoloration")
        ),
        ("mucosa", "hole"): DefectWords(("diseased", "abnormal"), ("an ulcer", "a hole", "a lesion")),
        ("brain", "blob"): DefectWords(
            ("diseased", "abnormal"), ("a tumor", "a tumour", "a lesion", "a mass")
        ),
        ("brain", "discoloration"): DefectWords(
            ("diseased", "abnormal"), ("a lesion", "a tumor", "bleeding")
        ),
        ("chest", "blob"): DefectWords(
            ("diseased", "abnormal"), ("a nodule", "a tumor", "a mass", "a lesion")
        ),
        ("chest", "discoloration"): DefectWords(
            ("diseased", "abnormal"), ("an opacity", "pneumonia", "a lesion")
        ),
        ("skin", "blob"): DefectWords(
            ("diseased", "abnormal"), ("a mole", "a tumor", "a wart", "a lesion", "a lump")
        ),
        ("skin", "discoloration"): DefectWords(
            ("diseased", "discolored"), ("a lesion", "a mole", "a melanoma", "a rash")
        ),
        ("skin", "cut"): DefectWords(("cut", "injured"), ("a wound", "a cut")),
        ("circuit_film", "missing_part"): DefectWords(
            ("broken", "open"), ("an open circuit", "a mouse bite", "a missing trace", "a missing part")
        ),
        ("circuit_film", "blob"): DefectWords(
            ("shorted", "defective"),
            ("a short", "a spur", "spurious copper", "a short circuit", "extra copper"),
        ),
        ("circuit_film", "hole"): DefectWords(
            ("punctured", "defective"), ("a pin hole", "a hole", "a mouse bite")
        ),
        ("steel", "discoloration"): DefectWords(
            ("discolored", "patchy"), ("patches", "a patch", "a discoloration")
        ),
        ("steel", "stain"): DefectWords(("stained", "patchy"), ("patches", "a stain", "rolled-in scale")),
        ("steel", "contamination"): DefectWords(
            ("contaminated",), ("an inclusion", "inclusions", "particles")
        ),
    }
)
"""Where a defect has names of its own on some family."""

ORGANIC_NORMAL_STATES = ("healthy {}", "normal {}", "{} without disease")

POSITIONS = (
    "top left",
    "top",
    "top right",
    "left",
    "center",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
"""Three rows of three, from the top left."""

POSITION_TEMPLATES = (
    "{caption} at the {position}",
    "{caption} in the {position}",
    "{caption} on the {position}",
)

MATERIAL_ADJECTIVES: Mapping[str, str] = MappingProxyType(
    {"wood": "wooden", "food": "", "tissue": "", "circuit board": ""}
)
"""The material before a noun where it is not the material's own name; empty: not said."""
