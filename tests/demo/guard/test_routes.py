from __future__ import annotations

from pathlib import Path

import pytest

from zsad_demo.guard.routes import file_in, is_served, takes_a_place

SERVED = [
    ("GET", "/"),
    ("GET", "/config"),
    ("HEAD", "/"),
    ("GET", "/assets/index-x.js"),
    ("POST", "/login"),
    ("GET", "/gradio_api/info"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/call/inspect"),
    ("GET", "/gradio_api/call/inspect/0f"),
    ("POST", "/gradio_api/upload"),
]
ELSEWHERE = [
    ("GET", "/logout"), ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/gradio_api/openapi.json"),
    ("GET", "/gradio_api/proxy=https://x.hf.space/"), ("POST", "/gradio_api/component_server"),
    ("GET", "/gradio_api/deep_link"), ("GET", "/monitoring"),
    ("GET", "/gradio_api/custom_component/a\nb/c/d/e"),
    ("POST", "/gradio_api/process_recording"), ("POST", "/gradio_api/vibe-code"),
    ("GET", "/gradio_api/file/x"),
    ("PUT", "/"), ("DELETE", "/gradio_api/upload"), ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
    ("GET", "/gradio_api/run/inspect"), ("POST", "/gradio_api/run/a/b"), ("GET", "//evil.example/"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), SERVED)
def test_what_page_and_client_ask_for_is_served(method: str, path: str) -> None:
    assert is_served(method, path)


@pytest.mark.parametrize(("method", "path"), ELSEWHERE)
def test_nothing_else_is(method: str, path: str) -> None:
    assert not is_served(method, path)


def test_what_computes_takes_a_place() -> None:
    for path in ("queue/join", "call/inspect", "call/v2/inspect"):
        assert takes_a_place("POST", f"/gradio_api/{path}")
    assert not takes_a_place("POST", "/gradio_api/upload")


def test_files_are_those_of_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "kept", tmp_path / "x.png"
    (folder / "a").mkdir(parents=True)
    inside = folder / "a" / "x.png"
    for file in (inside, outside):
        file.write_bytes(b"x")
    (folder / "link.png").symlink_to(outside)
    assert file_in(f"/gradio_api/file={inside}", folder) == inside
    below = ("", "/../x.png", "/link.png", "/a/no.png", "/a/\0", "-b/x.png")
    foreign = ("http://127.0.0.1/x", "HTTPS://x.example", "//host/share/x", "a/x.png", f" {inside}")
    for named in (*foreign, str(outside), *(f"{folder}{end}" for end in below)):
        assert file_in(f"/gradio_api/file={named}", folder) is None, named
