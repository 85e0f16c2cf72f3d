"""Levels of severity: from a list beside any dataset, or a column of a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.drawing import draw
from zsad.data.dataset import Dataset
from zsad.data.spec import open_dataset
from zsad.errors import InputError
from zsad.plugin.host import get_host


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Two classes of three normal and three anomalous images."""
    return draw(tmp_path / "parts")


def opened(folder: Path, rows: str | None = None, classes: str = "") -> Dataset:
    if rows is not None:
        (folder / "levels.csv").write_text("image,level\n" + rows, encoding="utf-8")
    return open_dataset(f"folder={folder}{classes}", get_host())


def relative(dataset: Dataset, *, anomalous: bool) -> list[str]:
    return [str(i.image.relative_to(dataset.root)) for i in dataset.images if i.anomalous is anomalous]


def test_a_list_beside_a_dataset(parts: Path) -> None:
    plain = opened(parts)
    bad, good = relative(plain, anomalous=True), relative(plain, anomalous=False)
    dataset = opened(parts, f"{bad[0]},2\n{bad[1]},0.5\n{good[0]},0\n{bad[2]},\n")
    levels = {str(i.image.relative_to(parts)): i.level for i in dataset.images if i.level is not None}
    assert levels == {bad[0]: 2.0, bad[1]: 0.5, good[0]: 0.0}
    assert dataset.left_out == plain.left_out
    assert dataset.manifest_hash != plain.manifest_hash
    assert opened(parts, f"{bad[0]},3\n").manifest_hash != opened(parts, f"{bad[0]},2\n").manifest_hash
    assert opened(parts, "").manifest_hash == plain.manifest_hash
    only = opened(parts, f"{bad[0]},2\n", f":{plain.classes[1]}")  # a level of another class does not disturb
    assert only.classes == plain.classes[1:]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{bad},high\n", "line 2: level 'high' is not a number from 0"),
        ("{bad},-1\n", "line 2: level '-1' is not a number from 0"),
        ("{bad},inf\n", "level 'inf' is not a number"),
        ("{bad},0\n", "level '0' of an image that is anomalous"),
        ("{good},1\n", "level '1' of an image that is normal"),
        ("{bad},1\n{bad},1\n", "line 3: .* has a level already"),
        ("nothing.png,1\n", "no file 'nothing.png'"),
        ("levels.csv,1\n", "'levels.csv' is no test image of dataset 'parts'"),
    ],
)
def test_wrong_rows_are_refused(parts: Path, rows: str, said: str) -> None:
    dataset = opened(parts)
    bad, good = relative(dataset, anomalous=True)[0], relative(dataset, anomalous=False)[0]
    with pytest.raises(InputError, match=said):
        opened(parts, rows.format(bad=bad, good=good))


def test_a_list_without_its_columns_is_refused(parts: Path) -> None:
    (parts / "levels.csv").write_text("path,level\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no column 'image'"):
        opened(parts)


def test_a_column_of_a_manifest(parts: Path, tmp_path: Path) -> None:
    dataset = opened(parts)
    bad, good = relative(dataset, anomalous=True)[0], relative(dataset, anomalous=False)[0]
    (parts / "manifest.csv").write_text(
        f"image,mask,label,class_name,level\n{bad},,1,gear,3\n{good},,0,gear,\n", encoding="utf-8"
    )
    found = open_dataset(f"manifest={parts}", get_host())
    assert sorted((image.anomalous, image.level) for image in found.images) == [(False, None), (True, 3.0)]
    (parts / "levels.csv").write_text(f"image,level\n{bad},3\n", encoding="utf-8")
    with pytest.raises(InputError, match="gives levels, and so does the list"):
        open_dataset(f"manifest={parts}", get_host())
    (parts / "levels.csv").unlink()
    (parts / "manifest.csv").write_text(
        f"image,mask,label,class_name,level\n{bad},,1,gear,0\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="line 2: level '0' of an image that is anomalous"):
        open_dataset(f"manifest={parts}", get_host())
