"""Serves the app until somebody stops it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsad.errors import InputError


@dataclass(frozen=True)
class Address:
    """Where and to whom the app is served.

    Attributes:
        host: Interface to listen on.
        port: Port, or None for the first free one from 7860 on.
        auth: Users with their passwords, or none for everybody.
        root_path: Path under which a proxy serves the app, or None.
        share: Whether to open Gradio's public tunnel.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    auth: Sequence[tuple[str, str]] = ()
    root_path: str | None = None
    share: bool = False


@contextmanager
def own_folder() -> Iterator[Path]:
    """Have Gradio keep uploads and results in a folder that goes away with the server.

    Enter it before the app is built: components remember the folder.
    """
    former = {name: os.environ.get(name) for name in _ENVIRONMENT}
    with tempfile.TemporaryDirectory(prefix="zsad-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        for variable, value in _ENVIRONMENT.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value.format(folder=folder)
        try:
            yield folder
        finally:
            for variable, old in former.items():
                if old is None:
                    os.environ.pop(variable, None)
                else:
                    os.environ[variable] = old


_ENVIRONMENT = {
    "GRADIO_TEMP_DIR": "{folder}",
    "GRADIO_EXAMPLES_CACHE": "{folder}/examples",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_MAX_EVENTS": "100",  # Gradio goes through all that it keeps after every event
    "GRADIO_ALLOWED_PATHS": None,  # no path of the server can be read through the app, whatever is set
}


def check_address(address: Address) -> None:
    """See that an address can be listened on, before seconds go into a backbone.

    Raises:
        InputError: The port is taken, or the host is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(address.host.strip("[]"), address.port or 0, type=socket.SOCK_STREAM)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise _cannot_listen(address) from error


def _cannot_listen(address: Address) -> InputError:
    where = f"{address.host}:{address.port}" if address.port else address.host
    return InputError(
        f"cannot listen on {where}: the port is taken or the host is none of this machine; name another "
        "--port or --host"
    )


def launch(app: Any, address: Address) -> str:
    """Start serving in the background and return the app's address.

    Raises:
        InputError: The port is taken, or the host is none of this machine's.
    """
    from zsad_demo.app import launch_options

    host = address.host.strip("[]")
    try:
        _, url, public = app.launch(
            server_name=f"[{host}]" if ":" in host else host,  # Gradio builds addresses of it
            server_port=address.port,
            auth=list(address.auth) or None,
            root_path=address.root_path,
            share=address.share,
            prevent_thread_lock=True,
            quiet=True,
            **launch_options(),
        )
    except OSError as error:
        raise _cannot_listen(address) from error
    return str(public or url)
