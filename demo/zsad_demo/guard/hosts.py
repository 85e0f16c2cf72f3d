"""Names under which the app may be asked for: no page of others reaches it by a name of its own."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

LOCAL = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("", "0.0.0.0", "::")


class Hosts:
    """The names that a Host header may hold.

    Listening on all interfaces, every address in numbers is fine: who is asked by number was not led here by
    a name that changed its meaning.

    Attributes:
        names: In lower case; ``*`` for any, ``*.example.org`` for all below a domain.
    """

    def __init__(self, host: str, allowed: Sequence[str] = ()) -> None:
        """Take the interface that is listened on, and the names of ``--allowed-host``."""
        served = host.strip("[]").lower()
        self._any_number = served in WILDCARDS
        own = (socket.gethostname().lower(),) if self._any_number else (served,)
        self.names = {*LOCAL, *own, *(name.strip("[]").lower() for name in allowed)}

    def allow(self, name: str) -> None:
        """Add a name."""
        self.names.add(name.lower())

    def __contains__(self, header: str) -> bool:
        """Whether a Host header, with or without a port, holds one of the names."""
        name = _name(header)
        if not name:
            return False
        parents = name.split(".")
        wild = {"*", *("*." + ".".join(parents[start:]) for start in range(1, len(parents)))}
        return name in self.names or bool(wild & self.names) or (self._any_number and _is_number(name))


def _name(header: str) -> str:
    """Return the name of a Host header without its port, or nothing where it has another form."""
    if header.startswith("["):
        name, bracket, port = header[1:].partition("]")
        port = port.removeprefix(":") if port else "0"
        return name.lower() if bracket and port.isdecimal() and _is_number(name) else ""
    name, colon, port = header.partition(":")
    return name.lower().removesuffix(".") if not colon or port.isdecimal() else ""


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
