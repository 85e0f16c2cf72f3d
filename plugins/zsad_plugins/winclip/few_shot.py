"""WinCLIP+: the text's map and score, and those of the distance to references (paper, section 4.3)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zsad.parts import BuildContext, Memory
from zsad.values import Conditioning, Features, Scores, TokenSet
from zsad_plugins.standard.nearest import nearest_distance
from zsad_plugins.winclip.options import ScorerOptions
from zsad_plugins.winclip.scorers import AnomalyScorer, patch_scores

SMALLEST = 1e-12
"""In the place of a distance of 0, whose harmonic mean with others is 0 too."""


class FewShotScorer:
    """M = (M_text + M_ref) / 2 and s = (s_text + max M_ref) / 2.

    M_ref is the mean, over the patches and every scale of windows, of v = min over remembered m of
    (1 - cos(f, m)) / 2; that of a scale is, at a patch, the harmonic mean of v over windows that cover it.
    """

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.text = AnomalyScorer(options, context)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return the fused map on the grid and the image score."""
        (text,) = (scores := self.text(features, conditioning)).sets
        memory = conditioning.required_memory
        patches = [half_distance(entry, memory) for entry in features.patch_sets]
        windows = [covering_mean(entry, half_distance(entry, memory)) for entry in features.window_sets]
        references = torch.stack([*patches, *windows]).mean(0)
        (found,) = patch_scores(references, features).sets
        image = (scores.required_image_score + references.amax(1)) / 2
        fused = replace(found, values=(text.values + found.values) / 2)
        return Scores((fused,)).with_image_score(image, "winclip.few_shot: image feature and references")


def half_distance(entry: TokenSet, memory: Memory) -> Tensor:
    """Return (1 - cos) / 2 to the nearest remembered token of the same name: [B, N], from 0 to 1."""
    return nearest_distance(entry.tokens, memory[entry.name]) / 2


def covering_mean(entry: TokenSet, values: Tensor) -> Tensor:
    """Return, per patch, the harmonic mean of values [B, windows] over windows that cover it: [B, h * w]."""
    incidence = entry.windows.incidence.to(values.dtype)
    return incidence.sum(dim=0) / ((1 / values.clamp_min(SMALLEST)) @ incidence)
