"""Recipes: named, frozen descriptions of methods, read from YAML. No torch here."""

from __future__ import annotations

from copy import deepcopy
from fnmatch import fnmatch
from functools import cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PositiveInt, ValidationError

from zsad.errors import InputError, ZsadError, nearest
from zsad.inputs import ImageResize
from zsad.plugin.host import Host
from zsad.plugin.imports import read_resource
from zsad.plugin.specs import PART_KINDS
from zsad.recipe.profiles import Activation, PositionResize, Readout
from zsad.recipe.training import Training

Fidelity = Literal["official-code", "third-party-code", "paper", "inspired", "composed"]

VARIABLE = ("remark", "fidelity", "profile", "image_size", "readout", "parts", "display", "training")
"""The fields of a recipe that may differ from backbone to backbone."""


LISTS = ("auxiliary", "post_processors")
"""The places of a recipe that hold an ordered list of parts."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Paper(_Frozen):
    """Where a method was published."""

    title: str
    authors: str
    venue: str
    arxiv: str | None = None


class Code(_Frozen):
    """The implementation whose numbers a recipe agrees with."""

    repository: str
    commit: str | None = None
    licence: str


class OfficialVision(_Frozen):
    """Vision numerics of the published code."""

    activation: Activation
    position_embedding: PositionResize
    image_resize: ImageResize = "squash"


class OfficialText(_Frozen):
    """Text numerics of the published code."""

    activation: Activation
    deep_prompt_cast: Literal["float16"] | None = None


class Official(_Frozen):
    """What a method was published with.

    Attributes:
        architectures: Patterns of the architectures that it was published on.
        image_size: Side of the square input there, or its short side.
        vision: Vision numerics there.
        text: Text numerics there, or None for a method that reads no text.
    """

    architectures: tuple[str, ...]
    image_size: PositiveInt
    vision: OfficialVision
    text: OfficialText | None = None


def _profile_value(value: object) -> object:
    return {"base": value} if isinstance(value, str) else value


class ProfileChoice(_Frozen):
    """Which numerics a run uses.

    Attributes:
        base: ``auto`` takes the official profile on the architectures a method was published on and the
            backbone's native one elsewhere; ``official`` and ``native`` insist.
        activation: Overrides the base in both towers.
        position_embedding: Overrides the base.
        image_resize: Overrides the base.
        deep_prompt_cast: Overrides the base; ``none`` inserts deep prompts unrounded.
    """

    base: Literal["auto", "official", "native"] = "auto"
    activation: Activation | None = None
    position_embedding: PositionResize | None = None
    image_resize: ImageResize | None = None
    deep_prompt_cast: Literal["float16", "none"] | None = None


class PartChoice(_Frozen):
    """A part by name, with the options that differ from its defaults."""

    use: str
    options: dict[str, Any] = {}


def _choice(value: object) -> object:
    return {"use": value} if isinstance(value, str) else value


Choice = Annotated[PartChoice, BeforeValidator(_choice)]


class PartChoices(_Frozen):
    """The parts of a method; None leaves a place empty.

    Without an attention refiner the ordinary stream is read at the taps; without a prompt learner no
    text is encoded.
    """

    auxiliary: tuple[Choice, ...] = ()
    attention_refiner: Choice | None = None
    feature_adapter: Choice | None = None
    prompt_learner: Choice | None = None
    prompt_conditioner: Choice | None = None
    scorer: Choice
    post_processors: tuple[Choice, ...] = ()
    reference_store: Choice | None = None

    def of_kind(self, kind: str) -> tuple[PartChoice, ...]:
        """Return the chosen parts of a kind, in order."""
        value: PartChoice | tuple[PartChoice, ...] | None = getattr(self, kind)
        if value is None:
            return ()
        return (value,) if isinstance(value, PartChoice) else value

    def chosen(self) -> tuple[PartChoice, ...]:
        """Return every chosen part, in the order of the data flow."""
        return tuple(choice for kind in PART_KINDS for choice in self.of_kind(kind))


class Display(_Frozen):
    """The fixed range of a method's anomaly map, for pictures only; never rescaled per image."""

    low: float = 0.0
    high: float = 1.0


