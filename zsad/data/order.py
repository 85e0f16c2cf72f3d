"""The order in which people expect files: numbers in names count as numbers."""

from __future__ import annotations

import re


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that compares runs of digits as numbers: ``2.png`` comes before ``10.png``."""
    pairs = re.findall(r"([0-9]+)|([^0-9]+)", text)
    # The text itself comes last, so that names that differ in case or zeros have an order too.
    return [*((not digits, int(digits or 0), other.casefold()) for digits, other in pairs), (False, -1, text)]
