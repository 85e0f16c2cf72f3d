"""A pickle machine that can build tensors and plain containers, and call nothing.

A pickle is a program. This one's instructions are a closed list, and so are the names that mean something:
all others are kept as names. What would be made of a named class becomes an :class:`Inert`, which collects
the state that the file gives it; a name that the file would *call* is refused. No class or function of the
file's choice is ever looked up, let alone imported.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

LARGEST = 16 * 2**20
"""Bytes of a pickle; the numbers of tensors lie outside it."""


class Refusal(Exception):
    """The pickle asks for what no file of tensors needs; the message ends a sentence on the file."""


@dataclass(frozen=True)
class Name:
    """Something importable that is not imported.

    Attributes:
        text: Its module and its name in it.
    """

    text: str


@dataclass(eq=False)
class Inert:
    """Stands for an object of a class that is not imported.

    Attributes:
        kind: Name of the class.
        state: What the file says of the object, or None.
    """

    kind: str
    state: Any = field(default=None, repr=False)


Call = Callable[[tuple[Any, ...]], Any]

CONTAINERS: dict[str, Call] = {
    "collections.OrderedDict": lambda given: _ordered(*given),
    "builtins.set": lambda given: _set(*given),
    "__builtin__.set": lambda given: _set(*given),
    "torch.device": lambda given: Inert("torch.device"),
}
"""The calls that make containers, or nothing, whatever is read."""


def unpickle(data: bytes, calls: dict[str, Call], persistent: Callable[[Any], Any]) -> Any:
    """Run a pickle.

    Args:
        data: The pickle.
        calls: What the names stand for that may be called beside :data:`CONTAINERS`.
        persistent: Returns what an identifier of something outside the pickle stands for.

    Raises:
        Refusal: It asks for a call or an instruction that is not on the list, or for too much.
        ValueError, IndexError, KeyError, TypeError: It is damaged.
    """
    if len(data) > LARGEST:
        raise Refusal(
            f"its pickle has {len(data):,} bytes, and the description of a module has a few thousand"
        )
    return _Machine(CONTAINERS | calls, persistent).run(pickletools.genops(data))


class _Machine:
    def __init__(self, calls: dict[str, Call], persistent: Callable[[Any], Any]) -> None:
        self._calls, self._persistent = calls, persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, steps: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
        for step, argument, _ in steps:
            name = step.name
            if name == "STOP":
                return self._stack.pop()
            if name in _PUSHED:
                self._stack.append(_PUSHED[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            elif name not in _IGNORED:
                found = getattr(self, f"_{name.lower()}", None)
                if found is None:
                    raise Refusal(f"it has the instruction {name}, which files of tensors do without")
                found(argument)
        raise ValueError("the pickle has no end")

    def _mark(self, argument: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._marks.pop()
        return found

    def _pop(self, argument: Any) -> None:
        self._stack.pop()

    def _binput(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    _long_binput = _binput

    def _memoize(self, argument: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, argument: int) -> None:
        self._stack.append(self._memo[argument])

    _long_binget = _binget

    def _global(self, argument: str) -> None:
        self._stack.append(Name(argument.replace(" ", ".", 1)))

    def _stack_global(self, argument: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(Name(f"{_text(module)}.{_text(name)}"))

    def _tuple(self, argument: Any) -> None:
        found = tuple(self._since_mark())
        self._stack.append(found)

    def _tuple1(self, argument: Any) -> None:
        self._last_as_tuple(1)

    def _tuple2(self, argument: Any) -> None:
        self._last_as_tuple(2)

    def _tuple3(self, argument: Any) -> None:
        self._last_as_tuple(3)

    def _last_as_tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("the stack is too short")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self, argument: Any) -> None:
        value = self._stack.pop()
        _of(self._stack[-1], list).append(value)

    def _appends(self, argument: Any) -> None:
        values = self._since_mark()
        _of(self._stack[-1], list).extend(values)

    def _additems(self, argument: Any) -> None:
        values = self._since_mark()
        _of(self._stack[-1], set).update(map(_key, values))

    def _setitem(self, argument: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _of(self._stack[-1], dict)[_key(key)] = value

    def _setitems(self, argument: Any) -> None:
        values = self._since_mark()
        target = _of(self._stack[-1], dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_key(key)] = value

    def _binpersid(self, argument: Any) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def _newobj(self, argument: Any) -> None:
        self._stack.pop()
        self._stack.append(Inert(_of(self._stack.pop(), Name).text))

    def _reduce(self, argument: Any) -> None:
        given, name = _of(self._stack.pop(), tuple), _of(self._stack.pop(), Name).text
        if name not in self._calls:
            raise Refusal(f"it asks to call '{name}'")
        self._stack.append(self._calls[name](given))

    def _build(self, argument: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif not isinstance(target, OrderedDict):  # torch hangs the versions of modules on state dicts
            raise TypeError("nothing there takes a state")


_PUSHED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_IGNORED = {"PROTO", "FRAME"}


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _text(value: Any) -> str:
    found: str = _of(value, str)
    return found


def _key(value: Any) -> Hashable:
    """Return a key of a dict or set; tuples are not, whose hash would follow them however deep they are."""
    if not isinstance(value, (str, int)):
        raise TypeError(f"{type(value).__name__} as a key")
    return value


def _ordered(pairs: Any = ()) -> OrderedDict[Hashable, Any]:
    return OrderedDict((_key(key), value) for key, value in pairs)


def _set(values: Any = ()) -> set[Hashable]:
    return {_key(value) for value in _of(values, list)}