class Recipe(_Frozen):
    """A method as data.

    Attributes:
        name: Method name.
        summary: One sentence.
        remark: A sentence that whoever runs it has to know, or None.
        fidelity: What its numbers agree with, as long as no part is overridden.
        paper: Publication, or None.
        code: Reference implementation, or None.
        official: Numerics it was published with, or None.
        profile: Choice of numerics.
        image_size: Side of the square input, or its short side; None for the official or native one.
        readout: What is read from the pass.
        parts: The swappable pieces.
        display: Range of the map in pictures.
        training: How its parts are learned.
        weights: Weights that ship with the plugin: a resource string by backbone architecture.
        on_backbone: What differs on some backbones, by pattern of the architecture: see :func:`for_backbone`.
    """

    name: str
    summary: str
    remark: str | None = None
    fidelity: Fidelity
    paper: Paper | None = None
    code: Code | None = None
    official: Official | None = None
    profile: Annotated[ProfileChoice, BeforeValidator(_profile_value)] = ProfileChoice()
    image_size: PositiveInt | None = None
    readout: Readout = Readout()
    parts: PartChoices
    display: Display = Display()
    training: Training = Training()
    weights: dict[str, str] = {}
    on_backbone: dict[str, dict[str, Any]] = {}


def recipe_dict(host: Host, name: str) -> dict[str, Any]:
    """Return a method's recipe as plain data, with what it ``extends`` merged in.

    Raises:
        InputError: Unknown method; the nearest name is suggested.
        ZsadError: The plugin's recipe file is missing or not YAML.
    """
    resource = host.recipes.get(name).spec.resource
    return deepcopy(_read(resource))  # one that is read once is not for its readers to change


def starters(host: Host) -> list[str]:
    """Return the methods that newcomers are shown, in the order that their plugins give them.

    Raises:
        InputError: There are none, or their plugins are disabled.
    """
    ranked = [(claim.spec.starter, name) for name, claim in host.recipes.items() if claim.spec.starter]
    if not ranked:
        raise InputError("no plugin offers a method to begin with; 'zsad plugins' says what is disabled")
    return [name for _, name in sorted(ranked)]


def load_recipe(host: Host, name: str) -> Recipe:
    """Return a method's recipe as its plugin wrote it.

    Raises:
        InputError: Unknown method.
        ZsadError: The plugin's recipe file is not a recipe.
    """
    return validate_recipe(recipe_dict(host, name), name)


def validate_recipe(data: dict[str, Any], name: str) -> Recipe:
    """Check plain data against the recipe's form.

    Raises:
        InputError: A field is unknown or has a wrong value; the sentence names it.
    """
    recipe = _validated(data, f"recipe of '{name}'")
    for pattern, overlay in recipe.on_backbone.items():
        where = f"recipe of '{name}', on_backbone '{pattern}'"
        if other := next((field for field in overlay if field not in VARIABLE), None):
            raise InputError(
                f"{where}: '{other}' cannot differ between backbones{nearest(other, VARIABLE)} "
                f"(what can: {', '.join(VARIABLE)})"
            )
        if "fidelity" not in overlay and not {"parts", "readout"}.isdisjoint(overlay):
            raise InputError(f"{where}: with other parts or another readout it has to say its fidelity there")
        _validated(merged(data, overlay), where)
    return recipe


def for_backbone(data: dict[str, Any], arch: str) -> dict[str, Any]:
    """Return a recipe's plain data for one backbone.

    The entries of ``on_backbone`` whose pattern fits are laid over the rest in their order, as a file is over
    the one that it ``extends``.

    Args:
        data: A recipe that :func:`validate_recipe` accepts.
        arch: The backbone's architecture.
    """
    result = {key: value for key, value in data.items() if key != "on_backbone"}
    for pattern, overlay in (data.get("on_backbone") or {}).items():
        if fnmatch(arch, pattern):
            result = merged(result, overlay)
    return result


def _validated(data: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, Recipe)}") from error


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """Return pydantic's first complaint as one clause, with the nearest known field for a misspelt one."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields) if len(problem["loc"]) == 1 else []
        listed = f" (known: {', '.join(known)})" if known else ""
        return f"'{where}' is not known{nearest(where, known)}{listed}"
    return f"'{where}' cannot be {problem['input']!r}: {problem['msg']}"


@cache
def _read(resource: str, extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    if resource in extended_by:
        raise ZsadError(f"recipe file {resource} extends itself")
    try:
        data = yaml.load(read_resource(resource), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ZsadError(f"recipe file {resource} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ZsadError(f"recipe file {resource} holds no mapping")
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ZsadError(f"recipe file {resource}: 'extends' has to name a file, not {base!r}")
    package = resource.partition(":")[0]
    found = _read(base if ":" in base else f"{package}:{base}", (*extended_by, resource))
    return merged(found, data)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay ``over`` on ``base``: mappings merge, except where a part is chosen; all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and "use" not in value:
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
