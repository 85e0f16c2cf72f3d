"""Finds plugins, keeps a broken one from harming the others, and says what became of each."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.contributions import HOOKS, Incompatible, Refusal, read_contributions
from zsad.plugin.imports import cause
from zsad.plugin.registry import Claim, Registry, canonical
from zsad.plugin.specs import (
    BackboneSpec,
    CommandSpec,
    DatasetSpec,
    DemoTabSpec,
    GeneratorSpec,
    LossSpec,
    MetricSpec,
    PartSpec,
    RecipeSpec,
    ReporterSpec,
    Spec,
)

GROUP = "zsad"
"""Entry-point group in which plugins are found."""

BUILT_IN = "zsad"
"""Distribution whose plugins ``--no-plugins`` leaves active."""

DISABLE, NO_PLUGINS, STRICT = "ZSAD_DISABLE_PLUGINS", "ZSAD_NO_PLUGINS", "ZSAD_STRICT_PLUGINS"

Status = Literal["active", "disabled", "failed", "incompatible"]


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin.

    Attributes:
        name: Name of the entry point.
        distribution: Canonical name of the distribution that declares it.
        version: Version of that distribution.
        status: Only an active plugin contributes anything.
        error: One sentence on why it is not active, or None.
        hooks: The hooks it implements.
        contributions: Contributed names by hook.
        conflicts: Contributed names that another distribution claims as well.
    """

    name: str
    distribution: str
    version: str
    status: Status
    error: str | None = None
    hooks: tuple[str, ...] = ()
    contributions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    conflicts: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """``distribution:name``, which is unique."""
        return f"{self.distribution}:{self.name}"


@dataclass(frozen=True)
class _Found:
    """An entry point and the distribution it belongs to."""

    entry_point: importlib.metadata.EntryPoint
    distribution: str
    version: str

    def record(self, status: Status, error: str | None = None, **rest: Any) -> PluginRecord:
        return PluginRecord(self.entry_point.name, self.distribution, self.version, status, error, **rest)


class Host:
    """The plugins of this environment and everything they contribute.

    Attributes:
        plugins: One record for each plugin, built-in ones first.
    """

    def __init__(self, plugins: Iterable[PluginRecord], claims: Mapping[str, list[Claim[Any]]]) -> None:
        self.plugins: list[PluginRecord] = list(plugins)
        failed = {p.name: p.error or p.status for p in self.plugins if p.status in ("failed", "incompatible")}
        self.backbones: Registry[BackboneSpec] = Registry(
            "backbone", claims.get("zsad_backbones", ()), failed
        )
        self.parts: Registry[PartSpec] = Registry("part", claims.get("zsad_parts", ()), failed)
        self.recipes: Registry[RecipeSpec] = Registry("method", claims.get("zsad_recipes", ()), failed)
        self.datasets: Registry[DatasetSpec] = Registry(
            "dataset layout", claims.get("zsad_datasets", ()), failed
        )
        self.metrics: Registry[MetricSpec] = Registry("metric", claims.get("zsad_metrics", ()), failed)
        self.losses: Registry[LossSpec] = Registry("loss", claims.get("zsad_losses", ()), failed)
        self.generators: Registry[GeneratorSpec] = Registry(
            "generator", claims.get("zsad_generators", ()), failed
        )
        self.reporters: Registry[ReporterSpec] = Registry(
            "reporter", claims.get("zsad_reporters", ()), failed
        )
        self.commands: Registry[CommandSpec] = Registry("command", claims.get("zsad_commands", ()), failed)
        self.demo_tabs: Registry[DemoTabSpec] = Registry("demo tab", claims.get("zsad_demo_tabs", ()), failed)

    @classmethod
    def discover(
        cls,
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
        environ: Mapping[str, str] | None = None,
        no_plugins: bool = False,
    ) -> Host:
        """Import every plugin that is not disabled, and collect what each contributes.

        Args:
            entry_points: The plugins; by default all that are installed.
            environ: Where ``ZSAD_DISABLE_PLUGINS``, ``ZSAD_NO_PLUGINS`` and ``ZSAD_STRICT_PLUGINS`` are read;
                by default the process environment.
            no_plugins: Leave out every plugin that does not come with zsad, as ``ZSAD_NO_PLUGINS=1`` does.

        Raises:
            ZsadError: If ``ZSAD_STRICT_PLUGINS`` is set and a plugin fails or is incompatible.
        """
        settings = os.environ if environ is None else environ
        records: list[PluginRecord] = []
        claims: dict[str, list[Claim[Any]]] = {hook: [] for hook in HOOKS}
        for found in _identify(entry_points):
            error = _why_disabled(found, settings, no_plugins)
            if error is not None:
                records.append(found.record("disabled", error))
                continue
            try:
                contributed = _load(found, records, claims)
            except Refusal as refusal:
                status: Status = "incompatible" if isinstance(refusal, Incompatible) else "failed"
                if _is_set(settings, STRICT):
                    text = f"plugin '{found.distribution}:{found.entry_point.name}' is {status}: {refusal}"
                    raise ZsadError(text) from refusal.__cause__ or refusal
                records.append(found.record(status, str(refusal)))
                continue
            for hook, specs in contributed.items():
                claims[hook] += [Claim(spec, found.distribution, found.entry_point.name) for spec in specs]
            records.append(_active(found, contributed))
        return cls(_with_conflicts(records, claims), claims)

    def plugin(self, name: str) -> PluginRecord:
        """Return the record of a plugin.

        Args:
            name: Name of the entry point, or ``distribution:name``.

        Raises:
            InputError: If there is no such plugin, or several distributions have one of that name.
        """
        found = [r for r in self.plugins if r.name == name] or [
            r for r in self.plugins if r.qualified == name
        ]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(f"'{record.qualified}'" for record in found)
            raise InputError(f"several distributions have a plugin '{name}'; write {choices}")
        known = {record.name for record in self.plugins} | {record.qualified for record in self.plugins}
        raise InputError(f"unknown plugin '{name}'{nearest(name, sorted(known))}")


