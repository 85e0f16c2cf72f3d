"""Tabs that plugins contribute: each is built by itself, and one that fails leaves a message in its place."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from zsad.plugin.host import Host
from zsad.plugin.imports import cause, load_object
from zsad.plugin.registry import Claim
from zsad.plugin.specs import DemoTabSpec
from zsad_demo import markup
from zsad_demo.engine import Engine

_log = logging.getLogger("zsad.demo")


@dataclass(frozen=True)
class TabContext:
    """What ``build(context)`` of a tab is called with.

    Attributes:
        engine: Answers questions about images; its ``models`` are what visitors choose from.
        runs: Folders of evaluations by name, as given at start.
    """

    engine: Engine
    runs: Mapping[str, Path]


@dataclass(frozen=True)
class PluginTab:
    """A plugin's tab.

    Attributes:
        name: Title.
        blocks: What is in it.
    """

    name: str
    blocks: gr.Blocks


def plugin_tabs(host: Host, context: TabContext) -> Iterator[PluginTab]:
    """Build every tab that a plugin contributes, outside of the app.

    What a tab has made before it failed is thrown away with the blocks it was made in.
    """
    for name, claim in host.demo_tabs.items():
        with gr.Blocks(analytics_enabled=False) as blocks:
            failure = _build(claim, context)
        if failure:
            with gr.Blocks(analytics_enabled=False) as blocks:
                gr.HTML(markup.note(failure))
        yield PluginTab(name, blocks)


def _build(claim: Claim[DemoTabSpec], context: TabContext) -> str:
    """Build a tab into the current blocks; return an empty string, or why it failed."""
    try:
        load_object(claim.spec.build)(context)
    except (Exception, SystemExit) as error:
        plugin = f"{claim.distribution}:{claim.plugin}"
        _log.warning("the tab '%s' of plugin '%s' failed", claim.spec.name, plugin, exc_info=True)
        return (
            f"The tab '{claim.spec.name}' of the plugin '{plugin}' could not be built: {cause(error)}. "
            f"What it would show: {claim.spec.help}"
        )
    return ""
