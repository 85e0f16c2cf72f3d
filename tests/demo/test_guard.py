"""The served app as a stranger meets it: what it refuses before Gradio sees it, and what Gradio would do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio_client import Client, handle_file

from tests.demo.conftest import Served
from zsad_demo.app import build_app
from zsad_demo.engine import Engine
from zsad_demo.guard.logins import MISSES
from zsad_demo.guard.sessions import PER_VISITOR, PLACES_PER_VISITOR
from zsad_demo.server import Address, Service, launch, own_folder

API = "gradio_api/"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that anybody in this process looks up while a test runs, this machine's own aside."""
    names: list[str] = []
    found = socket.getaddrinfo

    def looked_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name in ("127.0.0.1", "localhost", "None"):
            return found(host, *args, **kwargs)
        names.append(name)
        raise socket.gaierror("no names are looked up in tests")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return names


class _Relayed(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"relayed")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[ThreadingHTTPServer]:
    """Another server, which notes what it is asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Relayed)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def raw(url: str, target: str, *headers: str, method: str = "GET") -> tuple[int, str]:
    """Send a request exactly as it is written."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    with socket.create_connection((host, port or 80), timeout=10) as wire:
        lines = [f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", ""]
        wire.sendall("\r\n".join(lines).encode())
        answer = b""
        while chunk := wire.recv(65536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]), answer.decode("latin-1")


FORMS = ["http://{0}/x", "HTTP://{0}/x", "http%3A%2F%2F{0}/x", "//{0}/x", "http:/{0}/x", "http%253A//{0}/x",
         "https://{0}/x", "ftp://{0}/x"]  # fmt: skip


@pytest.mark.parametrize("prefix", ["file=", "file/", "proxy=", "file%3D", "FILE="])
@pytest.mark.parametrize("form", FORMS)
def test_the_server_fetches_no_address(
    served: Served, elsewhere: ThreadingHTTPServer, asked: list[str], prefix: str, form: str
) -> None:
    there = f"127.0.0.1:{elsewhere.server_port}"
    for host in (there, "relay.example"):
        target = f"/{API}{prefix}{form.format(host)}"
        for method in ("GET", "HEAD"):
            status, text = raw(served.url, target, "Host: localhost", method=method)
            assert status == 404
            assert "location:" not in text.lower()
    assert asked == []
    assert elsewhere.seen == []  # type: ignore[attr-defined]


def bare(auth: Any = None) -> TestClient:
    """Gradio without a guard."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        word = gr.Textbox(label="secret label")
        word.submit(lambda x: x, word, word, api_name="secret_method")
    return TestClient(gr.mount_gradio_app(FastAPI(), blocks, "/", auth=auth), base_url="http://localhost")


def test_gradio_itself_still_looks_up_what_visitors_name(asked: list[str], monkeypatch: Any) -> None:
    """Fails when Gradio mends it: then ``guard.routes.file_in`` is no longer needed for addresses."""

    async def resolve(host: str, *_: object) -> str:
        asked.append(host)
        raise OSError("no names are looked up in tests")

    monkeypatch.setattr("safehttpx.async_validate_url", resolve)
    assert bare().get(f"/{API}file=http://relay.example/x.png").status_code == 403
    assert asked == ["relay.example"]


def test_gradios_own_login_page_still_tells_the_interface() -> None:
    """Fails when Gradio mends it: then its own login would do, but for the lock-out."""
    assert "secret_method" in bare([("ada", "secret")]).get("/").text


def test_gradio_itself_still_believes_forwarded_headers() -> None:
    """Fails when Gradio mends it: then stripping them is no longer the guard's."""
    headers = {"x-forwarded-host": "evil.example"}
    assert bare().get("/config", headers=headers).json()["root"] == "http://evil.example"


def test_it_answers_to_its_own_names_only(served: Served) -> None:
    port = httpx.URL(served.url).port
    for name in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert raw(served.url, "/config", f"Host: {name}")[0] == 200
    for headers in (["Host: evil.example"], [f"Host: evil.example:{port}"], ["Host: 10.1.2.3"], ["Host:"],
                    ["Host: localhost", "Host: evil.example"]):  # fmt: skip
        for target in ("/", "/config", f"/{API}info", "/assets/x.js"):
            assert raw(served.url, target, *headers)[0] in (400, 421)


def test_forwarded_headers_of_strangers_count_for_nothing(served: Served) -> None:
    evil = "evil.example"
    headers = {"x-forwarded-host": evil, "x-forwarded-proto": "https", "forwarded": f"host={evil}",
               "x-gradio-server": f"http://{evil}", "x-forwarded-for": "6.6.6.6"}  # fmt: skip
    for path in ("config", ""):
        answer = httpx.get(f"{served.url}{path}", headers=headers)
        assert answer.status_code == 200
        assert "evil.example" not in answer.text
        assert "https://127.0.0.1" not in answer.text


