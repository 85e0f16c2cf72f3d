"""Serves the app until somebody stops it."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zsad.errors import InputError

if TYPE_CHECKING:
    import uvicorn

    from zsad_demo.blocks import GuardedBlocks
    from zsad_demo.guard.doors import Doors

FIRST_PORT, PORTS = 7860, 100
STARTING_SECONDS = 30


@dataclass(frozen=True)
class Address:
    """Where and to whom the app is served.

    Attributes:
        host: Interface to listen on.
        port: Port, or None for the first free one from 7860 on.
        auth: Users with their passwords, or none for everybody.
        root_path: Path under which a proxy serves the app, or None.
        share: Whether to open Gradio's public tunnel.
        allowed_hosts: Further names under which the app may be asked for.
        trusted_proxies: Addresses and networks of proxies whose forwarded headers are believed.
        frames: Who may frame the page, as ``frame-ancestors`` has it.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    auth: Sequence[tuple[str, str]] = ()
    root_path: str | None = None
    share: bool = False
    allowed_hosts: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()
    frames: str = "'none'"

    @property
    def bare_host(self) -> str:
        """The interface without the brackets that IPv6 has in addresses."""
        return self.host.strip("[]")


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
        InputError: The port is taken, the host is none of this machine's, or a proxy is no address.
    """
    from zsad_demo.guard.visitors import parse_proxies

    parse_proxies(address.trusted_proxies)
    _bound(address).close()


def _bound(address: Address) -> socket.socket:
    """Return a socket that is bound to the port, or to the first free one.

    Raises:
        InputError: The port is taken, or the host is none of this machine's.
    """
    ports = [address.port] if address.port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for port in ports:
        try:
            return _bound_to(address.bare_host, port)
        except OSError as error:
            failure = error
    where = f"{address.host}:{address.port}" if address.port else address.host
    raise InputError(
        f"cannot listen on {where}: the port is taken or the host is none of this machine; name another "
        "--port or --host"
    ) from failure


def _bound_to(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except OSError:
        listening.close()
        raise
    return listening


class Service:
    """An app that is being served in the background.

    Attributes:
        url: Where it is.
    """

    def __init__(self, app: GuardedBlocks, server: uvicorn.Server, thread: threading.Thread, url: str):
        self._app, self._server, self._thread, self.url = app, server, thread, url

    def close(self) -> None:
        """Stop serving."""
        self._app.is_running = False
        self._app.app.stop_event.set()
        self._app._queue.close()  # type: ignore[no-untyped-call]
        self._server.should_exit = True
        self._thread.join(timeout=10)


def launch(app: GuardedBlocks, address: Address) -> Service:
    """Start serving in the background.

    Raises:
        InputError: The port is taken, or the host is none of this machine's.
    """
    import uvicorn

    from zsad_demo.guard.log import steady_logs
    from zsad_demo.mounting import guarded

    steady_logs()
    doors = _doors(address)
    listening = _bound(address)
    port = listening.getsockname()[1]
    served = guarded(app, doors, address.root_path)
    config = uvicorn.Config(
        served, log_level="warning", access_log=False, proxy_headers=False, server_header=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + STARTING_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.005)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.bare_host, address.bare_host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if address.share:
        url = _tunnel(port)
        doors.hosts.allow(urlsplit(url).netloc)
    return Service(app, server, thread, url)


def _doors(address: Address) -> Doors:
    from gradio.utils import get_upload_folder

    from zsad_demo.guard.disk import Disk
    from zsad_demo.guard.doors import Doors
    from zsad_demo.guard.hosts import Hosts
    from zsad_demo.guard.logins import Logins
    from zsad_demo.guard.visitors import parse_proxies

    return Doors(
        Hosts(address.host, address.allowed_hosts),
        parse_proxies(address.trusted_proxies),
        Logins(address.auth),
        Disk(Path(get_upload_folder())),
        address.frames,
    )


def _tunnel(port: int) -> str:
    """Open Gradio's public tunnel to a port of this machine and return its address."""
    from gradio.networking import setup_tunnel

    return setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
