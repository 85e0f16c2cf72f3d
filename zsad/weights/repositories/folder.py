"""The layout of a repository, and a repository that is a folder. No torch here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zsad.errors import InputError
from zsad.files import atomic_write

FILE, README, CARD = "weights.safetensors", "README.md", "card.json"
"""The learned weights, their card for people, and their card for machines."""


@dataclass(frozen=True)
class FolderRepository:
    """A repository that is a folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def address(self) -> str:
        """What ``--weights`` takes within the folder, wherever that may move."""
        return FILE

    def fetch(self) -> Path:
        """Return the folder.

        Raises:
            InputError: There is none.
        """
        if not self.path.is_dir():
            raise InputError(
                f"there is no repository folder {self.path}; a repository on the hub is written OWNER/NAME"
            )
        return self.path

    def publish(self, contents: Mapping[str, bytes], *, private: bool, message: str | None) -> str:
        """Write the files, and return the folder.

        Raises:
            InputError: The folder holds another file of such a name, or was to be private or keep a message.
            ZsadError: The folder cannot be written to.
        """
        if private or message:
            option = "--private" if private else "--message"
            raise InputError(f"{option}: '{self.path}' is a folder, to which this does not apply")
        place(self.path, contents)
        return os.fspath(self.path)


def place(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, each atomically and the last one last; nothing is ever replaced.

    Raises:
        InputError: The folder holds another file of such a name; then nothing is written.
        ZsadError: The folder cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    there = {name for name in contents if (folder / name).exists()}
    for name in there:
        if not (folder / name).is_file() or (folder / name).read_bytes() != contents[name]:
            raise InputError(
                f"{folder} holds another {name} already, which is kept; name another folder, or delete it"
            )
    for name in contents:
        if name not in there:
            _write(folder / name, contents[name])


def _write(path: Path, content: bytes) -> None:
    atomic_write(path, lambda stream: stream.write(content))
