"""From a recipe and a backbone's facts to a resolved recipe: every value known, every need met.

Runs before any weight is loaded, and without torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.plugin.specs import PART_KINDS, PartKind, PartSpec
from zsad.recipe.overrides import apply_overrides, changes_parts
from zsad.recipe.profiles import Readout, TextProfile, TowerProfile
from zsad.recipe.recipes import (
    Fidelity,
    PartChoice,
    PartChoices,
    Recipe,
    first_problem,
    for_backbone,
    recipe_dict,
    validate_recipe,
)
from zsad.recipe.settings import LISTS, NO_SETTINGS, Settings


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
        image_size: Side of the square input.
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
        return any(part.spec.batch_dependent for part in self.parts)

    @property
    def two_phase(self) -> bool:
        """Whether a whole scope has to be seen before it can be answered."""
        return any(part.spec.two_phase for part in self.parts)

    @property
    def transductive(self) -> bool:
        """Whether a part learns from the unlabelled test images."""
        return any(part.spec.transductive for part in self.parts)

    def setting(self, *, trained: bool) -> str:
        """Return the three axes of the setting, computed from the parts and the weights.

        Args:
            trained: Whether learned weights, of the parts or of the backbone, saw anomaly labels.
        """
        training = "auxiliary-trained" if trained else "training-free"
        scope = "transductive" if self.transductive else "inductive"
        return f"{training} / {scope} / zero-shot"

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
            "parts": [
                {
                    "kind": part.kind,
                    "use": part.spec.name,
                    "options": part.options.model_dump(mode="json") if part.options else {},
                }
                for part in self.parts
            ],
        }

    @cached_property
    def hash(self) -> str:
        """Hash of :meth:`as_dict`, 16 hexadecimal digits."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve(
    host: Host,
    method: str,
    facts: BackboneFacts,
    *,
    overrides: Settings = NO_SETTINGS,
    image_size: int | None = None,
) -> ResolvedRecipe:
    """Resolve a method on a backbone.

    Raises:
        InputError: Unknown method, part or option; a requirement that nothing meets.
    """
    data = recipe_dict(host, method)
    published = validate_recipe(data, method)
    if published.on_backbone:
        data = for_backbone(data, facts.arch)
        published = validate_recipe(data, method)
    recipe = validate_recipe(apply_overrides(data, overrides), method) if overrides else published
    return resolve_recipe(
        host, method, recipe, facts, composed=changes_parts(published, recipe), image_size=image_size
    )


def resolve_recipe(
    host: Host,
    method: str,
    recipe: Recipe,
    facts: BackboneFacts,
    *,
    composed: bool,
    image_size: int | None = None,
) -> ResolvedRecipe:
    """Resolve a recipe, whichever way it came to be, on a backbone.

    Args:
        host: Knows the parts.
        method: Name under which the method was asked for.
        recipe: The recipe.
        facts: What has to be known of the backbone.
        composed: Whether it is no longer the method as published.
        image_size: Side of the square input in pixels, or None for the recipe's.

    Raises:
        InputError: Unknown part or option; a requirement that nothing meets.
    """
    recipe = recipe.model_copy(update={"parts": _with_companions(host, recipe.parts)})
    profile, text_profile, size = _numerics(recipe, facts)
    try:
        blocks = recipe.readout.blocks(facts.depth)
    except InputError as error:
        raise InputError(f"readout.taps of '{method}': {error}") from error
    parts = tuple(_resolve_parts(host, recipe.parts))
    check_compatibility(host, parts, facts.capabilities, recipe.readout)
    return ResolvedRecipe(
        method=method,
        recipe=recipe,
        fidelity="composed" if composed else recipe.fidelity,
        parts=parts,
        profile=profile,
        text_profile=text_profile,
        blocks=blocks,
        image_size=image_size or recipe.image_size or size,
    )


BATCH_KINDS = ("auxiliary", "attention_refiner", "feature_adapter", "prompt_learner", "prompt_conditioner")
"""Parts whose results are kept for one batch only."""


