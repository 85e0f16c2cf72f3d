"""The order of names: as people expect that of files, and where each name stands among others."""

from __future__ import annotations

import re
from collections.abc import Iterable


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that compares runs of digits as numbers: ``2.png`` comes before ``10.png``."""
    pairs = re.findall(r"([0-9]+)|([^0-9]+)", text)
    # The text itself comes last, so that names that differ in case or zeros have an order too.
    return [*((not digits, int(digits or 0), other.casefold()) for digits, other in pairs), (False, -1, text)]


def places_by_name(names: Iterable[str]) -> dict[str, list[int]]:
    """Return where each name stands, in the order of first appearance."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places
