"""The embedded backbone: a small CLIP that ships with zsad and needs no download."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.hookspecs import hookimpl
from zsad.specs import BackboneSpec

zsad_api = 1


@hookimpl
def zsad_backbones() -> Iterator[BackboneSpec]:
    """Yield ``mini`` and its untrained control."""
    yield BackboneSpec(
        name="mini",
        factory="zsad.backbones.mini:load",
        summary="a small CLIP trained by zsad on procedural images; ships in the wheel, works offline",
        card="zsad.backbones:mini.md",
    )
    yield BackboneSpec(
        name="mini-random",
        factory="zsad.backbones.mini:load_random",
        summary="mini's stem under towers that learned nothing: the control for figures on mini",
    )
