"""What every test may use: required things, and a process without root's privileges."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from zsad.plugin import host

if TYPE_CHECKING:
    from zsad.backbones.clip import ClipBackbone

# A shared two-core machine stalls now and then: a deadline per example would fail at random.
settings.register_profile("zsad", deadline=None)
settings.load_profile("zsad")

# A shell that starts tests in the background has them ignore Ctrl-C, and the processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], None]:
    """``require(name, reason)`` skips the test, or fails it if ``ZSAD_REQUIRE`` has the name."""

    def missing(name: str, reason: str) -> None:
        required = {item.strip() for item in os.environ.get("ZSAD_REQUIRE", "").split(",")}
        (pytest.fail if name in required else pytest.skip)(f"{name}: {reason}")

    return missing


@pytest.fixture(scope="session")
def bench(require: Callable[[str, str], None]) -> Path:
    """The folder of real sets that ``ZSAD_BENCH`` names."""
    folder = os.environ.get("ZSAD_BENCH", "")
    if not folder:
        require("bench", "ZSAD_BENCH does not name the folder of the bench sets")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_backbone() -> ClipBackbone:
    """A CLIP of four vision blocks and three text blocks with random weights, on the CPU."""
    from zsad.backbones.loading import load_backbone  # keeps torch out of tests of the import time

    config = Path(__file__).parent / "assets" / "tiny-clip.json"
    return load_backbone(f"{config}@random:0", "cpu", "float32")


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that any user can enter, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """A context in which file permissions count even if the tests run as root."""

    @contextmanager
    def drop() -> Iterator[None]:
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return drop


class Site:
    """A folder on the import path in which distributions are installed for one test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self,
        distribution: str,
        modules: Mapping[str, str],
        entry_points: Mapping[str, str],
        version: str = "1.0",
    ) -> None:
        """Install modules (source by file name) and what ``importlib.metadata`` reads about them."""
        for file, source in modules.items():
            target = self.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(source), encoding="utf-8")
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[zsad]", *lines, ""]), encoding="utf-8")
        self.refresh()

    def install_project(self, folder: Path) -> None:
        """Install a project folder with a pyproject.toml, without building a wheel."""
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        package = project["name"].replace("-", "_")
        shutil.copytree(folder / package, self.path / package)
        self.install(project["name"], {}, project["entry-points"]["zsad"], project["version"])

    def environ(self, **variables: str) -> dict[str, str]:
        """Return the environment of a subprocess that sees these distributions too."""
        path = os.pathsep.join([str(self.path), *filter(None, sys.path)])
        return {**os.environ, "PYTHONPATH": path, **variables}

    def refresh(self) -> None:
        """Forget what was imported or discovered from the folder."""
        importlib.invalidate_caches()
        host._cached_host.cache_clear()
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.path)):
                del sys.modules[name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A ``Site`` without distributions."""
    for name in (host.DISABLE, host.NO_PLUGINS, host.STRICT):
        monkeypatch.delenv(name, raising=False)
    installed = Site(tmp_path / "site")
    installed.path.mkdir()
    monkeypatch.syspath_prepend(str(installed.path))
    yield installed
    installed.refresh()


@pytest.fixture
def zsad_invert(site: Site) -> Site:
    """The site, with the third-party plugin of tests/third_party/zsad_invert."""
    site.install_project(Path(__file__).parent / "third_party" / "zsad_invert")
    return site
