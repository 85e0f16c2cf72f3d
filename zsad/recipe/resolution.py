"""From a recipe and a backbone's facts to a resolved recipe: every value known, every need met.

Runs before any weight is loaded, and without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.plugin.specs import PART_KINDS
from zsad.recipe.compatibility import check_compatibility
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.profiles import SQUARE_INPUT, TextProfile, TowerProfile
from zsad.recipe.recipes import (
    LISTS,
    PartChoice,
    PartChoices,
    ProfileChoice,
    Recipe,
    for_backbone,
    recipe_dict,
    validate_recipe,
)
from zsad.recipe.resolved import BackboneFacts, ResolvedPart, ResolvedRecipe, resolved_part
from zsad.recipe.settings import NO_SETTINGS, Settings


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
    composed = recipe is not published and differs(host, published, recipe)
    return resolve_recipe(host, method, recipe, facts, composed=composed, image_size=image_size)


def differs(host: Host, before: Recipe, after: Recipe) -> bool:
    """Whether the parts, an option's value or the readout differ: then it is no longer the published method.

    Raises:
        InputError: Unknown part or option.
    """
    parts = (
        [part.described() for part in _resolve_parts(host, _with_companions(host, recipe.parts))]
        for recipe in (before, after)
    )
    return next(parts) != next(parts) or before.readout != after.readout


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
        image_size: Side of the square input, or its short side, in pixels, or None for the recipe's.

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
    squares = {SQUARE_INPUT} if profile.image_resize != "short-side" else set[str]()
    check_compatibility(host, parts, facts.capabilities | squares, recipe.readout)
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


def _resolve_parts(host: Host, choices: PartChoices) -> Iterator[ResolvedPart]:
    for kind in PART_KINDS:
        for choice in choices.of_kind(kind):
            part = resolved_part(host, choice)
            if part.kind != kind:
                raise InputError(f"part '{choice.use}' is a {part.kind} and cannot be used as {kind}")
            yield part


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
        if text is not None and official.text is not None:
            text = text.model_copy(update=official.text.model_dump())
    if official is not None and published_here:
        size = official.image_size
    return (
        _overridden(profile, choice),
        _overridden_text(text, recipe),
        size,
    )


def _overridden(profile: TowerProfile, choice: ProfileChoice) -> TowerProfile:
    given = choice.model_dump(include={"activation", "position_embedding", "image_resize"}, exclude_none=True)
    return profile.model_copy(update=given)


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
