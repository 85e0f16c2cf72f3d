"""Settings laid over a recipe: a part exchanged, an option changed, a post-processor added or removed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from zsad.errors import InputError, nearest
from zsad.recipe.recipes import LISTS
from zsad.recipe.settings import KINDS, Setting, Settings


def apply_overrides(recipe: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a recipe's plain data with settings laid over it, in the order given.

    Understands ``kind=name``, ``kind=none``, ``kind.option=value``, ``post_processors+=name``,
    ``post_processors-=name``, ``post_processors.name.option=value``, ``readout.taps=[...]``,
    ``profile=official``, ``image_size=336``, ``training.epochs=3``. Settings of generator, examples and
    adapter are no recipe's.

    Raises:
        InputError: A setting names nothing in the recipe, or says what another one says.
    """
    result = copy.deepcopy(recipe)
    meant: dict[str, str] = {}
    for setting in settings.of("recipe", "training").given:
        if setting.head in KINDS:
            path = _set_part(result.setdefault("parts", {}), setting)
        else:
            path = setting.path
            _set_plain(result, setting)
        if setting.operator == "=" and meant.setdefault(path, setting.text) != setting.text:
            raise InputError(
                f"--set {setting.text}: --set {meant[path]} has set it already; leave one of them out"
            )
    return result


def _set_plain(result: dict[str, Any], setting: Setting) -> None:
    head, rest, value = setting.head, setting.rest, setting.value
    if not rest:
        result[head] = value
        return
    current = result.get(head)
    section = current if isinstance(current, dict) else {"base": current} if current else {}
    _refuse_hiding(section, setting)
    result[head] = _with_nested(section, rest, value)


def _refuse_hiding(section: dict[str, Any], setting: Setting) -> None:
    """Refuse to put a value under one that is no mapping, which would vanish without a word."""
    steps = setting.rest.split(".")
    outer = steps[:-1]
    inner: Any = section
    for depth, step in enumerate(outer, 1):
        inner = inner.get(step)
        if inner is None:
            return
        if not isinstance(inner, dict):
            path = ".".join((setting.head, *outer[:depth]))
            raise InputError(
                f"--set {setting.text}: {path} is {inner!r} and holds no '{steps[depth]}'; "
                f"set {path} as a whole"
            )


def _set_part(parts: dict[str, Any], setting: Setting) -> str:
    """Set a part or an option of one; return the path with the part's whole name."""
    kind, rest, text = setting.head, setting.rest, setting.text
    if kind in LISTS:
        return _set_in_list(parts, setting)
    if setting.operator != "=":
        raise InputError(f"--set {text}: '{kind}' is a single part; write {kind}=name")
    if rest:
        choice = parts.get(kind)
        if choice is None:
            raise InputError(
                f"--set {text}: this method has no {kind}; choose one first with --set {kind}=name"
            )
        parts[kind] = _with_option(choice, rest, setting.value)
    else:
        parts[kind] = _part_name(setting.value, text)
    return setting.path


def _set_in_list(parts: dict[str, Any], setting: Setting) -> str:
    kind, rest, value, text = setting.head, setting.rest, setting.value, setting.text
    entries = list(parts.get(kind) or [])
    path = kind
    if rest:
        if setting.operator != "=":
            raise InputError(f"--set {text}: an option is set with '='")
        name, option = _split_option(rest, [_name_of(entry) for entry in entries])
        place = _find(entries, name, kind, text)
        path = f"{kind}.{_name_of(entries[place])}.{option}"
        entries[place] = _with_option(entries[place], option, value)
    elif setting.operator == "+=":
        entries.append(_part_name(value, text) or _missing(text))
    elif setting.operator == "-=":
        del entries[_find(entries, str(value), kind, text)]
    else:
        names = value if isinstance(value, list) else [value]
        entries = [name for name in (_part_name(item, text) for item in names) if name]
    parts[kind] = entries
    return path


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
