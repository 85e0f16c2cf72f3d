"""Puts the tabs together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from zsad.plugin.host import Host, get_host
from zsad_demo import markup
from zsad_demo.catalogue import methods_with_references
from zsad_demo.engine import Engine
from zsad_demo.errors import page_error
from zsad_demo.examples import examples
from zsad_demo.tabs import references
from zsad_demo.tabs.batch import BatchTab
from zsad_demo.tabs.compare import CompareTab
from zsad_demo.tabs.inspect import InspectTab
from zsad_demo.tabs.plugins import TabContext, plugin_tabs
from zsad_demo.tabs.results import ResultsTab
from zsad_demo.uploads import MAX_FILE_SIZE

SESSIONS = 100
"""Visitors whose last results are kept."""
QUEUE = 64
"""Visitors that may wait; who comes after them is told so."""
KEPT_SECONDS = 3600
"""Age at which files of visitors are deleted."""


class UploadsOnly(gr.Blocks):
    """Blocks whose events take files only from uploads.

    Gradio fetches an address in the place of a file, and looks at a path only where the visitor was so kind
    as to mark it as one: neither may lead out of the folder of uploads.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Refuse files from elsewhere, then go on as any Blocks.

        Raises:
            gr.Error: There is one, or the data has another form than the event's inputs.
        """
        if not only_uploads(inputs, Path(get_upload_folder()).resolve()):
            raise page_error("only uploaded files are taken, no addresses and no other paths")
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except ValueError as error:  # of pydantic, or a number of inputs that is not the event's
            raise page_error("the inputs do not have the form that this endpoint documents") from error


def only_uploads(value: Any, folder: Path) -> bool:
    """Whether every file that an event's data names, however deep, lies in the folder of uploads.

    Args:
        value: The data.
        folder: The folder, without links.
    """
    if isinstance(value, Mapping):
        path = value.get("path")
        return (path is None or _lies_in(path, folder)) and all(
            only_uploads(inner, folder) for inner in value.values()
        )
    return not isinstance(value, list | tuple) or all(only_uploads(inner, folder) for inner in value)


def _lies_in(path: Any, folder: Path) -> bool:
    try:
        return "://" not in path and Path(path).resolve().is_relative_to(folder)
    except (TypeError, ValueError, OSError, RuntimeError):  # no text, a null character, a loop of links
        return False


def theme() -> gr.themes.Base:
    """Return a theme whose fonts come from the visitor's own system."""
    return gr.themes.Default(
        primary_hue="teal",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300")


def build_app(engine: Engine, runs: Mapping[str, Path] | None = None, host: Host | None = None) -> gr.Blocks:
    """Return the app.

    Args:
        engine: Answers its questions.
        runs: Evaluations to show, by name.
        host: Plugin host, by default the process's own.
    """
    runs, host = runs or {}, host or get_host()
    app = UploadsOnly(title="zsad", analytics_enabled=False, delete_cache=(KEPT_SECONDS // 6, KEPT_SECONDS))
    contributed = list(plugin_tabs(host, TabContext(engine, runs)))
    with app:
        gr.HTML(markup.head())
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
    app.queue(max_size=QUEUE, default_concurrency_limit=1)
    return app


def launch_options() -> dict[str, Any]:
    """Return what every launch of the app is given, here and on a Space."""
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
        "state_session_capacity": SESSIONS,
    }
