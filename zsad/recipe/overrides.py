"""``--set``: exchange a part, change an option, add or remove a post-processor."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import yaml

from zsad.errors import InputError, nearest
from zsad.recipe.recipes import LISTS, PartChoices

PLAIN = ("readout", "profile", "image_size", "display", "training")
"""The fields of a recipe, beside its parts, that can be set."""

KINDS = tuple(PartChoices.model_fields)


def apply_overrides(recipe: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a recipe's plain data with ``--set`` values laid over it, in the order given.

    Understands ``kind=name``, ``kind=none``, ``kind.option=value``, ``post_processors+=name``,
    ``post_processors-=name``, ``post_processors.name.option=value``, ``readout.taps=[...]``,
    ``profile=official``, ``image_size=336``. Values are YAML.

    Raises:
        InputError: Not of that form, or it names nothing in the recipe.
    """
    result = copy.deepcopy(recipe)
    for text in overrides:
        path, operator, value = _split(text)
        head, _, rest = path.partition(".")
        if head in PLAIN:
            if operator != "=":
                raise InputError(f"--set {text}: '{head}' is no list; write {path}=value")
            _set_plain(result, head, rest, value, text)
        elif head in KINDS:
            _set_part(result.setdefault("parts", {}), head, rest, operator, value, text)
        else:
            known = (*KINDS, *PLAIN)
            raise InputError(
                f"--set {text}: there is no '{head}' in a recipe{nearest(head, known)} "
                f"(there are: {', '.join(known)})"
            )
    return result


def _split(text: str) -> tuple[str, str, Any]:
    left, equals, right = text.partition("=")
    operator = "="
    if left.endswith(("+", "-")):
        left, operator = left[:-1], left[-1] + "="
    if not equals or not left.strip():
        raise InputError(f"--set {text}: write part.option=value, part=name or post_processors+=name")
    try:
        return left.strip(), operator, yaml.safe_load(right)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text}: '{right}' is not a value in YAML") from error


def _set_plain(result: dict[str, Any], head: str, rest: str, value: Any, text: str) -> None:
    if not rest:
        result[head] = value
        return
    current = result.get(head)
    section = current if isinstance(current, dict) else {"base": current} if current else {}
    _refuse_hiding(section, head, rest, text)
    result[head] = _with_nested(section, rest, value)


def _refuse_hiding(section: dict[str, Any], head: str, rest: str, text: str) -> None:
    """Refuse to put a value under one that is no mapping, which would vanish without a word."""
    *outer, _ = rest.split(".")
    inner: Any = section
    for depth, step in enumerate(outer, 1):
        inner = inner.get(step)
        if inner is None:
            return
        if not isinstance(inner, dict):
            path = ".".join((head, *outer[:depth]))
            raise InputError(
                f"--set {text}: {path} is {inner!r} and holds no '{rest.split('.')[depth]}'; "
                f"set {path} as a whole"
            )


def _set_part(parts: dict[str, Any], kind: str, rest: str, operator: str, value: Any, text: str) -> None:
    if kind in LISTS:
        _set_in_list(parts, kind, rest, operator, value, text)
    elif operator != "=":
        raise InputError(f"--set {text}: '{kind}' is a single part; write {kind}=name")
    elif rest:
        choice = parts.get(kind)
        if choice is None:
            raise InputError(
                f"--set {text}: this method has no {kind}; choose one first with --set {kind}=name"
            )
        parts[kind] = _with_option(choice, rest, value)
    else:
        parts[kind] = _part_name(value, text)


def _set_in_list(parts: dict[str, Any], kind: str, rest: str, operator: str, value: Any, text: str) -> None:
    entries = list(parts.get(kind) or [])
    if rest:
        if operator != "=":
            raise InputError(f"--set {text}: an option is set with '='")
        name, option = _split_option(rest, [_name_of(entry) for entry in entries])
        place = _find(entries, name, kind, text)
        entries[place] = _with_option(entries[place], option, value)
    elif operator == "+=":
        entries.append(_part_name(value, text) or _missing(text))
    elif operator == "-=":
        del entries[_find(entries, str(value), kind, text)]
    else:
        names = value if isinstance(value, list) else [value]
        entries = [name for name in (_part_name(item, text) for item in names) if name]
    parts[kind] = entries


def _missing(text: str) -> str:
    raise InputError(f"--set {text}: name the part to add")


def _part_name(value: Any, text: str) -> str | None:
    if value is None or value == "none":
        return None
    if not isinstance(value, str):
        raise InputError(f"--set {text}: a part is given by name ('zsad parts' lists them), not {value!r}")
    return value


def _name_of(entry: Any) -> str:
    return str(entry["use"] if isinstance(entry, dict) else entry)


def _split_option(rest: str, names: Sequence[str]) -> tuple[str, str]:
    """Split ``name.option`` behind the name of an entry; names and options may both hold dots."""
    for name in (*names, *map(_short, names)):
        if rest.startswith(f"{name}."):
            return name, rest[len(name) + 1 :]
    name, _, option = rest.rpartition(".")
    return name, option


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _find(entries: list[Any], name: str, kind: str, text: str) -> int:
    names = [_name_of(entry) for entry in entries]
    if name in names:
        return names.index(name)
    meant = sorted({known for known in names if _short(known) == name})
    if len(meant) == 1:
        return names.index(meant[0])
    if meant:
        raise InputError(f"--set {text}: '{name}' can be {' or '.join(meant)}; write the whole name")
    raise InputError(
        f"--set {text}: '{name}' is not among the {kind} of this method{nearest(name, names)} "
        f"(they are: {', '.join(names) or 'none'})"
    )


def _with_option(choice: Any, option: str, value: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"use": choice} if isinstance(choice, str) else dict(choice)
    entry["options"] = _with_nested(entry.get("options") or {}, option, value)
    return entry


def _with_nested(section: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of nested mappings with a value at a dotted path."""
    step, _, rest = path.partition(".")
    if not rest:
        return {**section, step: value}
    inner = section.get(step)
    return {**section, step: _with_nested(inner if isinstance(inner, dict) else {}, rest, value)}
