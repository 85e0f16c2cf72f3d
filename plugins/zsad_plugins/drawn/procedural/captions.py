"""Captions in many wordings for normal images and for each defect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from zsad_plugins.drawn.procedural import wording
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE
from zsad_plugins.drawn.procedural.chance import chance, pick
from zsad_plugins.drawn.procedural.selection import known_defect, known_family

# A vowel that sounds as one: "a unit" and "a used part", but "an unblemished part".
_VOWEL_AFTER_A = re.compile(r"\ba(?= (?!uni[tfqv]|us[aeu]|eu|one\b)[aeiou])")

_ORGANIC = ("mucosa", "brain", "chest", "skin")


def captions(
    family: str,
    defect: str | None,
    rng: np.random.Generator,
    *,
    noun: str | None = None,
    material: str | None = None,
    position: str | None = None,
    looks: Sequence[str] = (),
    specific: float = 0.75,
) -> str:
    """Return one caption, each call another wording.

    Args:
        family: Name of the family.
        defect: Type of the defect, or None for a normal image.
        rng: Source of randomness.
        noun: What the object is called; drawn from the family's nouns if not given. One that no family has
            is taken for a thing that can be counted, and for one of them.
        material: Material, one of `MATERIALS`, said in some captions.
        position: Where the defect lies, one of ``wording.POSITIONS``, said in some captions.
        looks: Words of ``wording.LOOKS`` that are true of the image.
        specific: Share of captions that name the defect; the others say "damaged", "with defect" and so on.

    Returns:
        The caption, in lower case.

    Raises:
        InputError: If the family or the defect does not exist.
    """
    spec = CATALOGUE[known_family(family)]
    name = noun if noun is not None else pick(rng, spec.nouns)
    adjective = wording.MATERIAL_ADJECTIVES.get(material, material) if material else ""
    if any(word in name for word in MATERIALS):
        adjective = ""
    if adjective and chance(rng, 0.25):
        name = f"{adjective} {name}"
    elif adjective and chance(rng, 0.06):
        name = f"{name} made of {material}"
    if spec.full_frame and "surface" not in name and chance(rng, 0.12):
        name = f"{name} surface"
    subject = _normal(rng, family, name) if defect is None else _abnormal(rng, family, defect, name, specific)
    text = _framed(_template(rng, looks), subject, name.partition(" made of ")[0])
    if defect is not None and position is not None and chance(rng, 0.2):
        template = pick(rng, wording.POSITION_TEMPLATES)
        text = template.format(caption=text.rstrip("."), position=position)
    return text


def defect_phrases(family: str, defect: str) -> wording.DefectWords:
    """Return what a defect is called on a family.

    Raises:
        InputError: If the family or the defect does not exist.
    """
    key = (known_family(family), known_defect(defect))
    return wording.SPECIAL_WORDS.get(key, wording.DEFECT_WORDS[defect])


def captions_vocabulary() -> set[str]:
    """Return every word that can occur in a caption: lower case, hyphens kept, no other punctuation."""
    texts: list[str] = [*wording.NORMAL_STATES, *wording.ABNORMAL_STATES, *wording.ORGANIC_NORMAL_STATES]
    texts += [*wording.TEMPLATES, *wording.LOOK_TEMPLATES, *wording.SIZE_TEMPLATES, *wording.LOOKS]
    texts += [*wording.POSITIONS, *wording.POSITION_TEMPLATES, "made of surface on there is are these an"]
    texts += [*wording.MATERIAL_ADJECTIVES.values(), *MATERIALS]
    for spec in CATALOGUE.values():
        texts += [*spec.nouns, spec.material]
    for words in (*wording.DEFECT_WORDS.values(), *wording.SPECIAL_WORDS.values()):
        texts += [*words.before, *words.after]
    return set(words_of(texts))


def words_of(texts: Iterable[str]) -> Iterable[str]:
    """Yield the words of texts as `captions_vocabulary` counts them; places in braces are left out."""
    for text in texts:
        yield from re.findall(r"[a-z]+(?:-[a-z]+)*", re.sub(r"\{\w*\}", " ", text.lower()))


MATERIALS = (
    "leather",
    "skin",
    "carpet",
    "fabric",
    "paper",
    "wood",
    "stone",
    "concrete",
    "asphalt",
    "plastic",
    "metal",
    "rubber",
    "glass",
    "wax",
    "ceramic",
    "food",
    "tissue",
    "circuit board",
)
"""Every material an image can report."""


def _normal(rng: np.random.Generator, family: str, name: str) -> str:
    if family in _ORGANIC and chance(rng, 0.3):
        return pick(rng, wording.ORGANIC_NORMAL_STATES).format(name)
    states = wording.NORMAL_STATES[:7] if chance(rng, 0.7) else wording.NORMAL_STATES
    return pick(rng, states).format(name)


def _abnormal(rng: np.random.Generator, family: str, defect: str, name: str, specific: float) -> str:
    words = defect_phrases(family, defect)
    if not chance(rng, specific):
        states = wording.ABNORMAL_STATES[:4] if chance(rng, 0.65) else wording.ABNORMAL_STATES
        return pick(rng, states).format(name)
    if chance(rng, 0.35):
        return f"{pick(rng, words.before)} {name}"
    phrase = pick(rng, words.after)
    if chance(rng, 0.85):
        return f"{name} with {phrase}"
    several = phrase.endswith("s") and not phrase.startswith(("a ", "an "))
    return f"{name}, there {'are' if several else 'is'} {phrase} on the {name}"


def _template(rng: np.random.Generator, looks: Sequence[str]) -> str:
    if looks and chance(rng, 0.3):
        look = pick(rng, looks)
        templates = wording.SIZE_TEMPLATES if look in ("small", "large") else wording.LOOK_TEMPLATES
        return pick(rng, templates).replace("{look}", look)
    return pick(rng, wording.TEMPLATES)


def _framed(template: str, subject: str, name: str) -> str:
    """Return the subject in a template, with the article and the verb that its noun ``name`` asks for."""
    head = name.rpartition(" ")[2]
    if head in wording.PLURAL_NOUNS:
        template = template.replace("there is ", "there are ").replace("this is ", "these are ")
    if head in wording.PLURAL_NOUNS or head in wording.MASS_NOUNS:
        template = re.sub(r"\ba ((?:small |large )?\{\})", r"\1", template)
    return _VOWEL_AFTER_A.sub("an", template.format(subject))
