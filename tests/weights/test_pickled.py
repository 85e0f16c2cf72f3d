"""Modules pickled whole: their tensors are read, and nothing that the file asks for is imported or called."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.parity.synthetic_adapters import authors_module, nested
from zsad.errors import InputError
from zsad.weights.pickled import read_module
from zsad.weights.unpickler import unpickle


class Nested(nn.Module):
    """Modules in modules, buffers that are kept and one that is not, a parameter that is None."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2, bias=False))
        self.norm = nn.BatchNorm1d(2)
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer("kept", torch.arange(6, dtype=torch.int64).view(2, 3).t())
        self.register_buffer("forgotten", torch.ones(2), persistent=False)


def saved(value: Any, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def test_a_module_gives_its_state_dict(tmp_path: Path) -> None:
    module = Nested()
    found = read_module(saved(module, tmp_path / "module.pt"))
    assert found.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool])
def test_types_strides_and_protocols(tmp_path: Path, dtype: torch.dtype, protocol: int) -> None:
    base = torch.arange(20).to(dtype)
    value = OrderedDict(
        view=base.as_strided((3, 4), (5, 1), 2), empty=torch.zeros(0, 3, dtype=dtype), all=base
    )
    found = read_module(saved(value, tmp_path / "state.pt", pickle_protocol=protocol))
    assert list(found) == list(value)
    for name, tensor in value.items():
        assert found[name].dtype == dtype and torch.equal(found[name], tensor)


