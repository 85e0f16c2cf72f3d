from __future__ import annotations

from typing import Any

import pytest

from zsad.errors import InputError
from zsad_demo.guard.visitors import parse_proxies, visitor_of, with_sender


def scope(peer: str, **headers: str) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"client": (peer, 5), "scheme": "http", "headers": named}


FORWARDED = {
    "host": "app",
    "x_forwarded_for": "6.6.6.6, 192.0.2.7, 10.0.0.9",
    "X_Forwarded_Host": "demo.example",
    "x_forwarded_proto": "https",
    "x_gradio_server": "http://evil.example",
    "forwarded": "for=6.6.6.6",
}


def test_a_stranger_says_nothing_about_who_sent_it() -> None:
    found = with_sender(scope("192.0.2.1", **FORWARDED), parse_proxies(["10.0.0.0/8"]))
    assert found["client"][0] == "192.0.2.1"
    assert found["scheme"] == "http"
    assert found["headers"] == [(b"host", b"app")]


def test_a_trusted_proxy_is_believed_as_far_as_proxies_go() -> None:
    found = with_sender(scope("10.0.0.1", **FORWARDED), parse_proxies(["10.0.0.0/8"]))
    assert found["client"][0] == "192.0.2.7"  # not 6.6.6.6, which the visitor may have written
    assert found["scheme"] == "https"
    assert found["headers"] == [(b"host", b"demo.example")]


@pytest.mark.parametrize("said", ["", "nonsense", "10.0.0.2", "10.0.0.3, 10.0.0.2"])
def test_a_proxy_that_names_nobody_is_the_sender(said: str) -> None:
    found = with_sender(scope("10.0.0.1", x_forwarded_for=said), parse_proxies(["10.0.0.0/8"]))
    assert found["client"][0] == "10.0.0.1"


def test_limits_count_households() -> None:
    assert visitor_of(("192.0.2.1", 1)) == visitor_of(("192.0.2.1", 2)) != visitor_of(("192.0.2.2", 1))
    assert visitor_of(("2001:db8::1", 1)) == visitor_of(("2001:db8::ffff:2", 1)) == "2001:db8::/64"
    assert visitor_of(("2001:db8:0:1::1", 1)) != visitor_of(("2001:db8::1", 1))
    assert visitor_of(None) == visitor_of(("no address", 1))


def test_proxies_are_addresses() -> None:
    with pytest.raises(InputError, match=r"--trusted-proxy: .*'proxy.example'.*write an address as"):
        parse_proxies(["proxy.example"])
