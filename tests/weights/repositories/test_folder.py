from __future__ import annotations

import pytest

from zsad.errors import InputError, ZsadError
from zsad.weights.repositories.folder import FILE, FolderRepository, place

CONTENTS = {"README.md": b"# read me\n", "card.json": b"{}\n", FILE: b"tensors"}


class TestFolders:
    """Nothing is replaced, and nothing is written by halves."""

    def test_placed_and_placed_again(self, tmp_path) -> None:
        folder = tmp_path / "new" / "folder"
        for _ in range(2):
            place(folder, CONTENTS)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS

    def test_another_file_is_kept_and_nothing_is_written(self, tmp_path) -> None:
        (tmp_path / "card.json").write_bytes(b"mine")
        with pytest.raises(InputError, match=r"holds another card\.json already, which is kept"):
            place(tmp_path, CONTENTS)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"card.json": b"mine"}

    def test_a_folder_in_a_files_place(self, tmp_path) -> None:
        (tmp_path / FILE).mkdir()
        with pytest.raises(InputError, match="holds another weights"):
            place(tmp_path, CONTENTS)

    def test_weights_come_last(self, tmp_path, monkeypatch) -> None:
        written = []
        from zsad.weights.repositories import folder

        def stop(path, writer):
            written.append(path.name)
            if path.name == FILE:
                raise KeyboardInterrupt

        monkeypatch.setattr(folder, "atomic_write", stop)
        with pytest.raises(KeyboardInterrupt):
            FolderRepository(tmp_path / "x").publish(CONTENTS, private=False, message=None)
        assert written == list(CONTENTS) and written[-1] == FILE

    def test_a_file_in_the_folders_place(self, tmp_path) -> None:
        (tmp_path / "x").touch()
        with pytest.raises(InputError, match="x is a file; name a folder"):
            place(tmp_path / "x", CONTENTS)
        with pytest.raises(InputError, match="no repository folder"):
            FolderRepository(tmp_path / "x").fetch()

    @pytest.mark.parametrize(
        ("private", "message", "option"), [(True, None, "--private"), (False, "m", "--m")]
    )
    def test_what_a_folder_cannot_keep(self, tmp_path, private, message, option) -> None:
        with pytest.raises(InputError, match=option):
            FolderRepository(tmp_path).publish(CONTENTS, private=private, message=message)
        assert not list(tmp_path.iterdir())

    def test_no_permission(self, public_path, unprivileged) -> None:
        public_path.chmod(0o555)
        with unprivileged(), pytest.raises(ZsadError, match="permission denied"):
            place(public_path / "x", CONTENTS)
