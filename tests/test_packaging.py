"""The wheel holds what the tree holds, and its metadata say what pyproject.toml says."""

from __future__ import annotations

import configparser
import email
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import zsad

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "zsad": ROOT / "zsad",
    "zsad_plugins": ROOT / "plugins" / "zsad_plugins",
    "zsad_prompts": ROOT / "prompts" / "zsad_prompts",
    "zsad_demo": ROOT / "demo" / "zsad_demo",
}
SUFFIXES = {".py", ".yaml", ".md", ".json", ".safetensors", ".typed"}
TEST_COMMAND = 'python -m pip install -e ".[test]" && python -m pytest'


@pytest.fixture(scope="session")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="session")
def info(wheel):
    """Return a function from a name to the text of that file in the wheel's dist-info."""
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    return lambda name: wheel.read(f"{folder}/{name}").decode()


def test_packages_and_their_data_equal_the_tree(wheel):
    tree = {
        f"{package}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for package, folder in PACKAGES.items()
        for file in folder.rglob("*")
        if file.suffix in SUFFIXES and "__pycache__" not in file.parts
    }
    packed = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert {f"{package}/__init__.py" for package in PACKAGES} <= set(tree)
    assert sorted(tree) == sorted(name for name in packed if Path(name).suffix in SUFFIXES)
    assert [name for name in tree if packed[name] != tree[name]] == []


def test_nothing_else_is_packed(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    assert [name for name in wheel.namelist() if "tests" in name.split("/") or name.endswith(".pyc")] == []


def test_licence_and_notice(info):
    for name in ("LICENSE", "NOTICE"):
        assert info(f"licenses/{name}") == (ROOT / name).read_text(encoding="utf-8")


def test_metadata(info, project):
    metadata = email.message_from_string(info("METADATA"))
    assert metadata["Name"] == "zsad"
    assert metadata["Version"] == project["version"] == zsad.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])


def test_entry_points_are_in_the_wheel(wheel, info, project):
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(info("entry_points.txt"))
    assert dict(parser["console_scripts"]) == project["scripts"]
    assert dict(parser["zsad"]) == project["entry-points"]["zsad"]
    files = set(wheel.namelist())
    for target in [*project["scripts"].values(), *project["entry-points"]["zsad"].values()]:
        stem = target.split(":")[0].replace(".", "/")
        assert {f"{stem}.py", f"{stem}/__init__.py"} & files, f"{target} is not in the wheel"


def test_ci_runs_the_test_command_of_the_readme():
    assert TEST_COMMAND in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f'{TEST_COMMAND} "$@"' in (ROOT / ".ci" / "common.sh").read_text(encoding="utf-8")


def test_every_plugin_package_has_its_recipe_in_the_wheel(wheel):
    recipes = {
        path.relative_to(ROOT / "plugins").as_posix() for path in (ROOT / "plugins").rglob("recipe.yaml")
    }
    assert recipes <= set(wheel.namelist())


def test_shipped_weights_are_small(wheel):
    sizes = {
        entry.filename: entry.file_size for entry in wheel.infolist() if ".safetensors" in entry.filename
    }
    assert sizes["zsad_plugins/mini/mini.safetensors"] <= 12_000_000
    assert sum(sizes.values()) <= 20_000_000
