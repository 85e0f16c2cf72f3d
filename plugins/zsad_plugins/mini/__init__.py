"""The embedded backbone: a small CLIP that ships with zsad and needs no download."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import BackboneSpec

zsad_api = 1


@hookimpl
def zsad_backbones() -> Iterator[BackboneSpec]:
    """Yield ``mini`` and its untrained control."""
    # fmt: off
    yield BackboneSpec("mini", ".backbone:load",
                       "a small CLIP trained by zsad on procedural images; ships in the wheel, works offline",
                       card=":README.md", default=True)
    yield BackboneSpec("mini-random", ".backbone:load_random",
                       "mini's stem under towers that learned nothing: the control for figures on mini")
    # fmt: on
