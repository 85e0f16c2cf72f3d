from __future__ import annotations

import socket

import pytest

from zsad_demo.guard.hosts import Hosts

OURS = ["127.0.0.1", "127.0.0.1:7860", "localhost:7860", "LOCALHOST", "localhost.", "[::1]:7860", "[::1]"]
FOREIGN = ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost:x",
           "::1", "[::1", "[evil.example]:80", "localhost@evil.example", "a b", "localhost/"]  # fmt: skip


@pytest.mark.parametrize("header", OURS)
def test_a_local_app_has_local_names(header: str) -> None:
    assert header in Hosts("127.0.0.1")


@pytest.mark.parametrize("header", FOREIGN)
def test_other_names_are_not_its_own(header: str) -> None:
    assert header not in Hosts("127.0.0.1")


def test_on_all_interfaces_numbers_and_its_own_name_are_fine() -> None:
    for host in ("0.0.0.0", "::", "[::]"):
        hosts = Hosts(host)
        for header in ("192.168.1.20:7860", "[fe80::1]:7860", socket.gethostname(), "localhost"):
            assert header in hosts
        assert "evil.example" not in hosts


def test_further_names_are_allowed_by_name_or_below_a_domain() -> None:
    hosts = Hosts("10.1.2.3", ["Demo.Example.org", "*.parts.example"])
    assert {name: name in hosts for name in ("10.1.2.3:80", "demo.example.org", "a.parts.example",
            "a.b.parts.example:443", "parts.example", "xparts.example", "example.org")} == {
        "10.1.2.3:80": True, "demo.example.org": True, "a.parts.example": True, "a.b.parts.example:443": True,
        "parts.example": False, "xparts.example": False, "example.org": False,
    }  # fmt: skip
    assert "anything.example" in Hosts("127.0.0.1", ["*"])