def test_plain_files_are_read_as_ever(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.randn(1, 2, 3))
    assert torch.equal(read_module(saved(parameter, tmp_path / "prompt.pt")), parameter.detach())
    old = saved({"a": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read_module(old)["a"], torch.ones(2))
    module = saved(Nested(), tmp_path / "old-module.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="holds more than tensors and is not loaded"):
        read_module(module)
    with pytest.raises(InputError, match="there is no file"):
        read_module(tmp_path / "none.pt")


def test_a_class_of_the_file_is_not_imported(tmp_path: Path) -> None:
    with authors_module() as kind:
        saved(nested(kind, {"attention.weight": torch.ones(2, 2)}), tmp_path / "module.pt")
    found = read_module(tmp_path / "module.pt")
    assert torch.equal(found["attention.weight"], torch.ones(2, 2))
    assert "clip.adaptor" not in sys.modules


# Attacks


def archive(path: Path, pickled: bytes, entries: dict[str, bytes] | None = None, **options: Any) -> Path:
    """Write a file in torch's format around a pickle."""
    with zipfile.ZipFile(path, "w", **options) as target:
        target.writestr("archive/data.pkl", pickled)
        target.writestr("archive/byteorder", b"little")
        for name, content in (entries or {}).items():
            target.writestr(f"archive/{name}", content)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call(module: str, name: str, *arguments: str) -> bytes:
    """Return pickle code that calls something with texts."""
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(map(text, arguments)) + b"tR"


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04t" + b"Q"


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00") -> bytes:
    """Return pickle code of a tensor over the storage 0 of four numbers."""
    rest = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + offset + size + stride + rest + b"tR"


FOUR = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}

CALLS = {
    "os.system": call("os", "system", "touch MARKER"),
    "posix.system": call("posix", "system", "touch MARKER"),
    "subprocess.Popen": b"csubprocess\nPopen\n](" + text("touch") + text("MARKER") + b"e\x85R",
    "builtins.eval": call("builtins", "eval", "open('MARKER', 'w')"),
    "builtins.exec": call("builtins", "exec", "open('MARKER', 'w')"),
    "__builtin__.eval": call("__builtin__", "eval", "open('MARKER', 'w')"),
    "builtins.getattr": call("builtins", "getattr", "", "join"),
    "torch.load": call("torch", "load", "MARKER"),
    "torch.hub.load": call("torch.hub", "load", "MARKER", "x"),
    "torch.serialization.load": call("torch.serialization", "load", "MARKER"),
    "torch.ops.load_library": call("torch.ops", "load_library", "MARKER"),
    "torch._utils._rebuild_wrapper_subclass": call("torch._utils", "_rebuild_wrapper_subclass", "x"),
    "torch.jit.load": call("torch.jit", "load", "MARKER"),
    "copyreg._reconstructor": call("copyreg", "_reconstructor", "x"),
    "functools.partial": call("functools", "partial", "x"),
    "numpy.load": call("numpy", "load", "MARKER"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_a_file_would_call_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "evil.pt", b"\x80\x02" + CALLS[name] + b".")
    with pytest.raises(InputError, match=f"could run code .*asks to call '{name}'"):
        read_module(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.pt"]


REFUSED: dict[str, bytes] = {
    # In protocols that torch does not write, names are called by instructions of their own.
    "INST": b"(" + text("touch MARKER") + b"ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\n" + text("touch MARKER") + b"o.",
    "NEWOBJ_EX": b"cos\nsystem\n)}\x92.",
    "EXT1": b"\x82\x01.",
    "PERSID": b"Pstorage\n.",
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 2) + b"xx.",
}


@pytest.mark.parametrize("name", REFUSED)
def test_instructions_that_tensors_do_without_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "evil.pt", b"\x80\x02" + REFUSED[name])
    with pytest.raises(InputError, match=f"it has the instruction {name}, which files of tensors do without"):
        read_module(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.pt"]


def test_a_class_is_made_of_nothing_and_takes_its_state_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # subprocess.Popen.__new__, then its state: an inert object that holds a tensor, as any module would.
    state = b"}" + text("_parameters") + b"}" + text("w") + tensor(b"K\x04\x85", b"K\x01\x85") + b"ss"
    path = archive(tmp_path / "odd.pt", b"\x80\x02csubprocess\nPopen\n)\x81" + state + b"b.", FOUR)
    assert torch.equal(read_module(path)["w"], torch.tensor([1.0, 2, 3, 4]))


NEVER: dict[str, tuple[bytes, str]] = {
    "nested persistent identifiers": (b"(" + STORAGE + STORAGE + b"tQ.", "damaged or truncated"),
    "an identifier that is a call": (call("os", "system", "touch MARKER") + b"Q.", "asks to call"),
    "an identifier of another file": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("../../../etc/passwd") + text("cpu")
        + b"K\x04tQ.", "damaged or truncated",
    ),
    "a count beyond the entry": (STORAGE.replace(b"K\x04", b"J\xff\xff\xff\x7f") + b".", "damaged"),
    "a tensor beyond its storage": (tensor(b"K\x05\x85", b"K\x01\x85") + b".", "damaged"),
    "an offset beyond its storage": (tensor(b"K\x04\x85", b"K\x01\x85", b"K\x01") + b".", "damaged"),
    "a negative stride": (tensor(b"K\x02\x85", b"J\xff\xff\xff\xff\x85") + b".", "damaged"),
    "a huge tensor of one number": (
        tensor(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", b"K\x00K\x00\x86") + b".", "spreads 4 numbers over",
    ),
    "a size that is true": (tensor(b"\x88\x85", b"K\x01\x85") + b".", "damaged"),
    "a far place of the memo": (b"Nr\xff\xff\xff\x7f0.", "damaged"),
    "a text longer than the file": (b"X\xff\xff\xff\x7fabc.", "damaged"),
    "a tuple as a key": (b"}))s.", "damaged"),
    "no end": (b"N", "damaged"),
    "nothing": (b"", "damaged"),
    "an empty stack": (b"R.", "damaged"),
    "a state for a number": (b"K\x01}b.", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_files_that_lie_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = NEVER[name]
    with pytest.raises(InputError, match=said):
        read_module(archive(tmp_path / "evil.pt", b"\x80\x02" + code, FOUR))
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.pt"]


def test_compressed_and_overlapping_entries_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.pt", b"N.", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="its entries are compressed"):
        read_module(path)
    big = archive(tmp_path / "big.pt", b"N" * (16 * 2**20 + 1))
    with pytest.raises(InputError, match="its pickle has 16,777,217 bytes"):
        read_module(big)


def test_modules_that_hold_one_another_end(tmp_path: Path) -> None:
    def holder(children: bytes) -> bytes:
        return b"cm\nC\n)\x81}" + text("_modules") + b"}" + children + b"ssb"

    inner = holder(text("x") + b"N")
    for _ in range(20):  # 2 ** 20 paths lead to the innermost
        inner = inner + b"q\x010" + holder(b"(" + text("a") + b"h\x01" + text("b") + b"h\x01u")[:-3] + b"sb"
    with pytest.raises(InputError, match="lie in one another without end"):
        read_module(archive(tmp_path / "bush.pt", b"\x80\x02" + inner + b"."))
    loop = b"cm\nC\n)\x81q\x01}" + text("_modules") + b"}" + text("x") + b"h\x01ssb."
    with pytest.raises(InputError, match="lie in one another without end"):
        read_module(archive(tmp_path / "loop.pt", b"\x80\x02" + loop))


class _Caller:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, ("touch MARKER",)


def test_a_real_pickle_of_a_call_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"more": _Caller(), "weights": torch.ones(2)}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"asks to call '(posix|nt)\.system'"):
        read_module(tmp_path / "evil.pt")
    assert not (tmp_path / "MARKER").exists()
    # The attack is one: what reads pickles as they are meant runs it.
    with zipfile.ZipFile(tmp_path / "evil.pt") as source:
        (name,) = (entry for entry in source.namelist() if entry.endswith("data.pkl"))
        (tmp_path / "code").write_bytes(source.read(name))
    program = (
        "import pickle, sys\n"
        "class U(pickle.Unpickler):\n"
        "    def persistent_load(self, pid): return None\n"
        "try: U(open('code', 'rb')).load()\n"
        "except Exception: pass\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    assert (tmp_path / "MARKER").exists()


# Mutations


def _module_bytes() -> bytes:
    torch.manual_seed(0)
    stream = io.BytesIO()
    torch.save(Nested(), stream)
    return stream.getvalue()


ORIGINAL = _module_bytes()
with zipfile.ZipFile(io.BytesIO(ORIGINAL)) as _source:
    _NAME = next(name for name in _source.namelist() if name.endswith("data.pkl"))
    PICKLE = _source.read(_NAME)
    ENTRIES = {name.partition("/")[2]: _source.read(name) for name in _source.namelist() if "/data/" in name}


def outcome(path: Path) -> None:
    """Read a file: it loads, or gives one sentence, and nothing else."""
    try:
        read_module(path)
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)


CHANGES = st.lists(
    st.tuples(st.integers(0, 2**20), st.binary(min_size=0, max_size=4)), min_size=1, max_size=6
)


def mutated(content: bytes, changes: list[tuple[int, bytes]], cut: int) -> bytes:
    found = bytearray(content)
    for place, new in changes:
        place %= len(found)
        found[place : place + max(1, len(new))] = new
        if not found:
            found = bytearray(b"\0")
    return bytes(found[: len(found) - cut % len(found)] if cut else found)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.integers(0, 400))
def test_a_mutated_pickle_loads_or_says_one_sentence(
    tmp_path: Path, changes: list[tuple[int, bytes]], cut: int
) -> None:
    outcome(archive(tmp_path / "mutated.pt", mutated(PICKLE, changes, cut), ENTRIES))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.integers(0, 3000))
def test_a_mutated_file_loads_or_says_one_sentence(
    tmp_path: Path, changes: list[tuple[int, bytes]], cut: int
) -> None:
    path = tmp_path / "mutated.pt"
    path.write_bytes(mutated(ORIGINAL, changes, cut))
    outcome(path)


@settings(max_examples=100, deadline=None)
@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
))  # fmt: skip
def test_plain_containers_come_out_as_they_went_in(value: Any) -> None:
    assert unpickle(pickle.dumps(value, 4), {}, lambda identifier: None) == value
