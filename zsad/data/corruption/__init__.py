"""Images made worse on purpose, the same way every time: how well a method keeps up is its robustness.

Numbers alone are imported, and no torch; what reads names imports not even those.
"""

from __future__ import annotations

from zsad.data.corruption.kinds import CLEAN, FORM, KINDS, Corruption, corruption_words, parse_corruption

__all__ = ["CLEAN", "FORM", "KINDS", "Corruption", "corruption_words", "parse_corruption"]
