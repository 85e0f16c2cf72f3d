"""What happens at the door: logins by form and by program, and logouts."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response

from zsad_demo.guard.logins import Logins, login_cookie, login_page
from zsad_demo.guard.replies import Message, Receive, Refused, Scope

FORM = 4_000
"""Largest form, in bytes."""


class Answer(Protocol):
    """Sends what the door says."""

    async def __call__(self, message: Message) -> None:
        """Send a message."""

    async def html(self, page: str, status: int, headers: Any = None) -> None:
        """Send a page."""


async def log_in(logins: Logins, scope: Scope, receive: Receive, answer: Answer, who: str) -> None:
    """Answer a name with a password: in the form's own page, or for Gradio's client as JSON.

    Raises:
        Refused: For a program, where they are wrong or not looked at.
    """
    headers = Headers(scope=scope)
    as_page = "text/html" in headers.get("accept", "")
    if scope["method"] != "POST":
        await answer.html(login_page(), 200)
        return
    refused: Refused | None = None
    if seconds := logins.locked(who):
        sentence = f"too many wrong passwords; try again in {seconds} s"
        refused = Refused(429, sentence, {"retry-after": str(seconds)})
    else:
        form = parse_qs((await _body(receive)).decode(errors="replace"), keep_blank_values=True)
        name, password = (form.get(field, [""])[0] for field in ("username", "password"))
        token = logins.login(who, name.strip(), password)
        if token is None:
            refused = Refused(400, "name or password is wrong")
    if refused is None:
        assert token is not None
        done: Response = RedirectResponse("./", 303) if as_page else JSONResponse({"success": True})
        done.headers["set-cookie"] = login_cookie(token, scope["scheme"] == "https")
        await done(scope, receive, answer)
    elif as_page:
        extra = [(name.encode(), value.encode()) for name, value in refused.headers.items()]
        await answer.html(login_page(refused.sentence), refused.status, extra)
    else:
        raise refused


async def log_out(logins: Logins, scope: Scope, receive: Receive, answer: Answer) -> None:
    """End a login. Only a POST comes here: a mere link or picture can log nobody out."""
    logins.logout(Headers(scope=scope).get("cookie", ""))
    response = RedirectResponse("./", 303)
    response.headers["set-cookie"] = login_cookie("", scope["scheme"] == "https")
    await response(scope, receive, answer)


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > FORM:
            raise Refused(413, "a name and a password are shorter than that")
        if not message.get("more_body"):
            return body
