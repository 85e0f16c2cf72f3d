"""What is remembered of reference images, by class, and what it was made of. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from zsad.data.nouns import noun_of
from zsad.detect.record import Record
from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.parts import Memory

EVERY_CLASS = ""
"""The class of references that stand for all classes without references of their own."""


class ReferenceFacts(Record):
    """What is known of one reference image.

    Attributes:
        name: The file, or which of several given images it is.
        content: sha256 of the file, or of the pixels of an image that is no file.
        mask: sha256 of the mask of an abnormal reference, None for a normal one.
    """

    name: str
    content: str
    mask: str | None = None


@dataclass(frozen=True)
class Remembered:
    """The memory of one class, with what it was made of.

    Attributes:
        buffers: What the reference store keeps.
        references: The images, normal ones first.
    """

    buffers: Memory
    references: tuple[ReferenceFacts, ...]

    @property
    def shots(self) -> int:
        """Number of normal references."""
        return sum(facts.mask is None for facts in self.references)

    @cached_property
    def digest(self) -> str:
        """Hash of the references, whatever their names and their order; 16 hexadecimal digits."""
        return references_digest(self.references)


def references_digest(references: tuple[ReferenceFacts, ...]) -> str:
    """Return a hash of what references hold, whatever their names and their order; 16 hexadecimal digits."""
    held = sorted([facts.content, facts.mask or ""] for facts in references)
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]


def class_among(names: Collection[str], class_name: str) -> str | None:
    """Return the name by which a class goes among others, or None where it has none.

    That is its own name, the only one that prompts call the same, or ``EVERY_CLASS``.

    Args:
        names: Names of classes, or ``EVERY_CLASS``.
        class_name: Name or noun of the class.
    """
    if class_name in names:
        return class_name
    alike = [name for name in names if name and noun_of(name) == noun_of(class_name)]
    if len(alike) == 1:
        return alike[0]
    return EVERY_CLASS if EVERY_CLASS in names and not alike else None


def memory_of(memories: Mapping[str, Remembered], class_name: str, method: str) -> Remembered:
    """Return what is remembered for a class: its own memory, or the one for every class.

    Args:
        memories: By class.
        class_name: Name or noun of the class.
        method: Whose memories they are, for the message.

    Raises:
        InputError: There is neither, or several classes are called so.
    """
    if not memories:
        raise InputError(needs_references(method))
    name = class_among(memories, class_name)
    if name is None:
        raise InputError(
            f"method '{method}' has no reference images of class '{class_name}' (it has some of "
            f"{', '.join(sorted(memories))}); name one of these by --class-name, or give references of it"
        )
    return memories[name]


def needs_references(method: str) -> str:
    """Return the sentence for a method that was given no references."""
    return (
        f"method '{method}' needs reference images: give --reference DIR or --memory FILE "
        "(in Python, detector.remember(images))"
    )
