from __future__ import annotations

import io
import json
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zsad.errors import InputError
from zsad_demo.archive import Limits, unpack


def png(side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "own"
    made.mkdir()
    return made


def packed(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def files_outside(tmp_path: Path, folder: Path, archive: Path) -> list[Path]:
    return [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and folder not in path.parents and path != archive
    ]


def test_images_are_written_under_numbers_and_named_for_people(tmp_path: Path, folder: Path) -> None:
    archive = packed(
        tmp_path / "a.zip",
        {"b/x.png": png(), "a.JPG": png(), "notes.txt": b"no", "__MACOSX/._a.png": b"no", ".h.png": b"no"},
    )
    contents = unpack(archive, "a.zip", folder, Limits())
    found = contents.images
    assert [entry.name for entry in found] == ["b/x.png", "a.JPG"]
    assert [(str(entry.path), entry.reason) for entry in contents.left_out] == [
        ("notes.txt", ".txt is no image"),
        ("__MACOSX/._a.png", "left behind by a system"),
        (".h.png", "hidden"),
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["00000", "00001"]
    assert found[0].path and found[0].path.read_bytes() == png()


def test_paths_that_lead_out_are_left_out(tmp_path: Path, folder: Path) -> None:
    names = ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png", "..\\evil.png"]
    archive = packed(tmp_path / "a.zip", dict.fromkeys(names, png()) | {"ok.png": png()})
    found = unpack(archive, "a.zip", folder, Limits()).images
    assert [entry.reason for entry in found] == ["its path leads out of the archive"] * 5 + [""]
    assert files_outside(tmp_path, folder, archive) == []
    assert len(list(folder.iterdir())) == 1


def test_links_are_left_out(tmp_path: Path, folder: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (entry,) = unpack(tmp_path / "a.zip", "a.zip", folder, Limits()).images
    assert entry.reason == "it is a link"
    assert list(folder.iterdir()) == []


def test_archives_inside_are_not_opened(tmp_path: Path, folder: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"x.png": png()}).read_bytes()
    archive = packed(tmp_path / "a.zip", {"inner.zip": inner})
    (entry,) = unpack(archive, "a.zip", folder, Limits()).images
    assert entry.reason == "it is an archive inside an archive"


def test_encrypted_entries_are_left_out(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"x.png": png()})
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag bits of both headers
        data[data.index(signature) + offset] |= 1
    archive.write_bytes(data)
    (entry,) = unpack(archive, "a.zip", folder, Limits()).images
    assert entry.reason == "it is encrypted"


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "bomb.zip", {f"{n}.png": bytes(100_000) for n in range(20)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(InputError, match=r"'bomb.zip' unpacks to more than 1 MB"):
        unpack(archive, "bomb.zip", folder, Limits(total_bytes=1_000_000))
    assert list(folder.iterdir()) == []


def test_a_bomb_that_lies_about_its_size_is_cut_off(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "liar.zip", {"x.png": bytes(5_000_000)})
    data = archive.read_bytes()
    place = data.index(b"PK\x01\x02")
    archive.write_bytes(data[: place + 24] + struct.pack("<I", 10) + data[place + 28 :])
    (entry,) = unpack(archive, "liar.zip", folder, Limits(file_bytes=1_000_000)).images
    assert entry.path is None
    assert sum(path.stat().st_size for path in folder.iterdir()) == 0


def test_one_large_entry_is_left_out_and_the_rest_is_taken(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"big.png": bytes(2_000_000), "ok.png": png()})
    big, ok = unpack(archive, "a.zip", folder, Limits(file_bytes=1_000_000)).images
    assert (big.reason, ok.reason) == ("unpacks to more than 1 MB", "")
    assert [path.name for path in folder.iterdir()] == ["00001"]


def test_too_many_entries_are_refused(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "a.zip", {f"{n}.png": b"" for n in range(5)})
    with pytest.raises(InputError, match=r"'a.zip' holds 5 files; at most 4"):
        unpack(archive, "a.zip", folder, Limits(files=4))


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(18) + b"rest"])
def test_what_is_no_archive_is_refused_or_empty(tmp_path: Path, folder: Path, data: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    try:
        assert unpack(path, "a.zip", folder, Limits()).images == []
    except InputError as error:
        assert "it is no zip archive, or a damaged one" in str(error)


def test_damaged_archives_never_do_more_than_a_sentence(tmp_path: Path, folder: Path) -> None:
    whole = packed(tmp_path / "a.zip", {"a.png": png(64), "b.png": png(32)}).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(200):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 6):
            data[place] = rng.integers(256)
        path, own = tmp_path / "a.zip", folder / str(number)
        path.write_bytes(data[: rng.integers(1, len(data))] if number % 2 else data)
        own.mkdir()
        try:
            for entry in unpack(path, "a.zip", own, Limits()).images:
                assert entry.path is None or entry.path.parent == own
        except InputError as error:
            assert "'a.zip'" in str(error)
    assert files_outside(tmp_path, folder, tmp_path / "a.zip") == []


