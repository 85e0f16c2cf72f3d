"""The app of ``zsad demo`` on a Hugging Face Space."""

from __future__ import annotations

import os

from zsad.cli.demo import AUTH, parse_auth
from zsad_demo.app import build_app, launch_options
from zsad_demo.engine import Engine

names = os.environ.get("ZSAD_DEMO_BACKBONES", "mini").split(",")
demo = build_app(Engine([name.strip() for name in names if name.strip()]))

if __name__ == "__main__":
    demo.launch(auth=parse_auth(os.environ.get(AUTH)) or None, **launch_options())
