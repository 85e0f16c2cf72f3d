"""Files that are there completely or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zsad.errors import InputError, ZsadError
from zsad.files import atomic_write, check_writable, write_json, write_npy, write_png, write_text


def refused(path, write, reason):
    with pytest.raises(ZsadError) as caught:
        write(path)
    assert not isinstance(caught.value, InputError)
    assert str(path.parent) in str(caught.value)
    assert reason in str(caught.value)


def test_writes_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "made" / "for it" / "x.txt"
    write_text(path, "one\n")
    write_text(str(path), "zwei: ü\n")
    assert path.read_bytes() == "zwei: ü\n".encode()
    assert os.listdir(path.parent) == ["x.txt"]


def test_permissions_follow_the_umask(tmp_path):
    former = os.umask(0o027)
    try:
        write_text(tmp_path / "x", "")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ZsadError])
def test_an_error_keeps_the_former_file(tmp_path, error):
    path = tmp_path / "x.bin"
    path.write_bytes(b"former")

    def writer(stream):
        stream.write(b"half of the new ")
        stream.flush()
        assert path.read_bytes() == b"former"
        assert len(os.listdir(tmp_path)) == 2
        raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        atomic_write(path, writer)
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["x.bin"]


def test_a_killed_writer_keeps_the_former_file(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"former")
    code = (
        "import sys, time; from zsad.files import atomic_write\n"
        "def writer(stream):\n"
        "    stream.write(b'half'); stream.flush(); print('ready', flush=True); time.sleep(60)\n"
        "atomic_write(sys.argv[1], writer)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert path.read_bytes() == b"former"


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"0" * 100_000)
    code = (
        "import sys; from zsad.files import atomic_write\n"
        "for digit in b'123456789' * 20:\n"
        "    atomic_write(sys.argv[1], lambda s: [s.write(bytes([digit]) * 1000) for _ in range(100)])"
    )
    with subprocess.Popen([sys.executable, "-c", code, path]) as process:
        seen = set()
        while process.poll() is None:
            content = path.read_bytes()
            assert len(content) == 100_000
            assert len(set(content)) == 1
            seen.add(content[0])
            time.sleep(0)
    assert process.returncode == 0
    assert len(seen) > 1


def test_a_folder_without_permission(public_path, unprivileged):
    closed = public_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    with unprivileged():
        refused(
            closed / "x.txt", lambda path: write_text(path, "x"), "permission denied; write to another folder"
        )
    assert os.listdir(closed) == []


def test_a_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is a Linux device")

    def writer(stream):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    refused(tmp_path / "x.txt", lambda path: atomic_write(path, writer), "no space left; free some")
    assert os.listdir(tmp_path) == []


def test_a_write_that_the_system_cuts_short(tmp_path):
    code = (
        "import resource, sys, numpy; from zsad.errors import ZsadError; from zsad.files import write_npy\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: write_npy(sys.argv[1], numpy.zeros(100_000))\n"
        "except ZsadError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path / "x.npy"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"cannot write 'x.npy' in folder '{tmp_path}': File too large\n"
    assert os.listdir(tmp_path) == []


def test_files_in_the_place_of_folders_and_folders_in_the_place_of_files(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    def write(path):
        write_text(path, "x")

    refused(tmp_path / "file" / "x.txt", write, "a file is in the folder's place")
    refused(tmp_path / "file" / "deeper" / "x.txt", write, "a part of the path is a file")
    refused(tmp_path / "folder", write, "Is a directory")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_file_in_the_place_of_a_folder_is_wrong_input(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper" / "still"):
        with pytest.raises(InputError, match=f"cannot write in folder '{folder}': a .*file"):
            check_writable(folder)
    check_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path / "new" / "folder") == []


def test_a_long_name_leaves_room_for_the_temporary_file(tmp_path):
    write_text(tmp_path / ("x" * 255), "long")
    assert (tmp_path / ("x" * 255)).read_text() == "long"
    refused(tmp_path / ("x" * 256), lambda path: write_text(path, ""), "too long")
    assert os.listdir(tmp_path) == ["x" * 255]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_json_round_trips(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, value)
    assert json.loads(path.read_bytes()) == value


def test_json_of_undecodable_file_names(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "x.json", {name: "ü"})
    assert json.loads((tmp_path / "x.json").read_bytes()) == {name: "ü"}
    assert "ü" in (tmp_path / "x.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, -float("inf")])
def test_json_refuses_what_is_no_number(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("array", [np.zeros((3, 0), np.float32), np.arange(6.0).reshape(2, 3).T, np.array(7)])
def test_npy_round_trips(tmp_path, array):
    write_npy(tmp_path / "x.npy", array)
    back = np.load(tmp_path / "x.npy")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_npy_refuses_objects(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_npy(tmp_path / "x.npy", np.array([{}]))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_round_trips(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "x.png", pixels)
    with Image.open(tmp_path / "x.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), pixels)
