"""Devices that are none: their tensors lie on the CPU, say that they do not, and refuse to mix.

What a tensor says is kept with its storage, which views, parameters and gradients share as they would share
the memory of a device. One mode answers where Python asks for a device or names one; the other one sees every
kernel, those of the backward pass too, and raises where a real device would.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU = torch.device("cpu")
COPIES = {"copy_", "_to_copy", "_copy_from"}
"""Kernels that take from one device to another."""
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
"""Kernels whose second argument, the indices, may lie on the CPU."""
JOINS = {"cat", "stack"}
"""Kernels that take not even a single number from another device."""
FUNCTIONS_OF_THE_CPU = {"numpy", "__array__", "__dlpack__"}


class MixedDevices(RuntimeError):
    """A kernel was given what lies on several devices."""


def device_of(value: Tensor | Generator) -> torch.device:
    """Return where something lies or says that it lies."""
    if isinstance(value, Generator) or value.device.type != "cpu":
        return value.device
    found: torch.device = getattr(value.untyped_storage(), "pretended", CPU)
    return found


def put(tensor: Tensor, device: torch.device) -> None:
    tensor.untyped_storage().pretended = device  # type: ignore[attr-defined]


def named(device: Any) -> torch.device:
    """Return the device of a name; that of bare ``cuda`` is the first one."""
    found = torch.device(device)
    return torch.device("cuda", 0) if found.type == "cuda" and found.index is None else found


@contextmanager
def pretended_devices() -> Iterator[None]:
    """Let every device of CUDA be named, whether there is one or not."""
    kernels = _Kernels()
    with _Names(kernels), kernels:
        yield


class _Kernels(TorchDispatchMode):
    """Sees every kernel.

    Attributes:
        home: Device of the function under way, where what it makes for its own use lies.
    """

    home = CPU

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        found = _devices(name, args, kwargs)
        if len(found) > 1 and name not in COPIES:
            raise MixedDevices(f"{func} mixes {' and '.join(sorted(map(str, found)))}")
        result = func(*args, **kwargs)
        home = self.home if _made_by_torch() else CPU
        device = device_of(args[0]) if name in COPIES else next(iter(found), home)
        for tensor in _tensors(result):
            if device != CPU and device_of(tensor) == CPU:
                put(tensor, device)
        return result


def _made_by_torch() -> bool:
    """Whether torch called the kernel, and not a backward pass of one's own within a function of torch."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"] in ("torch._compile", "torch._dynamo.eval_frame"):  # around each kernel
        assert frame.f_back is not None
        frame = frame.f_back
    maker: str = frame.f_globals["__name__"]
    return maker == __name__ or maker.startswith("torch.")


def _devices(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> set[torch.device]:
    """Return the devices that a kernel's arguments bind it to."""
    changed = args[0] if name.endswith("_") else None
    indices = {id(leaf) for leaf in tree_leaves(args[1])} if name in INDEXED else set()
    bound, numbers = set(), set()
    for leaf in tree_leaves((args, kwargs)):
        if not isinstance(leaf, (Tensor, Generator)):
            continue
        device = device_of(leaf)
        if device == CPU and id(leaf) in indices:
            continue
        single = isinstance(leaf, Tensor) and leaf.ndim == 0 and leaf is not changed and name not in JOINS
        (numbers if device == CPU and single else bound).add(device)
    return bound or numbers


class _Names(TorchFunctionMode):
    """Sees every function that Python calls."""

    def __init__(self, kernels: _Kernels) -> None:
        super().__init__()
        self.kernels = kernels

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__" and isinstance(args[0], Tensor):
            asked = func.__self__.__name__
            if asked in ("device", "is_cuda", "is_cpu"):
                device = device_of(args[0])
                return device if asked == "device" else device.type == asked.removeprefix("is_")
        if name in FUNCTIONS_OF_THE_CPU and device_of(args[0]) != CPU:
            raise TypeError(f"{name} of a tensor on {device_of(args[0])}")
        if name in ("to", "cpu", "cuda"):
            return _moved(func, name, args, kwargs)
        if name == "new_tensor":  # made of numbers, not by a kernel
            kwargs.setdefault("device", device_of(args[0]))
        if kwargs.get("device") is None or name == "_parse_to":  # the latter only reads what it is given
            return self._at_home(func, args, kwargs)
        device = named(kwargs["device"])
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type != device.type:
            raise MixedDevices(f"{name} on {device} draws from a generator on {generator.device}")
        if device.type == "cuda":
            kwargs["device"] = CPU
        return _on(device, func(*args, **kwargs), args)

    def _at_home(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        former = self.kernels.home
        devices = (device_of(tensor) for tensor in _tensors((args, kwargs)))
        self.kernels.home = next((device for device in devices if device != CPU), CPU)
        try:
            return func(*args, **kwargs)
        finally:
            self.kernels.home = former


def _moved(func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Do what ``to``, ``cpu`` and ``cuda`` do."""
    tensor, *rest = args
    if name != "to":
        target = CPU if name == "cpu" else named(rest[0] if rest else kwargs.get("device", "cuda"))
        return _on(target, tensor, args)
    where = rest[0] if rest else kwargs.get("device", kwargs.get("other"))
    if isinstance(where, Tensor):
        return _moved(func, name, (tensor, device_of(where), where.dtype, *rest[1:]), {})
    if where is None or isinstance(where, torch.dtype):
        return func(*args, **kwargs)
    target = named(where)
    real = CPU if target.type == "cuda" else target
    kwargs.pop("device", None)
    return _on(target, func(tensor, real, *rest[1:], **kwargs), args)


def _on(device: torch.device, result: Any, given: Sequence[Any]) -> Any:
    """Return a tensor on a device: what was given stays where it is."""
    if not isinstance(result, Tensor) or result.device.type != "cpu" or device_of(result) == device:
        return result
    storages = {tensor.untyped_storage().data_ptr() for tensor in _tensors(given)}
    if result.untyped_storage().data_ptr() in storages:
        result = result.clone()
    put(result, device)
    return result


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.device.type == "cpu"]
