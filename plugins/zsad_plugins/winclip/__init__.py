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
    yield PartSpec("winclip.few_shot", "scorer", ".few_shot:FewShotScorer",
                   "winclip.anomaly, averaged with the distances of windows and patches to references",
                   options=".options:ScorerOptions",
                   requires={"window_tokens", "text_features", "cls_token", "memory"},
                   provides={"scores:anomaly", "image_score"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the paper's methods without and with references, and two third-party readings of the former."""
    yield RecipeSpec("winclip", ":recipe.yaml", starter=2)
    yield RecipeSpec("winclip@caoyunkang", ":caoyunkang.yaml")
    yield RecipeSpec("winclip@anomalib", ":anomalib.yaml")
    yield RecipeSpec("winclip@few-shot", ":few_shot.yaml")
