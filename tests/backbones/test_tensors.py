"""Files of tensors as people have them, and what lies in their place after a failed download."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from zsad.backbones.tensors import read_tensors, state_in
from zsad.errors import InputError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("weights.txt", "x")
    return stream.getvalue()


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('code ran')",)


LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 39851234\n".encode()
DRIVE = b"<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>"
IMPOSTORS = {
    "lfs": (LFS, "a Git LFS pointer .the download failed.*git lfs pull"),
    "annex": (
        b"../../.git/annex/objects/Xx/SHA256E-s10--ab.pth\n",
        "a git-annex pointer .the download failed",
    ),
    "drive": (DRIVE, "a web page .the download failed"),
    "bom page": (b"\xef\xbb\xbf\n  <HTML>\n" + b"\xff" * 9, "a web page .the download failed"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page"),
    "json": (b'{"error": "Repository not found"}', "a text file"),
    "text": (b"these are no weights\n" * 300, "a text file"),
    "umlauts": ("Fehler: nicht verfügbar\n".encode() * 400, "a text file"),
    "empty": (b"", "an empty file .the download failed"),
    "gzip": (gzip.compress(saved(STATE)), "an archive .gzip; unpack it"),
    "zip": (zipped(), "a zip archive of other files"),
    "cut zip": (saved(STATE)[:-200], "a truncated or damaged archive .the download failed"),
    "cut safetensors": (save(STATE)[:-5], r"truncated \(it has \d+ of \d+ bytes: the download failed"),
    "cut header": (save(STATE)[:40], r"truncated \(it has 40 of \d+ bytes"),
}


@pytest.mark.parametrize("name", list(IMPOSTORS))
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_lies_in_the_place_of_a_file_is_named(tmp_path: Path, name: str, suffix: str) -> None:
    content, sentence = IMPOSTORS[name]
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as refusal:
        read_tensors(path)
    assert str(path) in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"\x00\x01\x02junk\xff" * 50, bytes(range(200, 256)) * 9, b"\x80\x02"])
def test_junk_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pt is (damaged or truncated|not a file of tensors)"):
        read_tensors(path)


@pytest.mark.parametrize("cut", [30, 200, -60, -1])
def test_a_truncated_legacy_file(tmp_path: Path, cut: int) -> None:
    stream = io.BytesIO()
    torch.save(STATE, stream, _use_new_zipfile_serialization=False)
    path = tmp_path / "weights.pt"
    path.write_bytes(stream.getvalue()[:cut])
    with pytest.raises(InputError, match=r"weights\.pt is damaged or truncated"):
        read_tensors(path)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_objects_are_refused_without_torch_s_hint(tmp_path: Path, form: str) -> None:
    path = tmp_path / "evil.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    else:
        torch.save({"state_dict": Evil()}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match="holds more than tensors and is not loaded") as refusal:
        read_tensors(path)
    assert "weights_only" not in str(refusal.value) and "ask its authors" in str(refusal.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_content_tells_the_form_and_not_the_suffix(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    torch.save(STATE, first)
    save_file(STATE, second)
    for path in (first, second):
        assert all(torch.equal(read_tensors(path)[key], STATE[key]) for key in STATE)


OPTIMISER = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]}


@pytest.mark.parametrize(
    "nested",
    [
        STATE,
        {"state_dict": STATE, "optimizer": OPTIMISER, "epoch": 3},
        {"model": STATE, "optimizer": OPTIMISER},
        {"model": {"state_dict": STATE}, "epoch": 1},
        {"own name": STATE, "epoch": 1},
        {f"module.{key}": value for key, value in STATE.items()},
        {"state_dict": {f"module.module.{key}": value for key, value in STATE.items()}},
    ],
)
def test_a_state_dict_is_found_however_deep(nested: object) -> None:
    found = state_in(nested)
    assert found is not None and set(found) == set(STATE)
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("nothing", [[STATE], {"epoch": 3}, {"ours": STATE, "theirs": STATE}, None])
def test_no_state_dict_or_no_telling_which(nothing: object) -> None:
    assert state_in(nothing) is None
