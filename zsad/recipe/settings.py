"""``--set``: one grammar for all that it reaches, read once. No torch here.

``PATH=VALUE`` sets a value, ``LIST+=NAME`` adds a part to a list, ``LIST-=NAME`` takes one out. The first
word of the path says whose setting it is: a recipe's, its training's, a generator's, the examples', an
adapter's.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import yaml

from zsad.errors import InputError, ZsadWarning, nearest
from zsad.recipe.recipes import PartChoices

Section = Literal["recipe", "training", "generator", "examples", "adapter"]
"""Whose settings there are."""

Operator = Literal["=", "+=", "-="]

KINDS = tuple(PartChoices.model_fields)
"""The places of a recipe that hold parts."""

FIELDS = ("readout", "profile", "image_size", "display")
"""The fields of a recipe, beside its parts and its training, that can be set."""

HEADS = (*KINDS, *FIELDS, *get_args(Section)[1:])
"""The words that a path can begin with."""

OPTIONS = ("generator", "examples", "adapter")
"""Sections that are options and nothing else: ``SECTION.OPTION=VALUE``."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        path: What is set, as written.
        operator: ``=``, or ``+=`` and ``-=`` for lists of parts.
        value: As plain data.
        text: The whole setting as written.
    """

    path: str
    operator: Operator
    value: Any
    text: str

    @property
    def head(self) -> str:
        """The first word of the path."""
        return self.path.partition(".")[0]

    @property
    def rest(self) -> str:
        """The path after its first word, or an empty string."""
        return self.path.partition(".")[2]

    @property
    def section(self) -> Section:
        """Whose setting it is."""
        return next((name for name in get_args(Section) if name == self.head), "recipe")

    def holds(self, path: str) -> bool:
        """Whether it says what lies at a path: its own, or one inside the mapping that is its value."""
        if self.operator != "=" or path == self.path:
            return self.operator == "="
        value: Any = self.value
        for step in path.removeprefix(f"{self.path}.").split("."):
            if not isinstance(value, Mapping) or step not in value:
                return False
            value = value[step]
        return path.startswith(f"{self.path}.")


@dataclass(frozen=True)
class Settings:
    """Settings in the order in which they were given; nothing is said twice, and none undoes an earlier one.

    Attributes:
        given: The settings.
    """

    given: tuple[Setting, ...] = ()

    def __post_init__(self) -> None:
        for place, setting in enumerate(self.given):
            for former in self.given[:place]:
                _check_pair(former, setting)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Settings:
        """Read settings as ``--set`` takes them; values are YAML.

        Raises:
            InputError: Not of that form, a first word that means nothing, or something said twice.
        """
        if isinstance(texts, str):
            raise InputError(f"overrides is a list of settings such as '{texts}', not a string")
        read = tuple(_parsed(text) for text in texts)
        added = Counter((setting.path, str(setting.value)) for setting in read if setting.operator == "+=")
        for (path, name), count in added.items():
            if count > 1:
                warnings.warn(
                    f"--set {path}+={name} is given {count} times, so the part runs {count} times",
                    ZsadWarning,
                    stacklevel=2,
                )
        return cls(read)

    def __bool__(self) -> bool:
        return bool(self.given)

    @property
    def texts(self) -> list[str]:
        """The settings as they were written."""
        return [setting.text for setting in self.given]

    def of(self, *sections: Section) -> Settings:
        """Return the settings of some sections."""
        return Settings(tuple(setting for setting in self.given if setting.section in sections))

    def options(self, section: Literal["generator", "examples", "adapter"]) -> dict[str, Any]:
        """Return the options of a section as plain data."""
        found: dict[str, Any] = {}
        for setting in self.of(section).given:
            *above, last = setting.rest.split(".")
            place = found
            for step in above:
                # A copy: what a setting holds is nobody's to change.
                place[step] = dict(place.get(step, {}))
                place = place[step]
            place[last] = setting.value
        return found

    def with_value(self, path: str, value: Any, option: str) -> Settings:
        """Return these settings and one more that came by an option of its own.

        Raises:
            InputError: It is among them already.
        """
        self.refuse_beside(option, path)
        return Settings((*self.given, Setting(path, "=", value, f"{path}={value}")))

    def refuse_beside(self, option: str, path: str) -> None:
        """Refuse an option that says what one of the settings says.

        Raises:
            InputError: One does.
        """
        for setting in self.given:
            if setting.holds(path):
                raise InputError(
                    f"{option} and --set {setting.text} say the same thing; leave one of them out"
                )

    def refuse_training(self) -> None:
        """Refuse settings that have an effect on training alone.

        Raises:
            InputError: There are some.
        """
        for setting in self.given:
            if setting.section != "recipe":
                raise InputError(
                    f"--set {setting.text}: '{setting.head}' has no effect here, only where a method is "
                    "trained; leave it out"
                )


NO_SETTINGS = Settings()
"""Nothing is set."""


def _parsed(text: str) -> Setting:
    left, equals, right = text.partition("=")
    operator: Operator = "="
    if left.endswith("+"):
        left, operator = left[:-1], "+="
    elif left.endswith("-"):
        left, operator = left[:-1], "-="
    path = left.strip()
    head, _, rest = path.partition(".")
    if path and head not in HEADS:
        raise InputError(
            f"--set {text}: there is no '{head}' to set{nearest(head, HEADS)} (there are: {', '.join(HEADS)})"
        )
    if head in OPTIONS and not (equals and rest):
        raise InputError(f"--set {text}: write {head}.OPTION=VALUE")
    if not equals or not path or not all(path.split(".")):
        raise InputError(f"--set {text}: write part.option=value, part=name or post_processors+=name")
    if head not in KINDS and operator != "=":
        raise InputError(f"--set {text}: '{head}' is no list; write {path}=value")
    try:
        return Setting(path, operator, yaml.safe_load(right), text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text}: '{right}' is not a value in YAML") from error


def _check_pair(former: Setting, later: Setting) -> None:
    """Refuse a setting that says what a former one has said, or that would undo it without a word."""
    if later.operator == "=" and former.holds(later.path):
        raise InputError(f"--set {later.text}: --set {former.text} has set it already; leave one of them out")
    if later.operator == "=" and (former.path == later.path or former.path.startswith(f"{later.path}.")):
        raise InputError(
            f"--set {later.text}: this would undo --set {former.text}; put it before, or leave it out"
        )
    inside = later.path.startswith(f"{former.path}.")
    if inside and former.section in OPTIONS and not isinstance(former.value, Mapping):
        name = former.path.rpartition(".")[2]
        raise InputError(f"--set {later.text}: '{name}' has a value already, so nothing is below it")
