"""Read ``meta.json`` as VAND, AnomalyCLIP and their relatives write it.

.. code-block:: text

    {"train": {CLASS: [ENTRY, ...], ...}, "test": {CLASS: [ENTRY, ...], ...}}
    ENTRY: {"img_path": ..., "mask_path": ... or "", "cls_name": CLASS, "specie_name": ..., "anomaly": 0 or 1}

The path given is the JSON file, or a folder with ``meta.json``. Paths in it are relative to its folder or
absolute, also as Windows writes them; of an absolute path that is not there, what follows the folder's name
counts. ``train`` and ``test`` may have capitals. Entries of ``test`` are evaluated; normal entries of
``train`` are kept for references. An anomalous entry with an empty ``mask_path`` counts as having no mask.
Images in the folder that it does not list, and anomalous ones of ``train``, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.nouns import noun_of
from zsad.data.written import file_named, require_regular
from zsad.errors import InputError

FILE = "meta.json"

_FORM = '{"train": {CLASS: [...]}, "test": {CLASS: [{"img_path", "mask_path", "anomaly"}]}}'


def read(path: Path) -> Dataset:
    """Read a ``meta.json``.

    Raises:
        InputError: If it cannot be read, has another form, or an entry is wrong: names the entry.
    """
    file = path / FILE if path.is_dir() else path
    data = _load(file)
    parts = _parts(file, data) if isinstance(data, dict) else {}
    if not isinstance(parts.get("test"), dict) or not isinstance(parts.setdefault("train", {}), dict):
        raise InputError(f"'{file}' does not have the form {_FORM}")
    references = [image for image in _images(file, "train", parts["train"]) if not image.anomalous]
    dataset = Dataset.of(file.parent, _images(file, "test", parts["test"]), references)
    return dataset.with_the_rest("meta", [file], patient=True)


def _parts(file: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts by their names in lower case."""
    parts: dict[str, Any] = {}
    for name, classes in data.items():
        if parts.setdefault(name.lower(), classes) is not classes:
            raise InputError(f"'{file}' has the part '{name.lower()}' twice, in two spellings")
    return parts


def _load(file: Path) -> Any:
    require_regular(file)
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read '{file}': {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read '{file}' as JSON: {error}") from error


def _images(file: Path, part: str, classes: Mapping[str, Any]) -> Iterator[DatasetImage]:
    for name, entries in classes.items():
        where = f"'{file}', {part} '{name}'"
        if not name or not isinstance(entries, list):
            raise InputError(f"{where}: not a class with a list of images; the form is {_FORM}")
        for number, entry in enumerate(entries):
            yield _image(file.parent, f"{where}, entry {number}", name, entry)


def _image(folder: Path, where: str, name: str, entry: Any) -> DatasetImage:
    if not isinstance(entry, dict) or not isinstance(entry.get("img_path"), str):
        raise InputError(f"{where}: no text 'img_path'; the form is {_FORM}")
    mask, specie = entry.get("mask_path") or None, entry.get("specie_name") or None
    if not isinstance(mask, str | None) or not isinstance(specie, str | None):
        raise InputError(f"{where}: 'mask_path' and 'specie_name' have to be texts")
    if entry.get("cls_name", name) != name:
        raise InputError(f"{where}: 'cls_name' is '{entry['cls_name']}', but it is listed under '{name}'")
    label = entry.get("anomaly")
    if str(label) not in ("0", "1"):  # some write numbers, some texts
        raise InputError(f"{where}: 'anomaly' is {label!r}, neither 0 nor 1")
    anomalous = str(label) == "1"
    return DatasetImage(
        image=file_named(folder, entry["img_path"], where),
        mask=None if mask is None else file_named(folder, mask, where),
        anomalous=anomalous,
        class_name=name,
        noun=noun_of(name),
        defect_type=specie if anomalous else None,
    )
