"""A user's own sentences in the place of a method's, for methods whose prompts are given as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.recipes import Recipe, load_recipe, recipe_dict, validate_recipe
from zsad.recipe.settings import Settings

OPTIONS = ("normal_prompts", "abnormal_prompts")
"""The options by which a prompt learner takes sentences."""


def takes_sentences(host: Host, recipe: Recipe) -> bool:
    """Whether the recipe's prompt learner takes sentences.

    Raises:
        InputError: An unknown prompt learner.
    """
    learner = recipe.parts.prompt_learner
    options = host.parts.get(learner.use).spec.options if learner else None
    return options is not None and set(OPTIONS) <= set(load_object(options).model_fields)


def methods_that_take_sentences(host: Host) -> list[str]:
    """Return the methods whose prompt learner takes sentences, without their variants, by name."""
    found = []
    for name in sorted(host.recipes.names()):
        try:
            takes = "@" not in name and takes_sentences(host, load_recipe(host, name))
        except ZsadError:  # a third party's broken recipe must not hide the other methods
            continue
        if takes:
            found.append(name)
    return found


def with_sentences(
    host: Host, method: str, settings: Settings, normal: Sequence[str], abnormal: Sequence[str]
) -> Settings:
    """Return settings that also put sentences in the place of the method's own.

    Args:
        host: Knows methods and parts.
        method: Name of the method.
        settings: What else is set; a prompt learner that is chosen there counts.
        normal: For the normal state; ``{}`` stands for the object. Empty for the method's own.
        abnormal: For the abnormal state.

    Raises:
        InputError: The method learns its prompts or has none, or the settings have these sentences already.
    """
    words = ("--normal-prompt", "--abnormal-prompt")
    given = zip(words, OPTIONS, (normal, abnormal), strict=True)
    wanted = [(word, f"prompt_learner.{option}", list(own)) for word, option, own in given if own]
    if not wanted:
        return settings
    for word, _, sentences in wanted:
        if not all(sentence.strip() for sentence in sentences):
            raise InputError(
                f"{word}: an empty sentence says nothing of the object; give words, or leave it out"
            )
    recipe = validate_recipe(apply_overrides(recipe_dict(host, method), settings), method)
    if not takes_sentences(host, recipe):
        why = "learned" if recipe.parts.prompt_learner else "not used"
        others = methods_that_take_sentences(host)
        take = f"; {', '.join(others)} take them" if others else ""
        raise InputError(f"method '{method}' does not take {' or '.join(words)}: its prompts are {why}{take}")
    for word, path, sentences in wanted:
        settings = settings.with_value(path, sentences, word)
    return settings
