"""A model hub on this machine: the few endpoints that a push and a pull of weights ask."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

READER, WRITER = "hf_reader", "hf_writer"
"""Tokens."""


@dataclass
class Repository:
    """Branches of files, and what was committed when."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    messages: list[str] = field(default_factory=list)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = self.branches.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        merged = {**self.commits[self.branches[branch]], **files}
        sha = hashlib.sha1(repr((branch, message, sorted(merged.items()))).encode()).hexdigest()
        self.branches[branch], self.commits[sha] = sha, merged
        self.messages.append(message)
        return sha


class Hub(ThreadingHTTPServer):
    """Holds repositories by name, and what it was asked for; refuses every change with ``refusal``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.refusal = ""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def _answer(self, status: int, body: object = None, code: str = "", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "X-Error-Code": code, **headers}
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _token(self) -> str:
        return (self.headers["Authorization"] or "").removeprefix("Bearer ")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path):
            known = self.server.repositories.get(found[1])
            if known is None:
                self._answer(404, code="RepoNotFound")
            else:
                self._answer(200, {"id": found[1], "private": known.private})
            return
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        assert found, self.path
        repository = self.server.repositories.get(found[1])
        if repository is None or (repository.private and not self._token()):
            self._answer(404 if self._token() else 401, code="RepoNotFound")
        elif (held := repository.files(unquote(found[2]))) is None:
            self._answer(404, code="RevisionNotFound")
        elif (content := held[1].get(unquote(found[3]))) is None:
            self._answer(404, code="EntryNotFound", X_Repo_Commit=held[0])
        else:
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._answer(200, content, ETag=etag, X_Repo_Commit=held[0])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif self._token() != WRITER:
            self._answer(403 if self._token() else 401)
        elif self.server.refusal:
            self._answer(400, {"error": self.server.refusal})
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        else:
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(branch|preupload|commit)/(.+)", self.path)
            assert found, self.path
            repository, branch = self.server.repositories[found[1]], unquote(found[3])
            if found[2] == "branch":
                repository.branches.setdefault(branch, repository.branches["main"])
                self._answer(200)
            elif found[2] == "preupload":
                names = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
                self._answer(200, {"files": modes})
            else:
                self._commit(found[1], branch, [json.loads(line) for line in body.splitlines()])

    def _create(self, wanted: dict[str, str]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        known = name in self.server.repositories
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.server.repositories.setdefault(name, Repository(private))
        self._answer(409 if known else 200, {"url": f"{self.server.endpoint}/{name}"})

    def _commit(self, name: str, branch: str, lines: list[dict[str, dict[str, str]]]) -> None:
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        message = lines[0]["value"]["summary"]
        sha = self.server.repositories[name].commit(branch, files, message)
        page = f"{self.server.endpoint}/{name}/commit/{sha}"
        self._answer(200, {"success": True, "commitOid": sha, "commitUrl": page, "hookOutput": ""})


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """Serve an empty hub that this process takes for the real one, with a token that may write."""
    from huggingface_hub import constants

    from zsad.backbones.hub import hub_reachable

    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    hub_reachable.cache_clear()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        hub_reachable.cache_clear()
