"""WinCLIP: windows of patches against compositional prompts (Jeong et al., CVPR 2023), without training."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the window layout and the two ways of scoring windows."""
    # fmt: off
    yield PartSpec("winclip.windows", "attention_refiner", ".windows:windows",
                   "class features of small windows of patches, each run through the tower on its own",
                   options=".options:WindowOptions", requires={"cls_token", "streams"},
                   provides={"window_tokens"})
    yield PartSpec("winclip.anomaly", "scorer", ".scorers:AnomalyScorer",
                   "harmonic mean of abnormal probabilities over windows, scales and the full image",
                   options=".options:ScorerOptions", requires={"window_tokens", "text_features", "cls_token"},
                   provides={"scores:anomaly", "image_score"})
    yield PartSpec("winclip.normality", "scorer", ".scorers:NormalityScorer",
                   "one minus the harmonic mean of normal probabilities over windows, as in "
                   "caoyunkang/WinClip",
                   options=".options:ScorerOptions", requires={"window_tokens", "text_features"},
                   provides={"scores:anomaly"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the paper's method and two third-party readings of it."""
    yield RecipeSpec("winclip", ":recipe.yaml", starter=2)
    yield RecipeSpec("winclip@caoyunkang", ":caoyunkang.yaml")
    yield RecipeSpec("winclip@anomalib", ":anomalib.yaml")
