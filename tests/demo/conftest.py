"""One engine, one served app and one browser for all tests of the demo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from gradio_client import Client
    from playwright.sync_api import Browser

    from zsad_demo.blocks import GuardedBlocks
    from zsad_demo.engine import Engine
    from zsad_demo.guard.disk import Disk
    from zsad_demo.guard.sessions import Sessions

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic",
]  # fmt: skip


class Served(NamedTuple):
    """An app that is being served."""

    url: str
    folder: Path
    engine: Engine
    app: GuardedBlocks

    @property
    def sessions(self) -> Sessions:
        """What it keeps of visitors."""
        assert self.app.sessions is not None
        return self.app.sessions

    @property
    def disk(self) -> Disk:
        """The folder that it serves files from."""
        assert self.app.disk is not None
        return self.app.disk

    def client(self) -> Client:
        """Return a client with a session of its own."""
        from gradio_client import Client

        return Client(self.url, verbose=False, download_files=False)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine with the embedded backbone."""
    from zsad_demo.engine import Engine

    return Engine(device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def samples() -> list[Path]:
    """Drawn images, by name: those of a family lie together, anomalous ones first."""
    from zsad_plugins.drawn.folders import SAMPLES, drawn_folder

    return sorted((drawn_folder(SAMPLES) / "images").glob("*.png"))


@pytest.fixture
def payload() -> Callable[[Path], dict[str, Any]]:
    """What an event gets of an uploaded file."""
    return lambda path: {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one evaluation, ``first``."""
    from zsad.cli.main import main

    folder = tmp_path_factory.mktemp("runs")
    words = ["--method", "clip-baseline", "--method", "anomalyclip", "--data", "samples:biscuit,gear"]
    main(["eval", *words, "--out", str(folder / "first"), "--workers", "0"])
    return folder


@pytest.fixture(scope="session")
def served(engine: Engine, runs: Path) -> Iterator[Served]:
    """The app on a free port, in a thread of this process."""
    from zsad_demo.runs import find_runs
    from zsad_demo.server import Address, launch, own_folder

    with own_folder() as folder:
        from zsad_demo.app import build_app

        app = build_app(engine, find_runs(runs))
        service = launch(app, Address())
        yield Served(service.url, folder, engine, app)
        service.close()


@pytest.fixture(scope="session")
def browser(require: Callable[[str, str], None]) -> Iterator[Browser]:
    """Debian's Chromium without a screen."""
    from playwright.sync_api import sync_playwright

    if not shutil.which(CHROMIUM):
        require("chromium", f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: the folder that ``ZSAD_ARTIFACTS`` names, or a temporary one."""
    named = os.environ.get("ZSAD_ARTIFACTS", "")
    folder = Path(named) if named else tmp_path_factory.mktemp("artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