def test_a_list_of_a_million_entries_is_refused_before_it_is_read(tmp_path: Path, folder: Path) -> None:
    numbers = (20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", *numbers) + b"a"
    count = 200_000
    entries = entry * count
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entries), 0, 0)  # it says there is one
    archive = tmp_path / "a.zip"
    archive.write_bytes(entries + end)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"'a\.zip' lists too many files"):
        unpack(archive, "a.zip", folder, Limits())
    assert time.perf_counter() - start < 0.5


def test_long_and_odd_names_are_shown_on_one_short_line(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"a\n\u202eb.png": png(), "x" * 5000 + ".png": png()})
    odd, long = (entry.name for entry in unpack(archive, "a.zip", folder, Limits()).images)
    assert odd == "a\ufffd\ufffdb.png"
    assert len(long) == 200
    assert long.endswith("xx.png")


def test_a_name_with_a_time_is_taken(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"line 3/2024-05-01T10:30:00.png": png()})
    (found,) = unpack(archive, "a.zip", folder, Limits()).images
    assert (found.name, found.reason) == ("line 3/2024-05-01T10:30:00.png", "")


def test_images_that_are_not_read_and_outputs_of_zsad_are_left_out(tmp_path: Path, folder: Path) -> None:
    record = {"images": [{"path": "a.png", "score": 0.5, "overlay": "/x/a_overlay.png"}]}
    entries = {
        "p/a_overlay.png": png(),
        "p/predictions.json": json.dumps(record).encode(),
        "a_overlay.png": png(),
        "b.HEIC": b"x",
        "c.jfif": png(),
        "@eaDir/c.jfif/SYNOPHOTO_THUMB_M.jpg": png(),
        "old.zip": b"x",
    }
    contents = unpack(packed(tmp_path / "a.zip", entries), "a.zip", folder, Limits())
    assert [(entry.name, entry.reason) for entry in contents.images] == [
        ("a_overlay.png", ""),
        ("c.jfif", ""),
        ("old.zip", "it is an archive inside an archive"),
    ]
    assert [(str(entry.path), entry.reason) for entry in contents.left_out] == [
        ("p/a_overlay.png", "written by zsad"),
        ("p/predictions.json", "written by zsad"),
        ("b.HEIC", ".heic needs converting to PNG or JPEG"),
        ("@eaDir/c.jfif/SYNOPHOTO_THUMB_M.jpg", "left behind by a system"),
    ]


@pytest.mark.parametrize("record", [b"", b"{", b"x" * 2_000_000, b"[" * 100_000])
def test_records_that_are_none_name_nothing(tmp_path: Path, folder: Path, record: bytes) -> None:
    archive = packed(tmp_path / "a.zip", {"a.png": png(), "predictions.json": record})
    contents = unpack(archive, "a.zip", folder, Limits())
    assert [entry.name for entry in contents.images] == ["a.png"]
    assert [str(entry.path) for entry in contents.left_out] == ["predictions.json"]
