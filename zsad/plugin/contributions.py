"""Reads what one plugin contributes, and refuses the plugin at its first mistake."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from pluggy import PluginManager, PluginValidationError

from zsad.errors import nearest
from zsad.plugin import hookspecs, specs
from zsad.plugin.imports import cause
from zsad.plugin.specs import API_VERSION, PART_KINDS, PartSpec, Spec, absolute

HOOKS: dict[str, type[Any]] = {
    "zsad_backbones": specs.BackboneSpec,
    "zsad_parts": specs.PartSpec,
    "zsad_recipes": specs.RecipeSpec,
    "zsad_datasets": specs.DatasetSpec,
    "zsad_metrics": specs.MetricSpec,
    "zsad_losses": specs.LossSpec,
    "zsad_generators": specs.GeneratorSpec,
    "zsad_reporters": specs.ReporterSpec,
    "zsad_commands": specs.CommandSpec,
    "zsad_demo_tabs": specs.DemoTabSpec,
}
"""Every hook, and the kind of spec that it yields."""

_PART_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\.[a-z0-9][a-z0-9_-]*")


class Refusal(Exception):
    """A plugin cannot be used; the message is one sentence on why."""


class Incompatible(Refusal):
    """A plugin was written for another plugin interface."""


def read_contributions(plugin: object) -> dict[str, tuple[Spec, ...]]:
    """Call every hook that a plugin implements, once.

    Args:
        plugin: The loaded plugin, usually a module.

    Returns:
        The specs by hook, in the order of ``HOOKS``; a hook that yields nothing is there with an empty tuple.

    Raises:
        Incompatible: If the plugin declares no ``zsad_api``, or another than this zsad speaks.
        Refusal: If an implementation is misspelt or not marked, raises, or yields what it should not.
    """
    _check_api(plugin)
    # A manager for each plugin: what one of them registers can then neither stop nor wrap another's hooks.
    manager = PluginManager("zsad")
    manager.add_hookspecs(hookspecs)
    implemented = _implemented(manager, plugin)
    try:
        manager.register(plugin)
    except PluginValidationError as error:
        raise Refusal(f"its hooks cannot be registered: {cause(error)}") from error
    package = getattr(plugin, "__name__", "")
    return {
        hook: tuple(absolute(spec, package) for spec in _call(manager, hook))
        for hook in HOOKS
        if hook in implemented
    }


def _check_api(plugin: object) -> None:
    api = getattr(plugin, "zsad_api", None)
    if api is None:
        raise Incompatible(f"it does not declare its plugin interface; add 'zsad_api = {API_VERSION}'")
    if api != API_VERSION:
        raise Incompatible(f"it declares zsad_api = {api!r}, but this zsad speaks {API_VERSION}")


def _implemented(manager: PluginManager, plugin: object) -> list[str]:
    """Return the hooks that the plugin implements, after a check of every name that looks like one."""
    found = []
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        hook = (options and options.get("specname")) or attribute
        if options is None and not _looks_like_a_hook(plugin, attribute):
            continue
        if hook not in HOOKS:
            raise Refusal(f"{hook} is not a hook of zsad{nearest(hook, HOOKS)}")
        if options is None:
            raise Refusal(f"{hook} is not marked with @hookimpl")
        if any(
            p.default is p.empty for p in inspect.signature(getattr(plugin, attribute)).parameters.values()
        ):
            raise Refusal(f"{hook} takes arguments, but is called with none")
        found.append(hook)
    return found


def _looks_like_a_hook(plugin: object, attribute: str) -> bool:
    """Whether the plugin itself defines a function with the reserved prefix."""
    value = inspect.getattr_static(plugin, attribute, None)
    own = getattr(value, "__module__", None) == getattr(plugin, "__name__", None)
    return attribute.startswith("zsad_") and inspect.isroutine(value) and own


def _call(manager: PluginManager, hook: str) -> tuple[Spec, ...]:
    try:
        # pluggy leaves out an implementation that returned None.
        results = getattr(manager.hook, hook)() or [None]
        bad = [result for result in results if not isinstance(result, Iterable)]
        found = [] if bad else [item for result in results for item in result]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Refusal(f"{hook} raised {cause(error)}") from error
    if bad:
        raise Refusal(f"{hook} returned {type(bad[0]).__name__} instead of yielding {HOOKS[hook].__name__}s")
    names: set[str] = set()
    for item in found:
        _check(hook, item)
        if item.name in names:
            raise Refusal(f"{hook} yielded the name '{item.name}' twice")
        names.add(item.name)
    return tuple(found)


def _check(hook: str, item: object) -> None:
    wanted = HOOKS[hook]
    if not isinstance(item, wanted):
        raise Refusal(f"{hook} yielded {type(item).__name__} where {wanted.__name__} belongs")
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise Refusal(f"{hook} yielded a {wanted.__name__} whose name is {name!r}")
    if isinstance(item, PartSpec):
        if not _PART_NAME.fullmatch(name):
            raise Refusal(f"{hook} yielded '{name}'; a part is named '<plugin>.<part>' in lower case")
        if item.kind not in PART_KINDS:
            mend = nearest(str(item.kind), PART_KINDS)
            raise Refusal(f"{hook} yielded '{name}' of the unknown kind '{item.kind}'{mend}")
