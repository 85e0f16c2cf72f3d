"""Logins: who may in, how often a password may be wrong, and the page that asks for it.

Gradio has a login of its own, whose page tells strangers the app's whole interface.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie

COOKIE = "zsad-login"
MISSES = 5
"""Wrong passwords of a visitor before the door stays shut for a while."""
LOCKED_SECONDS = 60
"""For how long, at first; every further miss doubles it."""
LONGEST_SECONDS = 3600
LOGIN_SECONDS = 12 * 3600
"""Age at which a login ends."""
KEPT = 1000
"""Logins and visitors with misses that are remembered."""


@dataclass
class _Misses:
    count: int = 0
    locked_until: float = 0.0


class Logins:
    """Users, their logins and everybody's misses. Thread-safe."""

    def __init__(self, users: Sequence[tuple[str, str]], clock: Callable[[], float] = time.monotonic) -> None:
        """Take names with passwords; nobody means that no login is asked for."""
        self._users = list(users)
        self._clock = clock
        self._lock = threading.Lock()
        self._until: OrderedDict[str, float] = OrderedDict()
        self._misses: OrderedDict[str, _Misses] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._users)

    def locked(self, visitor: str) -> int:
        """Return for how many seconds a visitor's passwords are not looked at; 0 for an open door."""
        with self._lock:
            misses = self._misses.get(visitor)
            return max(0, round(misses.locked_until - self._clock() + 0.5)) if misses else 0

    def login(self, visitor: str, name: str, password: str) -> str | None:
        """Return the value of a cookie, or None for a wrong name or password."""
        with self._lock:
            # All are compared, so that the time tells nothing of who exists.
            right = [_same(name, user) & _same(password, own) for user, own in self._users]
            if not any(right):
                self._miss(visitor)
                return None
            self._misses.pop(visitor, None)
            token = secrets.token_urlsafe(32)
            self._until[token] = self._clock() + LOGIN_SECONDS
            _bound(self._until)
            return token

    def is_in(self, cookies: str) -> bool:
        """Whether a Cookie header holds a login."""
        token = _token(cookies)
        with self._lock:
            return self._until.get(token, 0.0) > self._clock()

    def logout(self, cookies: str) -> None:
        """End the login of a Cookie header."""
        with self._lock:
            self._until.pop(_token(cookies), None)

    def _miss(self, visitor: str) -> None:
        misses = self._misses.setdefault(visitor, _Misses())
        misses.count += 1
        self._misses.move_to_end(visitor)
        _bound(self._misses)
        if (beyond := misses.count - MISSES) >= 0:
            seconds = min(LOCKED_SECONDS * 2 ** min(beyond, 10), LONGEST_SECONDS)
            misses.locked_until = self._clock() + seconds


def login_cookie(token: str, secure: bool) -> str:
    """Return the Set-Cookie header of a login; an empty token takes it away."""
    age = LOGIN_SECONDS if token else 0
    return f"{COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{'; Secure' * secure}"


def login_page(sentence: str = "") -> str:
    """Return the page that asks for a password, and tells nothing else."""
    said = f'<p role="alert">{escape(sentence)}</p>' if sentence else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:1rem system-ui,sans-serif;max-width:20rem;margin:4rem auto;padding:0 1rem;"
        "color-scheme:light dark}label,input,button{display:block;width:100%;box-sizing:border-box}"
        "input,button{font:inherit;padding:.5rem;margin:.25rem 0 1rem}</style>"
        f"<h1>Log in</h1>{said}"
        '<form method="post" action="login"><label for="username">Name</label>'
        '<input id="username" name="username" autocomplete="username" required autofocus>'
        '<label for="password">Password</label><input id="password" name="password" type="password" '
        'autocomplete="current-password" required><button>Log in</button></form></html>'
    )


def _same(given: str, own: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), own.encode(errors="replace"))


def _token(cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _bound(kept: OrderedDict[str, object] | OrderedDict[str, float] | OrderedDict[str, _Misses]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)
