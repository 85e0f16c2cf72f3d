"""What names of weights and of their repositories stand for. No torch here."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from zsad.errors import InputError
from zsad.weights.repositories.folder import FILE, FolderRepository
from zsad.weights.repositories.hub import HUB, HubRepository

FORM = f"{HUB}OWNER/NAME[@REVISION][/FILE.safetensors]"
_FOLDER = "file://"
_NAME = re.compile(r"(?!.*(--|\.\.))\w([\w.-]*\w)?", re.ASCII)
"""What the hub allows as the name of an owner or a repository."""


def named_file(name: str | Path) -> Path:
    """Return the file of weights that a name stands for; one on the hub is downloaded once.

    Args:
        name: A path, a folder with a ``weights.safetensors``, or
            ``hf://OWNER/NAME[@REVISION][/FILE.safetensors]``; a slash within REVISION is written ``%2F``.

    Raises:
        InputError: Not of that form, or the hub has no such file.
        ZsadError: The hub cannot be reached, or refuses.
    """
    if isinstance(name, str) and name.startswith(HUB):
        repository, file = _parse(name)
        return repository.download(file or FILE)
    path = _folder(name) if isinstance(name, str) else name
    return path / FILE if path.is_dir() else path


def open_repository(name: str, revision: str | None = None) -> FolderRepository | HubRepository:
    """Return a repository by its name; nothing is read yet.

    Args:
        name: ``OWNER/NAME`` or ``hf://OWNER/NAME[@REVISION]`` on the hub; anything else is a folder: a path
            of another form, one that exists, or ``file://...``.
        revision: Branch, tag or commit on the hub.

    Raises:
        InputError: Not of such a form, or a folder with a revision.
    """
    hub = name.startswith(HUB)
    if not hub and (name.startswith((_FOLDER, ".", "~")) or name.count("/") != 1 or _folder(name).is_dir()):
        if revision:
            raise InputError(f"--revision {revision}: '{name}' is a folder, which keeps one revision")
        return FolderRepository(_folder(name))
    repository, file = _parse(name if hub else HUB + name)
    if file:
        raise InputError(f"'{name}' names a file; write the repository {HUB}{repository.name} alone")
    if revision and repository.revision not in (None, revision):
        raise InputError(f"--revision {revision}: '{name}' names another one")
    return HubRepository(repository.name, revision or repository.revision)


def _parse(text: str) -> tuple[HubRepository, str | None]:
    """Split ``hf://OWNER/NAME[@REVISION][/FILE.safetensors]``.

    Raises:
        InputError: Not of that form, or not a file of tensors.
    """
    owner, _, rest = text.removeprefix(HUB).partition("/")
    last, slash, file = rest.partition("/")
    name, at, revision = last.partition("@")
    named = all(_NAME.fullmatch(word) for word in (owner, name))
    if not named or (at and not revision) or (slash and not file):
        raise InputError(f"'{text}' does not have the form {FORM}")
    if file and (not file.endswith(".safetensors") or ".." in file.split("/")):
        raise InputError(f"'{text}': only .safetensors files are read, because reading others could run code")
    return HubRepository(f"{owner}/{name}", unquote(revision) or None), file or None


def _folder(name: str) -> Path:
    if not name.startswith(_FOLDER):
        return Path(name).expanduser()
    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"'{name}' names another machine; write file:///path/to/folder")
    return Path(url2pathname(parts.path))