def test_pages_of_others_send_nothing(served: Served) -> None:
    files = {"files": ("x.png", b"x")}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert httpx.post(f"{served.url}{API}upload", files=files, headers=headers).status_code == 403
    own = {"origin": served.url.rstrip("/"), "sec-fetch-site": "same-origin"}
    assert httpx.post(f"{served.url}{API}upload", files=files, headers=own).status_code == 200


def test_every_answer_tells_browsers_what_is_allowed(served: Served) -> None:
    for path, status in (("", 200), ("config", 200), ("openapi.json", 404), (f"{API}file=/etc/passwd", 404)):
        answer = httpx.get(f"{served.url}{path}")
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "object-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert "server" not in answer.headers


HIDDEN = ["openapi.json", "docs", "redoc", f"{API}openapi.json", f"{API}deep_link?session_hash=x",
          "monitoring", "logout", f"{API}vibe-code", f"{API}run-history/buckets"]  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN)
def test_nothing_beside_the_page_is_public(served: Served, path: str) -> None:
    assert httpx.get(f"{served.url}{path}").status_code == 404


def test_direct_posts_do_not_pass_the_queue(served: Served) -> None:
    before = served.engine.counts()
    for route in ("run", "api"):
        for name in ("inspect", "compare", "batch", "files", "batch_files"):
            body = {"data": [None] * 8, "session_hash": "x"}
            answer = httpx.post(f"{served.url}{API}{route}/{name}", json=body)
            assert answer.status_code == 404
            assert "join the queue" in answer.json()["detail"]
    assert served.engine.counts() == before


def test_a_visitor_has_some_places_in_the_queue_and_others_the_rest(
    served: Served, samples: list[Path]
) -> None:
    with samples[0].open("rb") as stream:
        path = httpx.post(f"{served.url}{API}upload", files={"files": stream}).json()[0]
    file = {"path": path, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file, "", "clip-baseline", "", "", None]}
    url = f"{served.url}{API}call/inspect"
    with served.engine._lock:  # nothing is answered meanwhile
        answers = [httpx.post(url, json=body) for _ in range(PLACES_PER_VISITOR + 3)]
        assert [answer.status_code for answer in answers] == [200] * PLACES_PER_VISITOR + [503] * 3
        assert f"you have {PLACES_PER_VISITOR} places in the queue" in answers[-1].json()["detail"]
    for answer in answers[:PLACES_PER_VISITOR]:
        event = httpx.get(f"{url}/{answer.json()['event_id']}", timeout=60).text
        assert "event: complete" in event
    assert httpx.post(url, json=body).status_code == 200


def test_a_visitors_many_sessions_push_out_the_own_alone(served: Served, samples: list[Path]) -> None:
    holder = served.sessions
    for session in ("kept-1", "kept-2"):
        holder[session]
        holder.claim(session, "192.0.2.9")
    client = served.client()
    inspect = [handle_file(str(samples[0])), "", "clip-baseline", "", "", None]
    client.predict(*inspect, api_name="/inspect")
    for number in range(PER_VISITOR + 5):
        assert "queue" not in httpx.post(f"{served.url}{API}call/threshold", json={"data": [0.5]}).text, (
            number
        )
        time.sleep(0.02)
    for number in range(PER_VISITOR + 5):  # a session is also made by what is refused
        httpx.post(f"{served.url}{API}run/inspect", json={"data": [], "session_hash": f"new-{number}"})
    until = time.monotonic() + 20
    while served.app.places("127.0.0.1") and time.monotonic() < until:
        time.sleep(0.05)
    assert {"kept-1", "kept-2"} <= set(holder.session_data)
    own = [name for name in holder.session_data if not name.startswith("kept-")]
    assert len(own) <= PER_VISITOR
    assert httpx.post(f"{served.url}{API}component_server", json={}).status_code == 404


def test_what_is_sent_is_bounded(served: Served) -> None:
    def endless() -> Iterator[bytes]:
        yield from [b"x" * 1000] * 3

    url = f"{served.url}{API}call/inspect"
    assert httpx.post(url, content=endless()).status_code == 411
    large = raw(served.url, f"/{API}upload", "Host: localhost", "Content-Length: 400000000", method="POST")
    assert large[0] == 413
    assert httpx.post(url, content=b"[" * 1_000_001).status_code == 413
    assert httpx.post(url, content=b"[" * 100_000).status_code in (400, 422)


def test_uploads_count_as_their_visitors(served: Served) -> None:
    path = Path(httpx.post(f"{served.url}{API}upload", files={"files": ("q.png", b"quota")}).json()[0])
    owners, name = served.disk._owners, path.relative_to(served.disk.folder).parts[0]
    until = time.monotonic() + 20  # the answer is on its way before it is counted
    while name not in owners and time.monotonic() < until:
        time.sleep(0.05)
    assert owners[name] == "127.0.0.1"


