"""``zsad plugins``: what extends zsad, and why something does not."""

from __future__ import annotations

from typing import Annotated

import typer

from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.plugin.host import PluginRecord, get_host

app = list_group()


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List every plugin that is installed, with its status."""
    plugins = get_host().plugins
    if as_json:
        print_json(plugins)
        return
    columns = ("name", "distribution", "version", "status", "hooks", "note")
    rows = [{**vars(p), "hooks": _short(p.hooks), "note": _note(p)} for p in plugins]
    print_table(rows, columns, optional=("version", "hooks"))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a plugin, or DISTRIBUTION:NAME.")],
    as_json: JsonOption = False,
) -> None:
    """Show one plugin: where it comes from, what it contributes, or why it does not."""
    plugin = get_host().plugin(name)
    if as_json:
        print_json(plugin)
        return
    contributions = {_short([hook]): names for hook, names in plugin.contributions.items()}
    fields = ("name", "distribution", "version", "status", "error", "conflicts")
    print_fields({**{field: getattr(plugin, field) for field in fields}, **contributions})


def _short(hooks: list[str] | tuple[str, ...]) -> str:
    return ", ".join(hook.removeprefix("zsad_") for hook in hooks)


def _note(plugin: PluginRecord) -> str | None:
    if plugin.conflicts:
        return f"also claimed by another distribution: {', '.join(plugin.conflicts)}"
    return plugin.error
