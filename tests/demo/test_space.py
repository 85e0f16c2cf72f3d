from __future__ import annotations

import runpy
import tomllib
from importlib.metadata import version
from pathlib import Path

import gradio as gr
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "demo" / "space"


def test_the_space_builds_the_same_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.delenv("ZSAD_DEMO_BACKBONES", raising=False)
    app = runpy.run_path(str(SPACE / "app.py"))["demo"]
    names = {fn.api_name for fn in app.fns.values()}
    assert isinstance(app, gr.Blocks)
    assert {"inspect", "threshold", "compare", "batch"} <= names


def test_its_front_matter_names_what_is_there() -> None:
    front = yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])
    assert (SPACE / front["app_file"]).is_file()
    assert front["sdk"] == "gradio"
    assert int(front["sdk_version"].split(".")[0]) == int(version("gradio").split(".")[0])
    assert len(front["short_description"]) <= 60


def test_its_requirement_is_this_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (line,) = (SPACE / "requirements.txt").read_text().split()
    assert line == f"{project['name']}>={project['version'].rpartition('.')[0]}"
