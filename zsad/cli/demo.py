"""``zsad demo``: the Gradio app."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from zsad.cli.common import DeviceOption, DtypeOption
from zsad.cli.output import print_message
from zsad.cli.paths import path
from zsad.errors import InputError

AUTH = "ZSAD_DEMO_AUTH"
LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port; by default the first free one from 7860 on.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Interface to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs", parser=path, metavar="DIR", show_default=False,
            help="Show an evaluation: a folder of 'zsad eval', or a folder of them.",
        ),
    ] = None,
    backbones: Annotated[
        list[str] | None,
        typer.Option(
            "--backbone", help="Backbone to offer; may be given several times.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights", metavar="METHOD=FILE",
            help="Learned weights to offer beside the embedded ones; may be given several times.",
        ),
    ] = None,
    in_memory: Annotated[
        int, typer.Option("--in-memory", min=1, help="Backbones that stay loaded at once.")
    ] = 2,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    auth: Annotated[
        str | None,
        typer.Option(
            "--auth", envvar=AUTH, metavar="USER:PASSWORD|@FILE", show_default=False,
            help="Ask for a password; @FILE has a USER:PASSWORD a line and keeps it out of process lists.",
        ),
    ] = None,
    root_path: Annotated[
        str | None,
        typer.Option("--root-path", help="Path under which a proxy serves the app.", show_default=False),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host", metavar="NAME", show_default=False,
            help="Name under which visitors reach the app, beside --host; *.example.org for all below it.",
        ),
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy", metavar="ADDRESS", show_default=False,
            help="Address or network of a proxy whose X-Forwarded headers are believed.",
        ),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Open Gradio's public tunnel; everybody with the link gets in.")
    ] = False,
) -> None:  # fmt: skip
    """Try methods on images in the browser."""
    users = parse_auth(auth)
    # Whatever can be refused is refused before seconds go into a backbone.
    from zsad.plugin.host import get_host
    from zsad_demo.catalogue import parse_weights
    from zsad_demo.runs import Run, find_runs
    from zsad_demo.server import Address, check_address, launch, own_folder

    address = Address(
        host, port, users, root_path, share, tuple(allowed_hosts or ()), tuple(trusted_proxies or ())
    )
    check_address(address)
    found = find_runs(runs) if runs else {}
    for folder in found.values():
        Run.read(folder).table()
    files = parse_weights(weights or (), get_host())
    with own_folder():
        from zsad_demo.app import build_app
        from zsad_demo.engine import Engine

        engine = Engine(backbones or (), weights=files, device=device, dtype=dtype, capacity=in_memory)
        app = build_app(engine, found, logout=bool(users))
        service = launch(app, address)
        if (host not in LOCAL or share) and not users:
            print_message("anybody who reaches the address can use the app; --auth asks for a password")
        print(f"zsad demo: {service.url} (Ctrl-C stops it)", flush=True)
        # Whoever stops a service asks by SIGTERM: the folder of uploads has to go then too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            threading.Event().wait()
        finally:
            service.close()


def parse_auth(given: str | None) -> list[tuple[str, str]]:
    """Return the users of ``--auth`` with their passwords.

    Raises:
        InputError: Another form, or a file that cannot be read.
    """
    if given is None:
        return []
    if given.startswith("@"):
        try:
            lines = Path(given[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--auth {given}: the file cannot be read as text") from error
    else:
        lines = [given]
    users = [line.strip().partition(":") for line in lines if line.strip()]
    if not users or not all(user and password for user, _, password in users):
        where = f"every line of {given[1:]}" if given.startswith("@") else "--auth"
        raise InputError(f"{where} has to have the form USER:PASSWORD")
    return [(user, password) for user, _, password in users]
