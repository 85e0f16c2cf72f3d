from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zsad.errors import InputError
from zsad.weights.repositories.folder import FILE, FolderRepository
from zsad.weights.repositories.hub import HubRepository
from zsad.weights.repositories.names import named_file, open_repository


class TestNames:
    """What a name stands for, without asking anybody."""

    @pytest.mark.parametrize(
        ("name", "revision", "found"),
        [
            ("acme/bolts", None, HubRepository("acme/bolts")),
            ("acme/bolts", "v2", HubRepository("acme/bolts", "v2")),
            ("hf://acme/bolts@v2", None, HubRepository("acme/bolts", "v2")),
            ("hf://acme/bolts@v2", "v2", HubRepository("acme/bolts", "v2")),
            ("hf://acme/bolts@refs%2Fpr%2F1", None, HubRepository("acme/bolts", "refs/pr/1")),
            ("./acme/bolts", None, FolderRepository(Path("acme/bolts"))),
            ("../bolts", None, FolderRepository(Path("../bolts"))),
            ("/acme/bolts", None, FolderRepository(Path("/acme/bolts"))),
            ("bolts", None, FolderRepository(Path("bolts"))),
            ("one/two/three", None, FolderRepository(Path("one/two/three"))),
            ("file:///acme/my%20bolts", None, FolderRepository(Path("/acme/my bolts"))),
            ("~/bolts", None, FolderRepository(Path("~/bolts").expanduser())),
        ],
    )
    def test_repositories(self, name, revision, found) -> None:
        assert open_repository(name, revision) == found

    def test_an_existing_folder_wins_over_the_hub(self, tmp_path, monkeypatch) -> None:
        (tmp_path / "acme" / "bolts").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        assert open_repository("acme/bolts") == FolderRepository(Path("acme/bolts"))
        assert open_repository("hf://acme/bolts") == HubRepository("acme/bolts")

    @pytest.mark.parametrize(
        ("name", "revision", "part"),
        [
            ("hf://acme", None, "does not have the form hf://OWNER/NAME"),
            ("hf://acme/", None, "does not have the form"),
            ("hf://acme/bolts@", None, "does not have the form"),
            ("hf://acme/bolts/", None, "does not have the form"),
            ("hf://acme/bo--lts", None, "does not have the form"),
            ("acme/b olts", None, "does not have the form"),
            ("hf://acme/bolts/a.safetensors", None, "names a file; write the repository hf://acme/bolts"),
            ("hf://acme/bolts@v1", "v2", "--revision v2: .* names another one"),
            ("./acme", "v2", "--revision v2: './acme' is a folder"),
            ("file://elsewhere/acme", None, "names another machine"),
        ],
    )
    def test_refused_repositories(self, name, revision, part) -> None:
        with pytest.raises(InputError, match=part):
            open_repository(name, revision)

    @pytest.mark.parametrize("file", ["weights.pth", "weights.bin", "deep/pickle.pkl", "../x.safetensors"])
    def test_only_tensors_are_read(self, file) -> None:
        with pytest.raises(InputError, match=r"only \.safetensors files are read"):
            named_file(f"hf://acme/bolts/{file}")

    def test_files_and_folders(self, tmp_path) -> None:
        assert named_file("a/b.safetensors") == Path("a/b.safetensors")
        assert named_file(str(tmp_path)) == named_file(tmp_path) == tmp_path / FILE
        assert named_file(f"file://{tmp_path}/x") == tmp_path / "x"

    def test_an_address_leads_back(self) -> None:
        for revision in (None, "v2", "refs/pr/1"):
            repository = HubRepository("acme/bolts", revision)
            assert open_repository(repository.address) == repository

    def test_no_torch(self) -> None:
        code = "import sys, zsad.weights.repositories.exchange as e; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
