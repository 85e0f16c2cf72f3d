from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from tests.conftest import Site
from zsad.plugin.host import Host, get_host
from zsad_demo.app import build_app
from zsad_demo.engine import Engine
from zsad_demo.server import Address, launch

PLUGIN = """
    from zsad.plugin.hookspecs import hookimpl
    from zsad.plugin.specs import DemoTabSpec

    zsad_api = 1

    @hookimpl
    def zsad_demo_tabs():
        for name in ("good", "raises", "missing", "exits", "blocks"):
            yield DemoTabSpec(name=name.title(), help=f"Shows {name} things.", build=f"tabs_tab:{name}")
"""
TABS = """
    import sys
    import gradio as gr

    def good(context):
        methods = gr.Dropdown(list(context.engine.models), label="Method of the plugin")
        said = gr.Textbox(label="Said")
        methods.input(lambda method: f"chose {method}", methods, said, api_name="chose")

    def raises(context):
        with gr.Row():
            gr.Textbox(label="Half built")
            raise ValueError("no <camera>")

    def exits(context):
        sys.exit(3)

    def blocks(context):
        with gr.Blocks():
            raise RuntimeError("inside blocks of its own")
"""


@pytest.fixture
def host(site: Site) -> Host:
    site.install("tabs", {"tabs_plugin.py": PLUGIN, "tabs_tab.py": TABS}, {"tabs": "tabs_plugin"})
    return get_host()


def texts(app: gr.Blocks) -> list[str]:
    return [str(block.value) for block in app.blocks.values() if isinstance(block, gr.HTML)]


def test_failing_tabs_are_a_message_and_the_rest_works(
    engine: Engine, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradio_client import Client

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    app = build_app(engine, host=host)
    labels = [block.label for block in app.blocks.values() if isinstance(block, gr.Tab)]
    assert labels == [
        "Inspect",
        "Compare",
        "Batch",
        "References",
        "Good",
        "Raises",
        "Missing",
        "Exits",
        "Blocks",
    ]
    messages = [text for text in texts(app) if "could not be built" in text]
    assert len(messages) == 4
    for message, name, reason in zip(
        messages,
        ("raises", "missing", "exits", "blocks"),
        ("ValueError: no &lt;camera&gt;", "has no &#x27;missing&#x27;", "SystemExit: 3", "inside blocks"),
        strict=True,
    ):
        assert reason in message
        assert "plugin &#x27;tabs:tabs&#x27;" in message
        assert f"Shows {name} things." in message
    assert "Half built" not in [getattr(block, "label", None) for block in app.blocks.values()]
    service = launch(app, Address())
    try:
        client = Client(service.url, verbose=False)
        assert client.predict("winclip", api_name="/chose") == "chose winclip"
    finally:
        service.close()


def test_without_runs_their_tab_is_not_there(engine: Engine) -> None:
    labels = [block.label for block in build_app(engine).blocks.values() if isinstance(block, gr.Tab)]
    assert labels == ["Inspect", "Compare", "Batch", "References"]
