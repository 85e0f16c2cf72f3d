"""NAGL: normal and abnormal references, whose residuals say what an anomaly is like (Wang et al., 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield references and proxies."""
    # fmt: off
    yield PartSpec("nagl.references", "reference_store", ".references:References",
                   "tokens of normal references, and those inside the masks of abnormal ones",
                   options=".options:ReferenceOptions", abnormal_references="abnormal")
    yield PartSpec("nagl.proxies", "scorer", ".proxies:Proxies",
                   "similarity to normal tokens and to proxies of anomalies that attend to residuals",
                   options=".options:ProxyOptions", requires={"patch_tokens", "memory"},
                   provides={"scores:probabilities"}, learnable=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method."""
    yield RecipeSpec("nagl", ":recipe.yaml")