def get_host() -> Host:
    """Return the host of this process; it is discovered once for each setting of its variables."""
    return _cached_host(*(os.environ.get(name, "") for name in (DISABLE, NO_PLUGINS, STRICT)))


@functools.cache
def _cached_host(disable: str, no_plugins: str, strict: str) -> Host:
    return Host.discover(environ={DISABLE: disable, NO_PLUGINS: no_plugins, STRICT: strict})


def _identify(entry_points: Iterable[importlib.metadata.EntryPoint] | None) -> list[_Found]:
    """Return every plugin with its distribution, built-in ones first, in an order that is always the same."""
    given = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    # Name and version are parsed from the whole metadata file on every access.
    identity = functools.cache(_name_and_version)
    found = [_Found(entry_point, *identity(entry_point.dist)) for entry_point in given]
    return sorted(found, key=lambda f: (f.distribution != BUILT_IN, f.distribution, f.entry_point.name))


def _name_and_version(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "unknown", "unknown"
    metadata = distribution.metadata
    return canonical(metadata["Name"] or "unknown"), metadata["Version"] or "unknown"


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() not in ("", "0", "false", "no")


def _why_disabled(found: _Found, environ: Mapping[str, str], no_plugins: bool) -> str | None:
    names = {found.entry_point.name, found.distribution, f"{found.distribution}:{found.entry_point.name}"}
    for word in environ.get(DISABLE, "").split(","):
        if word.strip() in names or canonical(word.strip()) == found.distribution:
            return f"disabled by {DISABLE}"
    if found.distribution != BUILT_IN:
        if no_plugins:
            return "disabled by --no-plugins"
        if _is_set(environ, NO_PLUGINS):
            return f"disabled by {NO_PLUGINS}"
    return None


def _load(
    found: _Found, loaded: Iterable[PluginRecord], claims: Mapping[str, list[Claim[Any]]]
) -> dict[str, tuple[Spec, ...]]:
    """Import a plugin and return what it contributes, by hook."""
    name = found.entry_point.name
    if any(record.name == name and record.distribution == found.distribution for record in loaded):
        raise Refusal(f"'{found.distribution}' declares the entry point '{name}' twice")
    try:
        plugin = found.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Refusal(f"cannot import '{found.entry_point.value}': {cause(error)}") from error
    contributed = read_contributions(plugin)
    for hook, specs in contributed.items():
        theirs = {c.spec.name: c.plugin for c in claims[hook] if c.distribution == found.distribution}
        for spec in specs:
            if spec.name in theirs:
                owner = theirs[spec.name]
                raise Refusal(f"{hook} yielded '{spec.name}', which plugin '{owner}' has contributed already")
    return contributed


def _active(found: _Found, contributed: Mapping[str, tuple[Spec, ...]]) -> PluginRecord:
    names = {hook: tuple(spec.name for spec in specs) for hook, specs in contributed.items()}
    return found.record("active", hooks=tuple(names), contributions=MappingProxyType(names))


def _with_conflicts(
    records: Iterable[PluginRecord], claims: Mapping[str, list[Claim[Any]]]
) -> list[PluginRecord]:
    owners: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for hook, of_hook in claims.items():
        for claim in of_hook:
            owners[hook, claim.spec.name].add(claim.distribution)

    def contested(record: PluginRecord) -> set[str]:
        named = ((hook, name) for hook, names in record.contributions.items() for name in names)
        return {name for hook, name in named if len(owners[hook, name]) > 1}

    return [replace(record, conflicts=tuple(sorted(contested(record)))) for record in records]
