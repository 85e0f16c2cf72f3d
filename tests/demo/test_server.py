from __future__ import annotations

import socket

import gradio as gr
import httpx
import pytest

from zsad_demo.blocks import GuardedBlocks
from zsad_demo.server import Address, check_address, launch, own_folder


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_hosts_of_every_spelling_are_served(host: str) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            if ":" in host:
                pytest.skip("this machine has no IPv6")
    with own_folder():
        with GuardedBlocks(analytics_enabled=False) as app:
            gr.HTML("here")
        check_address(Address(host))
        service = launch(app, Address(host))
        try:
            assert httpx.get(f"{service.url}config").status_code == 200
        finally:
            service.close()
