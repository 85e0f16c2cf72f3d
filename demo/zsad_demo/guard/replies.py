"""Answers that the guard gives itself: one sentence each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse, Response

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refused(Exception):
    """A request that goes no further.

    Attributes:
        status: HTTP status.
        sentence: What the visitor reads.
        headers: Of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}

    def response(self) -> Response:
        """Return the answer, in the form that Gradio's page and client read sentences from."""
        content = {"detail": self.sentence, "error": self.sentence}
        return JSONResponse(content, self.status, headers=self.headers)
