"""WinCLIP: windows of patches against compositional prompts (Jeong et al., CVPR 2023), without training."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the window layout and the two ways of scoring windows."""
    yield PartSpec(
        name="winclip.windows",
        kind="attention_refiner",
        factory="zsad_plugins.winclip.windows:build",
        summary="class features of small windows of patches, each run through the tower on its own",
        options="zsad_plugins.winclip.options:WindowOptions",
        requires=frozenset({"cls_token"}),
        provides=frozenset({"window_tokens"}),
    )
    yield PartSpec(
        name="winclip.anomaly",
        kind="scorer",
        factory="zsad_plugins.winclip.scorers:build_anomaly",
        summary="harmonic mean of abnormal probabilities over windows, scales and the full image",
        options="zsad_plugins.winclip.options:ScorerOptions",
        requires=frozenset({"window_tokens", "text_features", "cls_token"}),
        provides=frozenset({"scores:anomaly", "image_score"}),
    )
    yield PartSpec(
        name="winclip.normality",
        kind="scorer",
        factory="zsad_plugins.winclip.scorers:build_normality",
        summary="one minus the harmonic mean of normal probabilities over windows, as in caoyunkang/WinClip",
        options="zsad_plugins.winclip.options:ScorerOptions",
        requires=frozenset({"window_tokens", "text_features"}),
        provides=frozenset({"scores:anomaly"}),
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the paper's method and two third-party readings of it."""
    yield RecipeSpec("winclip", "zsad_plugins.winclip:recipe.yaml", starter=2)
    yield RecipeSpec("winclip@caoyunkang", "zsad_plugins.winclip:caoyunkang.yaml")
    yield RecipeSpec("winclip@anomalib", "zsad_plugins.winclip:anomalib.yaml")
