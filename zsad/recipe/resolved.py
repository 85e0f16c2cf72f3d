"""A recipe on a backbone, with every value known, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.plugin.options import Options
from zsad.plugin.specs import PartKind, PartSpec
from zsad.recipe.profiles import TextProfile, TowerProfile
from zsad.recipe.recipes import LISTS, Fidelity, PartChoice, Recipe, first_problem


@dataclass(frozen=True)
class BackboneFacts:
    """What has to be known of a backbone to resolve a recipe on it."""

    arch: str
    depth: int
    image_size: int
    profile: TowerProfile
    text_profile: TextProfile | None
    capabilities: frozenset[str]


@dataclass(frozen=True)
class ResolvedPart:
    """A part with every option known.

    Attributes:
        kind: Its place in the recipe.
        spec: The plugin's description.
        options: The validated options, or None for a part without options.
    """

    kind: PartKind
    spec: PartSpec
    options: BaseModel | None

    @property
    def key(self) -> str:
        """Prefix of its parameters: the kind, or ``kind:plugin/part`` in places that hold a list."""
        return f"{self.kind}:{self.spec.name.replace('.', '/')}" if self.kind in LISTS else self.kind

    @property
    def requires(self) -> frozenset[str]:
        """What the backbone or an earlier part has to provide, with these options."""
        return self._with_options(self.spec.requires)

    @property
    def provides(self) -> frozenset[str]:
        """What later parts can require, with these options."""
        return self._with_options(self.spec.provides)

    @property
    def batch_dependent(self) -> bool:
        """Whether the result for one image depends on which others share its batch."""
        return self._said(self.spec.batch_dependent)

    @property
    def transductive(self) -> bool:
        """Whether the part learns from the unlabelled test images."""
        return self._said(self.spec.transductive)

    @property
    def abnormal_references(self) -> bool:
        """Whether a reference store needs abnormal references beside the normal ones."""
        return self._said(self.spec.abnormal_references)

    def described(self) -> dict[str, Any]:
        """Return kind, name and every option with its value, as plain data."""
        options = self.options.model_dump(mode="json") if self.options else {}
        return {"kind": self.kind, "use": self.spec.name, "options": options}

    def _with_options(self, words: Set[str]) -> frozenset[str]:
        values = dict(self.options) if self.options else {}
        return frozenset(word.format(**values) for word in words)

    def _said(self, value: bool | str) -> bool:
        return bool(getattr(self.options, value)) if isinstance(value, str) else value


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe on a backbone.

    Attributes:
        method: Method name as asked for.
        recipe: The recipe on this backbone, after overrides.
        fidelity: The recipe's, or ``composed`` where any part was overridden.
        parts: In the order of the data flow.
        profile: Vision numerics.
        text_profile: Text numerics, or None without a text tower.
        blocks: Tapped blocks, counted from 1.
        image_size: Side of the square input, or its short side.
    """

    method: str
    recipe: Recipe
    fidelity: Fidelity
    parts: tuple[ResolvedPart, ...]
    profile: TowerProfile
    text_profile: TextProfile | None
    blocks: tuple[int, ...]
    image_size: int

    def of_kind(self, kind: PartKind) -> tuple[ResolvedPart, ...]:
        """Return the parts of a kind, in order."""
        return tuple(part for part in self.parts if part.kind == kind)

    @property
    def learnable(self) -> tuple[ResolvedPart, ...]:
        """The parts with learned parameters."""
        return tuple(part for part in self.parts if part.spec.learnable)

    @property
    def batch_dependent(self) -> bool:
        """Whether an image's result depends on which others share its batch."""
        return any(part.batch_dependent for part in self.parts)

    @property
    def two_phase(self) -> bool:
        """Whether a whole scope has to be seen before it can be answered."""
        return any(part.spec.two_phase for part in self.parts)

    @property
    def transductive(self) -> bool:
        """Whether a part learns from the unlabelled test images."""
        return any(part.transductive for part in self.parts)

    @property
    def reference_store(self) -> ResolvedPart | None:
        """The part that remembers reference images, or None for a zero-shot method."""
        return next(iter(self.of_kind("reference_store")), None)

    def setting(self, *, trained: bool) -> str:
        """Return the three axes of the setting, computed from the parts and the weights.

        A method with a reference store answers nothing without references, and takes abnormal ones only
        where it needs them: what it is given follows from the part.

        Args:
            trained: Whether learned weights, of the parts or of the backbone, saw anomaly labels.
        """
        training = "auxiliary-trained" if trained else "training-free"
        scope = "transductive" if self.transductive else "inductive"
        store = self.reference_store
        if store is None:
            return f"{training} / {scope} / zero-shot"
        shots = "few-shot-normal-abnormal" if store.abnormal_references else "few-shot-normal"
        return f"{training} / {scope} / {shots}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything that decides the numbers, apart from weights, precision and image size."""
        return {
            "method": self.method,
            "fidelity": self.fidelity,
            "profile": self.profile.model_dump(exclude={"dtype"}),
            "text_profile": self.text_profile.model_dump() if self.text_profile else None,
            "readout": {
                "blocks": list(self.blocks),
                "stage": self.recipe.readout.stage,
                "cls_ln_post": self.recipe.readout.cls_ln_post,
            },
            "parts": [part.described() for part in self.parts],
        }

    @cached_property
    def hash(self) -> str:
        """Hash of :meth:`as_dict`, 16 hexadecimal digits."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolved_part(host: Host, choice: PartChoice) -> ResolvedPart:
    """Return a chosen part with every option known.

    Raises:
        InputError: Unknown part or option, or a wrong value.
    """
    spec = host.parts.get(choice.use).spec
    return ResolvedPart(spec.kind, spec, part_options(spec, choice.options))


def part_options(spec: PartSpec, given: dict[str, Any]) -> BaseModel | None:
    """Return a part's options with defaults filled in.

    Raises:
        InputError: Unknown option or wrong value; the sentence names both.
    """
    return validated_options(f"part '{spec.name}'", spec.options, given)


def validated_options(owner: str, model: str | None, given: dict[str, Any]) -> BaseModel | None:
    """Return the options of a part, a loss or a generator with defaults filled in.

    Args:
        owner: Whose they are, for the sentence.
        model: Import string of their model, or None where there are none.
        given: What was chosen.

    Raises:
        InputError: Unknown option or wrong value; the sentence names both.
        ZsadError: The model is none of options.
    """
    if model is None:
        if given:
            raise InputError(f"{owner} has no options, but '{next(iter(given))}' was given")
        return None
    form: type[Options] = load_object(model)
    if not (isinstance(form, type) and issubclass(form, Options)):
        raise ZsadError(f"{owner}: its options '{model}' are no subclass of zsad.plugin.options.Options")
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise InputError(f"option of {owner}: {first_problem(error, form)}") from error
