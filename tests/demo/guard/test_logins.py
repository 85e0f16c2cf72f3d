from __future__ import annotations

import pytest

from zsad_demo.guard.logins import (
    KEPT,
    LOGIN_SECONDS,
    LONGEST_SECONDS,
    MISSES,
    Logins,
    login_cookie,
    login_page,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(clock: Clock) -> Logins:
    return Logins([("ada", "one:two"), ("bob", "drei\u00df")], clock)


def test_a_login_lasts_half_a_day_or_until_it_is_left(logins: Logins, clock: Clock) -> None:
    token = logins.login("v", "bob", "drei\u00df")
    assert token is not None
    cookie = login_cookie(token, secure=False).partition(";")[0]
    assert logins.is_in(f"a=b; {cookie}")
    for other in ("", "zsad-login=", "zsad-login=x", "=;=", f"other={token}"):
        assert not logins.is_in(other)
    clock.now += LOGIN_SECONDS + 1
    assert not logins.is_in(cookie)
    again = logins.login("v", "ada", "one:two")
    logins.logout(f"zsad-login={again}")
    assert not logins.is_in(f"zsad-login={again}")


@pytest.mark.parametrize(
    "pair", [("ada", "one"), ("ada", "drei\u00df"), ("eve", "one:two"), ("", ""), ("\ud800", "\0")]
)
def test_wrong_pairs_are_wrong(logins: Logins, pair: tuple[str, str]) -> None:
    assert logins.login("v", *pair) is None


def test_after_some_misses_the_door_stays_shut_for_longer_and_longer(logins: Logins, clock: Clock) -> None:
    for _ in range(MISSES - 1):
        logins.login("v", "ada", "x")
    assert logins.locked("v") == 0
    waits = []
    for _ in range(8):
        logins.login("v", "ada", "x")
        waits.append(logins.locked("v"))
        clock.now += waits[-1] + 1
        assert logins.locked("v") == 0
    assert waits == [60, 120, 240, 480, 960, 1920, LONGEST_SECONDS, LONGEST_SECONDS]
    assert logins.locked("w") == 0  # somebody else
    assert logins.login("v", "ada", "one:two")
    logins.login("v", "ada", "x")
    assert logins.locked("v") == 0


def test_what_is_remembered_is_bounded(logins: Logins) -> None:
    tokens = [logins.login("v", "ada", "one:two") for _ in range(KEPT + 1)]
    assert not logins.is_in(f"zsad-login={tokens[0]}")
    assert logins.is_in(f"zsad-login={tokens[-1]}")


def test_the_page_tells_nothing_and_cookies_are_the_servers() -> None:
    page = login_page("<b>no</b>")
    assert "&lt;b&gt;no" in page
    assert "<script" not in page
    assert "gradio" not in page.lower()
    assert login_cookie("t", secure=True).endswith("HttpOnly; SameSite=Lax; Secure")
