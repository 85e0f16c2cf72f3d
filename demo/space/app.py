"""The app of ``zsad demo`` on a Hugging Face Space."""

from __future__ import annotations

import os
import threading

from zsad.cli.demo import AUTH, parse_auth
from zsad_demo.app import build_app
from zsad_demo.engine import Engine
from zsad_demo.server import Address, launch

names = os.environ.get("ZSAD_DEMO_BACKBONES", "mini").split(",")
users = parse_auth(os.environ.get(AUTH))
demo = build_app(Engine([name.strip() for name in names if name.strip()]), logout=bool(users))

if __name__ == "__main__":
    # The Space's own proxy is the only one that reaches this machine, and it knows the names.
    address = Address(
        "0.0.0.0", 7860, users, allowed_hosts=("*",), trusted_proxies=("10.0.0.0/8",),
        frames="https://huggingface.co",
    )  # fmt: skip
    launch(demo, address)
    threading.Event().wait()
