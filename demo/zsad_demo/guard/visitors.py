"""Who asks: the address of a visitor, also behind a proxy that the operator trusts."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from zsad.errors import InputError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = list[tuple[bytes, bytes]]

visitor: ContextVar[str] = ContextVar("visitor", default="")
"""Whose request is being answered; limits count under it."""

_FORWARDED = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"x-gradio-", b"x-direct-url", b"x-ip-token")


def parse_proxies(given: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of ``--trusted-proxy``.

    Raises:
        InputError: One is neither an address nor a network.
    """
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in given)
    except ValueError as error:
        raise InputError(
            f"--trusted-proxy: {error}; write an address as 10.0.0.1, or a network as 10.0.0.0/8"
        ) from error


def with_sender(scope: dict[str, Any], proxies: Sequence[Network]) -> dict[str, Any]:
    """Return a request that tells who sent it, and nothing that only a trusted proxy may say.

    Args:
        scope: The ASGI scope.
        proxies: From whom forwarded headers are taken.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    headers: Headers = [(name.lower(), value) for name, value in scope["headers"]]
    kept = [(name, value) for name, value in headers if not name.startswith(_FORWARDED)]
    if not _within(peer, proxies):
        return scope | {"headers": kept}
    said = {name: value.decode("latin-1") for name, value in headers if name.startswith(b"x-forwarded-")}
    changed: dict[str, Any] = {}
    # Only what trusted proxies added at the end counts: what stands before it the visitor may have made up.
    hops = [hop.strip() for hop in said.get(b"x-forwarded-for", "").split(",") if hop.strip()]
    sender = next((hop for hop in reversed(hops) if not _within(hop, proxies)), peer)
    if _number(sender) is not None:
        changed["client"] = (sender, 0)
    if said.get(b"x-forwarded-proto") in ("http", "https"):
        changed["scheme"] = said[b"x-forwarded-proto"]
    if host := said.get(b"x-forwarded-host"):
        kept = [(name, value) for name, value in kept if name != b"host"]
        kept.append((b"host", host.split(",")[-1].strip().encode("latin-1")))
    return scope | changed | {"headers": kept}


def visitor_of(client: Sequence[Any] | None) -> str:
    """Return under what the limits count a sender: an address, or the /64 that one household has."""
    number = _number(client[0]) if client else None
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is None:
        return str(ipaddress.ip_network((number, 64), strict=False))
    return str(number)


def _number(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _within(text: str, networks: Sequence[Network]) -> bool:
    number = _number(text)
    return number is not None and any(number in network for network in networks)
