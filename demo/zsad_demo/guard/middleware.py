"""The guard itself: an ASGI app in front of Gradio's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers

from zsad_demo.guard.disk import AT_ONCE
from zsad_demo.guard.door import log_in, log_out
from zsad_demo.guard.doors import Doors
from zsad_demo.guard.headers import script_hashes, security_headers
from zsad_demo.guard.log import failed
from zsad_demo.guard.logins import login_page
from zsad_demo.guard.replies import ASGIApp, Message, Receive, Refused, Scope, Send
from zsad_demo.guard.routes import FILE, UPLOAD, file_in, is_served, needs_login, takes_a_place
from zsad_demo.guard.sessions import PLACES_PER_VISITOR
from zsad_demo.guard.visitors import visitor, visitor_of, with_sender

BODY = 1_000_000
"""Largest request without files, in bytes."""
POSTS_AT_ONCE = 24
"""Requests of one visitor that are being answered, those that only listen aside."""


class Guard:
    """Lets through what the page and Gradio's client ask for, within a visitor's limits."""

    def __init__(self, app: ASGIApp, doors: Doors, places: Callable[[str], int]) -> None:
        """Stand in front of an app.

        Args:
            app: Gradio's.
            doors: What the operator said.
            places: Returns how many places in the queue a visitor has.
        """
        self._app, self._doors, self._places = app, doors, places
        self._posts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio's page opens no web socket
            await send({"type": "websocket.close", "code": 1008})
            return
        scope = with_sender(scope, self._doors.proxies)
        who = visitor_of(scope["client"])
        visitor.set(who)
        answer = _Answer(send, self._doors.frames, is_page=scope["path"] == "/")
        try:
            await self._pass(scope, receive, answer, who)
        except Refused as refused:
            if not answer.started:
                await refused.response()(scope, receive, answer)
        except Exception as error:
            failed("a request failed", error)
            if not answer.started:
                sorry = Refused(500, "the server failed at this; its log says why")
                await sorry.response()(scope, receive, answer)

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer, who: str) -> None:
        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        self._check_name(headers)
        if not is_served(method, path):
            raise Refused(404, "there is nothing here")
        if method == "POST":
            self._check_origin(headers)
        if await self._at_the_door(scope, receive, answer, who):
            return
        if path.startswith(FILE):
            file = file_in(path, self._doors.disk.folder)
            if file is None:
                raise Refused(404, "there is no such file")
            self._doors.disk.touch(file)
        if path == "/":  # the page is looked at on its way out, which a compressed one does not allow
            scope = scope | {"headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        if method != "POST":
            await self._app(scope, receive, answer)
            return
        size = _announced(headers, AT_ONCE if path.rstrip("/") == UPLOAD else BODY)
        if takes_a_place(method, path) and self._places(who) >= PLACES_PER_VISITOR:
            raise Refused(503, f"you have {PLACES_PER_VISITOR} places in the queue; wait for one of them")
        if self._posts[who] >= POSTS_AT_ONCE:
            raise Refused(503, f"{POSTS_AT_ONCE} of your requests are being answered; wait for one of them")
        self._posts[who] += 1
        try:
            if path.rstrip("/") == UPLOAD:
                await self._upload(scope, receive, answer, who, size)
            else:
                await self._app(scope, receive, answer)
        finally:
            self._posts[who] -= 1
            self._posts += Counter()  # drops those at 0

    def _check_name(self, headers: Headers) -> None:
        """See that the app was asked for under one of its names."""
        names = headers.getlist("host")
        if len(names) != 1 or names[0] not in self._doors.hosts:
            raise Refused(
                421, "the app is not served under this name; whoever runs it adds names by --allowed-host"
            )

    def _check_origin(self, headers: Headers) -> None:
        """See that no page of somebody else sends something in a visitor's name."""
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc not in self._doors.hosts
        if foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "pages of other sites may send nothing here")

    async def _at_the_door(self, scope: Scope, receive: Receive, answer: _Answer, who: str) -> bool:
        """Answer logins, logouts, and those who did not log in; return whether that was all."""
        logins, path, headers = self._doors.logins, scope["path"], Headers(scope=scope)
        if path.rstrip("/") in ("/login", "/logout") and not logins:
            raise Refused(404, "there is nothing here")
        if path.rstrip("/") == "/login":
            await log_in(logins, scope, receive, answer, who)
            return True
        if logins and needs_login(path) and not logins.is_in(headers.get("cookie", "")):
            if path != "/":
                raise Refused(401, "log in first")
            await answer.html(login_page(), 401)
            return True
        if path.rstrip("/") == "/logout":
            await log_out(logins, scope, receive, answer)
            return True
        return False

    async def _upload(self, scope: Scope, receive: Receive, answer: _Answer, who: str, size: int) -> None:
        disk = self._doors.disk
        await anyio.to_thread.run_sync(disk.make_room, who, size)
        answer.keeps = True
        await self._app(scope, receive, answer)
        try:
            paths = json.loads(answer.body)
        except ValueError:  # refused by Gradio, in words
            return
        if isinstance(paths, list):
            for path in paths:
                disk.give(Path(str(path)), who)


class _Answer:
    """Sends an answer with the headers that browsers are to get.

    Attributes:
        started: Whether something was sent.
        keeps: Whether the body is kept.
        body: It, then.
    """

    def __init__(self, send: Send, frames: str, is_page: bool) -> None:
        self._send, self._frames, self._is_page = send, frames, is_page
        self._start: Message | None = None
        self.started = self.keeps = False
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._start = message
            if not self._is_page:
                await self._open(())
        elif self._is_page and message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                await self._open(script_hashes(self.body))
                await self._send({"type": "http.response.body", "body": self.body})
        else:
            if self.keeps:
                self.body += message.get("body", b"")
            await self._send(message)

    async def html(self, page: str, status: int, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Send a page that is not Gradio's."""
        text = page.encode()
        kind = (b"content-type", b"text/html; charset=utf-8")
        length = (b"content-length", str(len(text)).encode())
        await self({
            "type": "http.response.start", "status": status,
            "headers": [kind, length, (b"cache-control", b"no-store"), *(headers or [])],
        })  # fmt: skip
        await self({"type": "http.response.body", "body": text})

    async def _open(self, scripts: tuple[str, ...]) -> None:
        assert self._start is not None
        ours = security_headers(scripts, self._frames)
        names = {name for name, _ in ours} | {b"server"}
        kept = [pair for pair in self._start.get("headers", ()) if pair[0].lower() not in names]
        await self._send({**self._start, "headers": [*kept, *ours]})


def _announced(headers: Headers, most: int) -> int:
    """Return the size of a request's body, which has to be told beforehand.

    Raises:
        Refused: It is not, or it is too large.
    """
    length = headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in headers:
        raise Refused(411, "the size of what is sent has to be told beforehand (Content-Length)")
    if int(length) > most:
        raise Refused(413, f"at most {most // 10**6} MB are taken at once; send less")
    return int(length)
