"""Options of APRIL-GAN's parts."""

from __future__ import annotations

from zsad.plugin.options import Options


class HeadOptions(Options):
    """Options of ``aprilgan.linear_heads``."""

    keep_raw: bool = False
    """Keep the raw tokens of every tap behind the projected ones, for a comparison with references."""
