"""The words by which a command line names a dataset: ``[NAME:]LAYOUT[=PATH][:CLASS,CLASS]``.

``mvtec=/data/mvtec`` is a layout and its folder; a layout that draws its images needs none.
``mvtec=/data/mvtec:bottle,cable`` keeps two classes, ``mine:folder=/data/x`` has results say ``mine``.
A layout may be written ``distribution:layout``, as everywhere.

The path begins after the first ``=``. What follows its last colon are classes, unless the whole is there on
disk or a slash follows that colon: so a path may hold colons (if its classes are restricted, even in its last
part). Without ``=``, the first reading that names a known layout counts: ``a:b`` is layout ``a`` with class
``b`` before it is layout ``b`` under the name ``a``.
"""

from __future__ import annotations

import inspect
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.data.dataset import Dataset
from zsad.data.levels import with_levels
from zsad.errors import InputError, ZsadError
from zsad.plugin.imports import cause, load_object

if TYPE_CHECKING:
    from zsad.plugin.host import Host
    from zsad.plugin.registry import Claim
    from zsad.plugin.specs import DatasetSpec

FORM = "[NAME:]LAYOUT=PATH[:CLASS,CLASS]"
"""How a dataset is written, for help texts and errors."""


@dataclass(frozen=True)
class DatasetRequest:
    """A parsed SPEC.

    Attributes:
        text: The SPEC as written.
        layout: The word before ``=``; it need not exist.
        path: The folder or file, or None where no ``=`` was written.
        classes: The classes to keep; empty means all.
        name: The name given to the dataset, or None.
    """

    text: str
    layout: str
    path: Path | None = None
    classes: tuple[str, ...] = ()
    name: str | None = None


def parse_spec(text: str, layouts: Container[str]) -> DatasetRequest:
    """Split a SPEC into its parts.

    Args:
        text: The SPEC.
        layouts: The known layouts; without ``=``, they decide which word is the layout.

    Raises:
        InputError: If a part is empty, or no known layout stands where one has to.
    """
    head, equals, rest = text.partition("=")
    if not equals:
        return _parse_pathless(text, layouts)
    name, layout = (None, head) if head in layouts or ":" not in head else _cut(text, head)
    if not layout:
        raise InputError(f"dataset '{text}' names no layout before '=': write {FORM}")
    path, classes = _path_and_classes(rest)
    if not path:
        raise InputError(f"dataset '{text}' names no folder after '=': write {FORM}")
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"dataset '{text}': {error}") from error
    return DatasetRequest(text, layout, expanded, _classes(text, classes), name)


def open_dataset(text: str, host: Host) -> Dataset:
    """Read the dataset that a SPEC names.

    Args:
        text: The SPEC.
        host: Whose layouts are known.

    Raises:
        InputError: If the SPEC is wrong, or what it names cannot be read as that layout.
        ZsadError: If the layout's plugin fails.
    """
    request = parse_spec(text, host.datasets)
    try:
        claim = host.datasets.get(request.layout)
    except InputError as error:
        layouts = ", ".join(sorted(host.datasets.names()))
        listed = request.layout in host.datasets or "(there are: " in str(error)
        raise InputError(f"dataset '{text}': {error}{'' if listed else f'; layouts are {layouts}'}") from None
    dataset = with_levels(_read(claim, request))
    if request.name is not None:
        dataset = replace(dataset, name=request.name)
    return dataset.restricted_to(request.classes) if request.classes else dataset


def needs_path(reader: Any) -> bool:
    """Return whether a reader takes a path; one without parameters belongs to a layout without files."""
    return bool(inspect.signature(reader).parameters)


def _parse_pathless(text: str, layouts: Container[str]) -> DatasetRequest:
    words = text.split(":")
    readings = [(None, 1), (None, 2), (words[0], 2), (words[0], 3)]
    for name, end in readings:
        layout = ":".join(words[1 if name is not None else 0 : end])
        if end <= len(words) and layout in layouts:
            if name is not None:
                name, _ = _cut(text, f"{name}:{layout}")
            classes = ":".join(words[end:]) if end < len(words) else None
            return DatasetRequest(text, layout, None, _classes(text, classes), name)
    if "/" in text or not text or Path(text).exists():
        raise InputError(
            f"dataset '{text}' names no layout: write {FORM}, for example folder={text or 'PATH'}"
        )
    return DatasetRequest(text, words[0])


def _cut(text: str, head: str) -> tuple[str, str]:
    name, _, layout = head.partition(":")
    if not name.strip() or name != name.strip() or "/" in name:
        raise InputError(
            f"dataset '{text}' has the name '{name}' before its layout: "
            "a name is not empty, has no slash and no space at its ends"
        )
    return name, layout


def _path_and_classes(rest: str) -> tuple[str, str | None]:
    path, colon, classes = rest.rpartition(":")
    if not colon or "/" in classes or _exists(rest):
        return rest, None
    return path, classes


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, or no home
        return False


def _classes(text: str, classes: str | None) -> tuple[str, ...]:
    if classes is None:
        return ()
    names = tuple(name.strip() for name in classes.split(","))
    if not all(names):
        raise InputError(f"dataset '{text}' has an empty class name after its last colon: write {FORM}")
    return tuple(dict.fromkeys(names))


def _read(claim: Claim[DatasetSpec], request: DatasetRequest) -> Dataset:
    reader = load_object(claim.spec.reader)
    with_path = needs_path(reader)
    if with_path and request.path is None:
        layout = request.layout
        raise InputError(f"dataset '{request.text}' names no folder: write {layout}=PATH")
    if not with_path and request.path is not None:
        raise InputError(f"dataset '{request.text}': layout '{request.layout}' takes no path")
    if request.path is not None and not _exists(str(request.path)):
        raise InputError(f"dataset '{request.text}': no file or folder '{request.path}'")
    try:
        found = reader(request.path) if with_path else reader()
    except ZsadError:
        raise
    except Exception as error:
        raise ZsadError(f"layout '{claim.qualified}' failed on '{request.text}': {cause(error)}") from error
    if not isinstance(found, Dataset):
        raise ZsadError(f"layout '{claim.qualified}' returned {type(found).__name__}, not a Dataset")
    return replace(found, layout=claim.spec.name)
