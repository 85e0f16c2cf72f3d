"""``zsad demo`` as a process."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from zsad.cli.demo import parse_auth
from zsad.errors import InputError

ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(*words: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from zsad.cli.main import main; main()", "demo", "--device", "cpu", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env={**ENVIRON, **environ},
    )  # fmt: skip


def url_of(process: subprocess.Popen[str]) -> str:
    """Wait for the address that the process prints."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 120)
    line = process.stdout.readline() if ready else ""
    assert line.startswith("zsad demo: http://"), line
    return line.split()[2]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_help_imports_neither_torch_nor_gradio() -> None:
    code = """
import sys
from zsad.cli.main import main
main(["demo", "--help"])
main(["--help"])
assert not {"torch", "gradio"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=ENVIRON)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_with_a_password_until_interrupted(
    tmp_path: Path, free_port: int, sign: signal.Signals
) -> None:
    temporary = tmp_path / "tmp"
    work = tmp_path / "work"
    temporary.mkdir()
    work.mkdir()
    process = start("--port", str(free_port), cwd=work, TMPDIR=str(temporary), ZSAD_DEMO_AUTH="ada:secret")
    try:
        url = url_of(process)
        assert url == f"http://127.0.0.1:{free_port}/"
        assert httpx.get(f"{url}config").status_code == 401
        with httpx.Client(base_url=url) as visitor:
            assert visitor.post("login", data={"username": "ada", "password": "wrong"}).status_code == 400
            assert visitor.post("login", data={"username": "ada", "password": "secret"}).status_code == 200
            assert visitor.get("config").status_code == 200
        with socket.socket() as probe:  # other addresses of this machine are not listened on
            assert probe.connect_ex(("127.0.0.2", free_port)) != 0
        assert len(list(temporary.glob("zsad-demo-*"))) == 1
    finally:
        process.send_signal(sign)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert list(temporary.glob("zsad-demo-*")) == []
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--runs", "missing"], "--runs missing: there is no such folder"),
        (["--auth", "nobody"], "--auth has to have the form USER:PASSWORD"),
        (["--auth", "@missing"], "the file cannot be read"),
        (["--weights", "winclip"], "write METHOD=FILE"),
        (["--port", "0"], "--port"),
        (["--backbone", "no such"], "unknown backbone"),
        (["--host", "192.0.2.1", "--port", "7999"], "cannot listen on 192.0.2.1:7999"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    from zsad.cli.main import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leave:
        main(["demo", "--device", "cpu", *words])
    assert leave.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert sentence in line


def test_a_busy_port_is_one_sentence(taken_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    from zsad.cli.main import main

    with pytest.raises(SystemExit) as leave:
        main(["demo", "--device", "cpu", "--port", str(taken_port)])
    assert leave.value.code == 2
    assert f"cannot listen on 127.0.0.1:{taken_port}: the port is taken" in capsys.readouterr().err


def test_a_file_holds_several_users(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("ada:one:two\n\nbob:three\n")
    assert parse_auth(f"@{file}") == [("ada", "one:two"), ("bob", "three")]
    file.write_text("ada\n")
    with pytest.raises(InputError, match="every line of"):
        parse_auth(f"@{file}")
    assert parse_auth(None) == []


@pytest.mark.acceptance
def test_a_root_path_is_served_as_a_proxy_asks_for_it(tmp_path: Path, free_port: int) -> None:
    process = start("--port", str(free_port), "--root-path", "/look", cwd=tmp_path)
    try:
        url = url_of(process)
        time.sleep(0.2)
        assert httpx.get(f"{url}config").json()["root"].endswith("/look")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
