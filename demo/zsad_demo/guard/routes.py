"""What can be asked for at all: the routes that the page and Gradio's client use, and no others.

Gradio has many more: it relays addresses, keeps the calls of components, takes recordings, edits the app's
code. What is not listed here is answered as if it did not exist.
"""

from __future__ import annotations

import re
from pathlib import Path

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
_NAME = r"[\w-]{1,80}"
_READ = re.compile(
    rf"/|/login/?|/config/?|/theme\.css|/robots\.txt|/favicon\.ico|/manifest\.json|/(static|assets|svelte)/[\w./@+-]+"
    rf"|{API}/(theme\.css|info/?|app_id|login_check|user|startup-events|queue/(status|data)|upload_progress)"
    rf"|{API}/heartbeat/{_NAME}|{API}/call/(v2/)?{_NAME}/{_NAME}|{API}/file=.+"
)
_POST = re.compile(
    rf"/log(in|out)/?|{API}/(queue/join|cancel|reset|upload)/?|{API}/(run|api|call|call/v2)/{_NAME}/?"
)
_WAITS = re.compile(rf"{API}/(queue/join|call/.+)")
_WITHOUT_LOGIN = re.compile(r"/(login/?|robots\.txt|favicon\.ico)")


def is_served(method: str, path: str) -> bool:
    """Whether the app answers a request."""
    if method in ("GET", "HEAD"):
        return bool(_READ.fullmatch(path))
    return method == "POST" and bool(_POST.fullmatch(path))


def takes_a_place(method: str, path: str) -> bool:
    """Whether a request asks for a place in the queue."""
    return method == "POST" and bool(_WAITS.fullmatch(path))


def needs_login(path: str) -> bool:
    """Whether only those who logged in may ask for it, where a login is asked for."""
    return not _WITHOUT_LOGIN.fullmatch(path)


def file_in(path: str, folder: Path) -> Path | None:
    """Return the file of a visitor that a route names, or None where it names anything else.

    Gradio would fetch an address here, and relay what it got.

    Args:
        path: The route, decoded.
        folder: Where files for visitors lie, without links.
    """
    named = path.removeprefix(FILE)
    if not named.startswith(str(folder)):  # before anything looks at it: a name can be one of a network too
        return None
    try:
        file = Path(named).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return file if file.is_relative_to(folder) and file.is_file() else None
