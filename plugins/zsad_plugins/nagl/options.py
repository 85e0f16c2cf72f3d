"""Options of NAGL's parts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsad.plugin.options import Options


class ReferenceOptions(Options):
    """Options of ``nagl.references``."""

    abnormal: bool = True
    """Take abnormal references beside the normal ones; without them the map is the distance to the nearest
    normal token, and nothing learned has a part in it."""


class ProxyOptions(Options):
    """Options of ``nagl.proxies``."""

    proxies: int = Field(25, ge=1)
    """Learned proxies of anomalies."""
    heads: int = Field(4, ge=1)
    """Heads of every attention."""
    match: Literal["cosine", "product"] = "cosine"
    """How the normal token that a residual is taken from is found; ``product`` is published code's, which
    does not normalise here, though it does everywhere else."""
