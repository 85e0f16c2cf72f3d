"""Puts the tabs together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from zsad.plugin.host import Host, get_host
from zsad_demo import markup
from zsad_demo.blocks import GuardedBlocks
from zsad_demo.catalogue import methods_with_references
from zsad_demo.engine import Engine
from zsad_demo.examples import examples
from zsad_demo.guard.sessions import PLACES
from zsad_demo.tabs import references
from zsad_demo.tabs.batch import BatchTab
from zsad_demo.tabs.compare import CompareTab
from zsad_demo.tabs.inspect import InspectTab
from zsad_demo.tabs.plugins import TabContext, plugin_tabs
from zsad_demo.tabs.results import ResultsTab
from zsad_demo.uploads import MAX_FILE_SIZE

KEPT_SECONDS = 3600
"""Age at which files of visitors are deleted."""


def theme() -> gr.themes.Base:
    """Return a theme whose fonts come from the visitor's own system."""
    return gr.themes.Default(
        primary_hue="teal",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300")


def build_app(
    engine: Engine,
    runs: Mapping[str, Path] | None = None,
    host: Host | None = None,
    *,
    logout: bool = False,
) -> GuardedBlocks:
    """Return the app.

    Args:
        engine: Answers its questions.
        runs: Evaluations to show, by name.
        host: Plugin host, by default the process's own.
        logout: Whether there is a login to leave.
    """
    runs, host = runs or {}, host or get_host()
    app = GuardedBlocks(title="zsad", analytics_enabled=False, delete_cache=(KEPT_SECONDS // 6, KEPT_SECONDS))
    contributed = list(plugin_tabs(host, TabContext(engine, runs)))
    with app:
        gr.HTML(markup.head(logout))
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Inspect"):
                InspectTab(engine, examples()).build()
            with gr.Tab("Compare"):
                CompareTab(engine).build()
            with gr.Tab("Batch"):
                BatchTab(engine).build()
            if runs:
                with gr.Tab("Results"):
                    ResultsTab(runs).build()
            if methods := methods_with_references(host):
                with gr.Tab("References"):
                    references.build(methods)
            for tab in contributed:
                with gr.Tab(tab.name):
                    tab.blocks.render()  # type: ignore[no-untyped-call]
    # Not open: what computes has to wait its turn, by whichever route it is asked for.
    app.queue(max_size=PLACES, default_concurrency_limit=1, api_open=False)
    return app


def mount_options() -> dict[str, Any]:
    """Return what Gradio is given when the app is put behind the guard."""
    return {
        "theme": theme(),
        "css": markup.CSS,
        "max_file_size": MAX_FILE_SIZE,
        "allowed_paths": [],
        "blocked_paths": [],
        "show_error": False,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
    }
