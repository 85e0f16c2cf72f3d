"""Weights that a pass reads and that nobody may change on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from zsad.errors import ZsadError


class Frozen:
    """Watches what parts of methods do with a tower's weights.

    A change cannot be undone, so a tower of which some were changed answers nothing any more: numbers of
    other methods would be wrong without a word.
    """

    def __init__(self) -> None:
        self._changed = ""

    def check(self) -> None:
        """Refuse to go on with weights that were changed.

        Raises:
            ZsadError: Some were; says by what.
        """
        if self._changed:
            raise ZsadError(self._changed)

    @contextmanager
    def kept(self, module: nn.Module, reader: object) -> Iterator[None]:
        """See that a module's weights are the same afterwards, by torch's count of changes in place.

        Args:
            module: The module.
            reader: Whatever reads them meanwhile, for the message.

        Raises:
            ZsadError: They were changed.
        """
        before = _versions(module)
        yield
        if _versions(module) != before:
            what = f"{type(reader).__module__}.{type(reader).__qualname__}"
            self._changed = (
                f"the term {what} changed weights of the backbone, which all methods share; let it work on "
                "copies, and load the backbone again"
            )
            self.check()


def _versions(module: nn.Module) -> list[int]:
    return [parameter._version for parameter in module.parameters()]