def check_compatibility(
    host: Host, parts: Sequence[ResolvedPart], capabilities: frozenset[str], readout: Readout
) -> None:
    """Check that the backbone or an earlier part provides what each part requires.

    Behind a two-phase part nothing is left of a single batch: tokens and side inputs are gone.

    Raises:
        InputError: Names the part, the requirement, and a part that would meet it.
    """
    kinds = {part.kind for part in parts}
    if "prompt_conditioner" in kinds and "prompt_learner" not in kinds:
        raise InputError("this recipe has a prompt_conditioner, but no prompt_learner for it to edit")
    available, of_batch = set(capabilities), set[str]()
    read = {"patch_tokens", f"tokens:{readout.stage}"}
    if "attention_refiner" not in kinds:
        available |= read
        of_batch |= read
    for part in parts:
        for need in sorted(part.spec.requires - available):
            if need in of_batch:
                raise InputError(
                    f"part '{part.spec.name}' ({part.kind}) requires '{need}', of which nothing is kept "
                    "behind a two-phase part; put it before that one"
                )
            raise InputError(
                f"part '{part.spec.name}' ({part.kind}) requires '{need}', which neither the backbone nor an "
                f"earlier part provides{_who_provides(host, need)}"
            )
        available |= part.spec.provides
        if part.kind in BATCH_KINDS:
            of_batch |= part.spec.provides
        if "patch_tokens" in part.spec.provides:
            available |= read
            of_batch |= read
        if part.spec.two_phase:
            available -= of_batch
    for end in ("anomaly_map", "image_score"):
        if end not in available:
            raise InputError(f"no part of this recipe provides '{end}'{_who_provides(host, end)}")


def _who_provides(host: Host, need: str) -> str:
    names = [
        f"'{name}' ({claim.spec.kind})" for name, claim in host.parts.items() if need in claim.spec.provides
    ]
    return f"; {', '.join(names[:3])} would" if names else ""


def _resolve_parts(host: Host, choices: PartChoices) -> Iterator[ResolvedPart]:
    for kind in PART_KINDS:
        for choice in choices.of_kind(kind):
            spec = host.parts.get(choice.use).spec
            if spec.kind != kind:
                raise InputError(f"part '{choice.use}' is a {spec.kind} and cannot be used as {kind}")
            yield ResolvedPart(kind, spec, part_options(spec, choice.options))


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
    """
    if model is None:
        if given:
            raise InputError(f"{owner} has no options, but '{next(iter(given))}' was given")
        return None
    form: type[BaseModel] = load_object(model)
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise InputError(f"option of {owner}: {first_problem(error, form)}") from error


def _with_companions(host: Host, choices: PartChoices) -> PartChoices:
    """Add the parts that chosen ones bring along, into empty places or at the end of lists."""
    before = None
    while choices != before:  # a companion may bring companions of its own
        before = choices
        for choice in before.chosen():
            for name in host.parts.get(choice.use).spec.companions:
                choices = _with_companion(host, choices, name, choice.use)
    return choices


def _with_companion(host: Host, choices: PartChoices, name: str, bringer: str) -> PartChoices:
    spec = host.parts.get(name).spec
    kind, present = spec.kind, choices.of_kind(spec.kind)
    if any(host.parts.get(choice.use).spec == spec for choice in present):
        return choices
    companion = PartChoice(use=name)
    if kind in LISTS:
        return choices.model_copy(update={kind: (*present, companion)})
    if present:
        raise InputError(
            f"part '{bringer}' brings '{name}' along, but the place {kind} is taken by '{present[0].use}'; "
            f"add --set {kind}={name}"
        )
    return choices.model_copy(update={kind: companion})


def _numerics(recipe: Recipe, facts: BackboneFacts) -> tuple[TowerProfile, TextProfile | None, int]:
    """Return vision profile, text profile and default image size."""
    official, choice = recipe.official, recipe.profile
    published_here = official is not None and any(fnmatch(facts.arch, p) for p in official.architectures)
    if choice.base == "official" and official is None:
        raise InputError(f"method '{recipe.name}' has no official profile; use --set profile=native")
    profile, text = facts.profile, facts.text_profile
    size = facts.image_size
    if official is not None and (choice.base == "official" or (choice.base == "auto" and published_here)):
        profile = profile.model_copy(update=official.vision.model_dump())
        text = text and text.model_copy(update=official.text.model_dump())
    if official is not None and published_here:
        size = official.image_size
    return (
        _overridden(profile, choice.activation, choice.position_embedding),
        _overridden_text(text, recipe),
        size,
    )


def _overridden(profile: TowerProfile, activation: str | None, position: str | None) -> TowerProfile:
    given = {"activation": activation, "position_embedding": position}
    return profile.model_copy(update={key: value for key, value in given.items() if value})


def _overridden_text(profile: TextProfile | None, recipe: Recipe) -> TextProfile | None:
    if profile is None:
        return None
    update: dict[str, Any] = {}
    if recipe.profile.activation:
        update["activation"] = recipe.profile.activation
    if recipe.profile.deep_prompt_cast:
        cast = recipe.profile.deep_prompt_cast
        update["deep_prompt_cast"] = None if cast == "none" else cast
    return profile.model_copy(update=update)
