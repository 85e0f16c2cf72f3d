"""Whatever lies in a folder: every file is taken or left out, and whoever looks for images finds the same."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zsad.data.dataset import Dataset
from zsad.data.inspection import count_classes
from zsad.data.spec import open_dataset
from zsad.data.walk import find_images, walk
from zsad.plugin.host import get_host
from zsad_demo.archive import Limits, unpack
from zsad_demo.uploads import shown_name

FOLDERS = (
    "",
    "cam 2/",
    "2024-05/x/",
    ".hidden/",
    "__MACOSX/",
    "@eaDir/",
    "É/",
    "E\u0301/",
    "zsad-predictions/",
)
NAMES = ("0", "10", "e\u0301té", "été", "._0", ".dot", "Thumbs", "a b", "0_mask", "划痕")
SUFFIXES = (".png", ".PNG", ".jfif", ".JPE", ".tiff", ".heic", ".avif", ".txt", ".db", "", ".png.part")
FILES = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.sampled_from(SUFFIXES)).map("".join)
STATES = st.sampled_from(("good/", "scratch/", "Dent/"))
TREES = st.sets(st.tuples(STATES, FILES).map("".join), max_size=14)
LINKS = st.lists(
    st.tuples(STATES, st.sampled_from(("link.png", "link", "cam 2/link.png")), st.integers(0, 3))
)

PIXELS = np.full((4, 6), 90, np.uint8)


def grow(root: Path, files: set[str], links: list[tuple[str, str, int]]) -> None:
    """Lay out a set: some files, some links, and always one image of each label."""
    for name in {"good/always.png", "scratch/always.png", *files}:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS).save(path, format="PNG")
    targets = (root / "good" / "always.png", root / "gone.png", root, root.parent)
    for state, name, target in links:
        path = root / state / name
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(targets[target])


def everything(root: Path) -> list[Path]:
    """Return all files and links below a folder, without following links."""
    found = [Path(top, name) for top, _, names in os.walk(root) for name in names]
    return found + [
        Path(top, name)
        for top, names, _ in os.walk(root)
        for name in names
        if os.path.islink(f"{top}/{name}")
    ]


def taken(dataset: Dataset) -> list[Path]:
    return [image.image for image in (*dataset.images, *dataset.normal_train_images)]


@settings(max_examples=60, deadline=None)
@given(TREES, LINKS)
def test_found_and_left_out_are_all_files(tmp_path_factory, files, links) -> None:
    root = tmp_path_factory.mktemp("tree") / "part"
    grow(root, files, links)
    found = walk(root)
    both = [*found.images, *(entry.path for entry in found.left_out)]
    assert sorted(both) == sorted(everything(root))
    assert all(entry.reason for entry in found.left_out)
    assert find_images(root) == found


@settings(max_examples=40, deadline=None)
@given(TREES, LINKS)
def test_readers_and_the_search_agree(tmp_path_factory, files, links) -> None:
    root = tmp_path_factory.mktemp("tree") / "part"
    grow(root, files, links)
    searched = set(find_images(root).images)
    for layout, place in (("folder", root), ("mvtec", root.parent / "as mvtec")):
        if layout == "mvtec":
            place.mkdir()
            root.rename(place / "test")
            searched = {place / "test" / path.relative_to(root) for path in searched}
            searched -= {path for path in searched if not path.exists()}  # links whose target moved
        dataset = open_dataset(f"{layout}={place}", get_host())
        assert set(taken(dataset)) == searched
        both = [*taken(dataset), *(entry.path for entry in dataset.left_out)]
        assert sorted(both) == sorted(everything(place))
        (counts,) = count_classes(dataset)
        assert counts.normal + counts.anomalous == len(searched)


@settings(max_examples=40, deadline=None)
@given(TREES)
def test_an_archive_holds_the_images_of_its_folder(tmp_path_factory, files) -> None:
    base = tmp_path_factory.mktemp("tree")
    root, own = base / "part", base / "own"
    own.mkdir()
    grow(root, files, [])
    with zipfile.ZipFile(base / "a.zip", "w") as archive:
        for path in everything(root):
            archive.write(path, path.relative_to(root).as_posix())
    found, contents = walk(root), unpack(base / "a.zip", "a.zip", own, Limits())

    def shown(paths) -> list[str]:
        return sorted(shown_name(path.relative_to(root).as_posix()) for path in paths)

    assert sorted(entry.name for entry in contents.images) == shown(found.images)
    assert sorted((str(entry.path), entry.reason) for entry in contents.left_out) == sorted(
        (shown_name(entry.path.relative_to(root).as_posix()), entry.reason) for entry in found.left_out
    )


@settings(max_examples=40, deadline=None)
@given(TREES, st.data())
def test_a_list_takes_what_it_names_and_leaves_out_the_rest(tmp_path_factory, files, data) -> None:
    root = tmp_path_factory.mktemp("tree") / "part"
    grow(root, files, [])
    there = sorted(walk(root).images)
    named = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True))
    rows = [f"{path.relative_to(root).as_posix()};;0;part" for path in named]
    (root / "manifest.csv").write_text("\n".join(["image;mask;label;class_name", *rows]), encoding="utf-8")
    dataset = open_dataset(f"manifest={root}", get_host())
    assert sorted(taken(dataset)) == sorted(named)
    both = [*taken(dataset), *(entry.path for entry in dataset.left_out), root / "manifest.csv"]
    assert sorted(both) == sorted(everything(root))
