"""Files that were found and not taken, and how that is said in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LeftOut:
    """A file that is not taken, or a link to a folder that is not followed.

    Attributes:
        path: Where it lies.
        reason: Why, in a few words that are the same for files of a kind.
    """

    path: Path
    reason: str


def left_out_words(left_out: Sequence[LeftOut]) -> str:
    """Return ``left out: 5, because ...`` with how many for each reason; an empty string for none."""
    counts = Counter(entry.reason for entry in left_out)
    if not counts:
        return ""
    reasons = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    return f"left out: {len(left_out)}, because {reasons}"