ODD = [
    ("call/nothing", "{}"),
    ("call/v2/nothing", '{"a": 1}'),
    ("run/predict", '{"data": [1]}'),
    ("run/predict", '{"data": [], "fn_index": 999}'),
    ("queue/join", "[]"),
    ("queue/join", '{"data": [], "fn_index": -1, "session_hash": "FORGED\\nFORGED"}'),
    ("cancel", "{}"),
    ("run/threshold", '{"data": [null, {}], "session_hash": "x\\nFORGED"}'),
]


def test_odd_requests_stay_out_of_the_log(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    for target in (
        "gradio_api/custom_component/a%0AFORGED/client/x/y",
        "%0d%0aFORGED",
        "gradio_api/run/%0AFORGED",
    ):
        httpx.get(f"{served.url}{target}")
    for path, body in ODD:
        for _ in range(5):
            answer = httpx.post(
                f"{served.url}{API}{path}", content=body, headers={"content-type": "application/json"}
            )
            assert 400 <= answer.status_code < 600
    said = "".join(capfd.readouterr())
    assert not re.search(r"^\W*FORGED", said, re.MULTILINE)
    assert said.count("Traceback") == 0
    assert len(said.splitlines()) < 200


@pytest.fixture
def locked(engine: Engine) -> Iterator[Service]:
    """The app with a password, behind a proxy on this machine."""
    with own_folder():
        app = build_app(engine, logout=True)
        address = Address(
            auth=[("ada", "secret")], allowed_hosts=["demo.example"], trusted_proxies=["127.0.0.1"]
        )
        service = launch(app, address)
        yield service
        service.close()


def login(url: str, password: str, **headers: str) -> httpx.Response:
    data = {"username": "ada", "password": password}
    return httpx.post(f"{url}login", data=data, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_strangers_learn_nothing_of_a_locked_app(locked: Service) -> None:
    for path in ("", "login", "config", f"{API}info", "theme.css", "assets/index.js", f"{API}queue/status",
                 f"{API}login_check", f"{API}user", f"{API}app_id", "manifest.json"):  # fmt: skip
        answer = httpx.get(f"{locked.url}{path}")
        assert answer.status_code == (200 if path == "login" else 401), path
        for word in ("clip-baseline", "winclip", "threshold", "mini", "gradio"):
            assert word not in answer.text.lower(), (path, word)
    assert httpx.post(f"{locked.url}{API}upload", files={"files": b"x"}).status_code == 401


def test_gradios_client_and_a_browsers_form_get_in_and_out(locked: Service, samples: list[Path]) -> None:
    client = Client(locked.url, auth=("ada", "secret"), verbose=False, download_files=False)
    image = handle_file(str(samples[0]))
    assert client.predict(image, "", "clip-baseline", "", "", None, api_name="/inspect")[3]["score"] > 0
    with httpx.Client(base_url=locked.url, headers={"accept": "text/html"}) as visitor:
        answer = visitor.post("login", data={"username": "ada", "password": "wrong"})
        assert answer.status_code == 400
        assert "name or password is wrong" in answer.text
        answer = visitor.post("login", data={"username": "ada", "password": "secret"})
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        page = visitor.get("")
        assert 'action=\\"logout\\"' in page.text or 'action="logout"' in page.text or "logout" in page.text
        assert visitor.get("logout").status_code == 404  # no link and no picture logs anybody out
        assert visitor.get("config").status_code == 200
        assert visitor.post("logout", headers={"content-length": "0"}).status_code == 303
        assert visitor.get("config").status_code == 401


def test_wrong_passwords_shut_the_door_for_their_sender(locked: Service) -> None:
    statuses = [
        login(locked.url, f"x{n}", x_forwarded_for="192.0.2.5").status_code for n in range(MISSES + 2)
    ]
    assert statuses == [400] * MISSES + [429] * 2
    answer = login(locked.url, "secret", x_forwarded_for="192.0.2.5")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert re.fullmatch(r"too many wrong passwords; try again in \d+ s", answer.json()["detail"])
    assert login(locked.url, "secret", x_forwarded_for="192.0.2.6").status_code == 200


def test_parallel_guesses_do_not_pass_the_lock(locked: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: login(locked.url, f"x{n}", x_forwarded_for="192.0.2.8"), range(24)))
    assert sum(answer.status_code == 400 for answer in answers) == MISSES


def test_a_trusted_proxy_names_host_and_scheme(locked: Service) -> None:
    headers = {"x_forwarded_host": "demo.example", "x_forwarded_proto": "https"}
    answer = login(locked.url, "secret", **headers)
    cookie = answer.headers["set-cookie"]
    assert "; Secure" in cookie
    forwarded = {
        "x-forwarded-host": "demo.example",
        "x-forwarded-proto": "https",
        "cookie": cookie.partition(";")[0],
    }
    assert httpx.get(f"{locked.url}config", headers=forwarded).json()["root"] == "https://demo.example"
    assert login(locked.url, "secret", x_forwarded_host="evil.example").status_code == 421
