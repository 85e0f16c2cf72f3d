"""How the app is served: its names, its users, the proxies before it, and who may frame it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zsad_demo.guard.disk import Disk
from zsad_demo.guard.hosts import Hosts
from zsad_demo.guard.logins import Logins
from zsad_demo.guard.visitors import Network


@dataclass(frozen=True, eq=False)
class Doors:
    """What the guard is told by the operator.

    Attributes:
        hosts: Names under which the app may be asked for.
        proxies: From whom forwarded headers are taken.
        logins: Users and their logins.
        disk: The folder of uploads and made files.
        frames: Who may frame the page, as ``frame-ancestors`` has it.
    """

    hosts: Hosts
    proxies: Sequence[Network]
    logins: Logins
    disk: Disk
    frames: str = "'none'"
