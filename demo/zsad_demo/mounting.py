"""Puts Gradio's app behind the guard."""

from __future__ import annotations

from typing import cast

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.routing import Mount

from zsad_demo.app import mount_options
from zsad_demo.blocks import GuardedBlocks
from zsad_demo.guard.doors import Doors
from zsad_demo.guard.middleware import Guard
from zsad_demo.guard.replies import ASGIApp
from zsad_demo.guard.sessions import Sessions


def guarded(blocks: GuardedBlocks, doors: Doors, root_path: str | None = None) -> Guard:
    """Return an app that asks the guard first.

    Args:
        blocks: The app.
        doors: How it is served.
        root_path: Path under which a proxy serves it.
    """
    parent = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        root_path=root_path,
        **mount_options(),
    )
    (app,) = (route.app for route in parent.routes if isinstance(route, Mount))
    inner = cast(App, app)
    blocks.sessions, blocks.disk = Sessions(), doors.disk
    inner.state_holder = blocks.sessions
    inner.state_holder.set_blocks(blocks)
    blocks.app = inner
    blocks.is_running = True  # Gradio's own launch says so; streams end where it is false
    return Guard(cast(ASGIApp, parent), doors, blocks.places)
