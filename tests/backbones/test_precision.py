"""What ``--device`` and ``--dtype`` mean, and what float32 is kept from."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from zsad.backbones.precision import choose_dtype, full_float32
from zsad.errors import InputError

BACKENDS = torch.backends
HAS_NEW = hasattr(BACKENDS.cudnn, "conv")

new = pytest.mark.skipif(not HAS_NEW, reason="torch before 2.9 has the older switches alone")


def state() -> tuple[object, ...]:
    if not HAS_NEW:
        return BACKENDS.cudnn.allow_tf32, BACKENDS.cuda.matmul.allow_tf32
    owners = (BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn, BACKENDS.cuda.matmul, BACKENDS.mkldnn.matmul)
    return tuple(owner.fp32_precision for owner in owners)


EXACT = {"ieee", "none", False}


@pytest.fixture(autouse=True)
def _as_at_the_start() -> Iterator[None]:
    """Begin and end with torch's defaults."""
    before = state()
    yield
    torch.set_float32_matmul_precision("highest")
    if HAS_NEW:
        BACKENDS.cuda.matmul.fp32_precision = BACKENDS.mkldnn.matmul.fp32_precision = "none"
        BACKENDS.cudnn.conv.fp32_precision = BACKENDS.cudnn.rnn.fp32_precision = "tf32"
    BACKENDS.cudnn.allow_tf32 = True
    assert state() == before


def switched() -> tuple[object, ...]:
    """Return the switches that the guard is about."""
    found = state()
    return (found[0], *found[2:]) if HAS_NEW else found


def test_convolutions_and_products_are_kept_exact_and_set_back() -> None:
    torch.set_float32_matmul_precision("high")
    before, cudnn = state(), BACKENDS.cudnn.enabled
    assert not set(switched()) & EXACT
    with full_float32():
        assert set(switched()) <= EXACT
        assert BACKENDS.cudnn.enabled == cudnn
    assert state() == before
    assert torch.get_float32_matmul_precision() == "high"  # torch refuses to say it of a mixed state
    assert BACKENDS.cudnn.allow_tf32


@new
@pytest.mark.parametrize("chosen", ["tf32", "ieee", "none"])
def test_whoever_uses_the_newer_switches_has_them_back(chosen: str) -> None:
    BACKENDS.cudnn.conv.fp32_precision = BACKENDS.cuda.matmul.fp32_precision = chosen
    before = state()
    with full_float32():
        assert set(switched()) <= EXACT
    assert state() == before


@new
def test_the_older_switches_do_where_there_are_no_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(BACKENDS.cudnn), "conv")
    assert not hasattr(BACKENDS.cudnn, "conv")
    BACKENDS.cuda.matmul.allow_tf32 = True
    with full_float32():
        assert not BACKENDS.cudnn.allow_tf32 and not BACKENDS.cuda.matmul.allow_tf32
    assert BACKENDS.cudnn.allow_tf32 and BACKENDS.cuda.matmul.allow_tf32


def test_guards_may_stand_in_one_another_and_decorate() -> None:
    before = state()

    @full_float32()
    def inner(depth: int) -> tuple[object, ...]:
        return inner(depth - 1) if depth else switched()

    with full_float32():
        assert set(inner(2)) <= EXACT
        assert set(switched()) <= EXACT
    assert state() == before


def test_an_error_sets_them_back() -> None:
    before = state()
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert state() == before


def test_the_last_of_several_threads_sets_them_back() -> None:
    before, seen = state(), []
    entered, left = threading.Event(), threading.Event()

    def slow() -> None:
        with full_float32():
            entered.set()
            left.wait(10)
            seen.append(switched())

    thread = threading.Thread(target=slow)
    with full_float32():
        thread.start()
        entered.wait(10)
    assert set(switched()) <= EXACT  # the other thread is still inside
    left.set()
    thread.join()
    assert set(seen[0]) <= EXACT and state() == before


def test_numbers_of_the_cpu_stay_what_they_are() -> None:
    images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kernel = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    plain = F.conv2d(images, kernel) @ images[0, 0, :6, :6]
    with full_float32():
        assert torch.equal(F.conv2d(images, kernel) @ images[0, 0, :6, :6], plain)


@pytest.mark.parametrize(("name", "device"), [("float64", "cpu"), ("float64", "cuda"), ("float16", "mps")])
def test_dtypes_that_a_device_has(name: str, device: str) -> None:
    assert choose_dtype(name, torch.device(device)) == getattr(torch, name)


def test_float64_on_mps_is_refused() -> None:
    with pytest.raises(InputError, match=r"--dtype float64: MPS devices have none; use float32, or"):
        choose_dtype("float64", torch.device("mps"))
