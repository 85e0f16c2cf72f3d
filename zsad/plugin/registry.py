"""What the active plugins contribute to one hook, looked up by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from zsad.errors import InputError, nearest
from zsad.plugin.specs import Spec

S = TypeVar("S", bound=Spec)

FEW = 12
"""Names that a message lists; where there are more, a listing shows them."""


def canonical(distribution: str) -> str:
    """Return the name under which package indexes compare a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True)
class Claim(Generic[S]):
    """A spec and who contributes it.

    Attributes:
        spec: What the plugin yielded.
        distribution: Canonical name of the distribution that the plugin belongs to.
        plugin: Name of the plugin's entry point.
    """

    spec: S
    distribution: str
    plugin: str

    @property
    def qualified(self) -> str:
        """``distribution:name``, which always finds this claim."""
        return f"{self.distribution}:{self.spec.name}"


def _family(name: str) -> str:
    """Return the first word of a name: of a part ``acme.sharpen`` and a method ``acme@fast``, ``acme``."""
    return re.split(r"[.:@]", name, maxsplit=1)[0]


class Registry(Generic[S]):
    """The claims of one hook, in the order in which plugins were loaded."""

    def __init__(
        self, noun: str, claims: Iterable[Claim[S]], failed: Mapping[str, str] | None = None
    ) -> None:
        """Take the claims.

        Args:
            noun: What the specs describe.
            claims: Who contributes what.
            failed: Plugins that contribute nothing because they are broken, with the reason.
        """
        self.noun = noun
        self._claims = tuple(claims)
        self._failed = dict(failed or {})

    def items(self) -> list[tuple[str, Claim[S]]]:
        """Return every claim with the shortest name that ``get`` accepts for it."""
        return [
            (claim.spec.name if len(self.claimants(claim.spec.name)) == 1 else claim.qualified, claim)
            for claim in self._claims
        ]

    def names(self) -> list[str]:
        """Return the names of ``items``: plain, or ``distribution:name`` where several claim the name."""
        return [name for name, _ in self.items()]

    def claimants(self, name: str) -> list[Claim[S]]:
        """Return every claim on exactly this name."""
        return [claim for claim in self._claims if claim.spec.name == name]

    def get(self, name: str) -> Claim[S]:
        """Return the one claim on a name.

        Args:
            name: A plain name, or ``distribution:name``. Names may hold colons of their own, so the plain
                name is tried first.

        Raises:
            InputError: If nothing has the name, or several distributions claim it.
        """
        found = self._find(name)
        if len(found) == 1:
            return found[0]
        if found:
            owners = " and ".join(f"'{claim.distribution}'" for claim in found)
            choices = " or ".join(f"'{claim.qualified}'" for claim in found)
            raise InputError(f"{self.noun} '{name}' is claimed by {owners}; write {choices}")
        known = {claim.spec.name for claim in self._claims} | {claim.qualified for claim in self._claims}
        hint = "" if _family(name) in self._failed else nearest(name, sorted(known)) or self._choices()
        raise InputError(f"unknown {self.noun} '{name}'{hint}{self._missed(name)}")

    def _missed(self, name: str) -> str:
        """Return which broken plugin may have what is not found: the one of its name, else all of them."""
        own = {plugin: why for plugin, why in self._failed.items() if plugin == _family(name)} or self._failed
        return "".join(f"; plugin '{plugin}' may have it, and failed: {why}" for plugin, why in own.items())

    def _choices(self) -> str:
        """Return what there is, where it is few enough to be read."""
        names = self.names()
        return f" (there are: {', '.join(names)})" if 0 < len(names) <= FEW else ""

    def __contains__(self, name: object) -> bool:
        """Whether somebody claims the name; ``get`` still refuses it where several do."""
        return isinstance(name, str) and bool(self._find(name))

    def __len__(self) -> int:
        return len(self._claims)

    def _find(self, name: str) -> list[Claim[S]]:
        distribution, _, rest = name.partition(":")
        return self.claimants(name) or [
            claim for claim in self.claimants(rest) if claim.distribution == canonical(distribution)
        ]
