"""From text-driven scores of patches to scores that have met the class's other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Grid, Scores, ScoreSet, join_scores
from zsad_plugins.musc.lnamd import aggregate
from zsad_plugins.pa_clip.memory import benign_memory, normal_memory
from zsad_plugins.pa_clip.options import MemoryOptions
from zsad_plugins.standard.post_processors import anomaly_channel


@dataclass(frozen=True)
class Kept:
    """What is kept of a batch.

    Attributes:
        scores: The scores as they came, without their sets.
        text: t, [B, L] in 0 ... 1: the mean of the score sets.
        tokens: [B, L, D] unit vectors in main memory.
        grid: Where the patches lie.
        class_name: Of all images.
        device: Where the answer belongs.
    """

    scores: Scores
    text: Tensor
    tokens: Tensor
    grid: Grid
    class_name: str
    device: torch.device


class Memories:
    """s = t d_N d_B: the text's score, times the distances to the normal and to the benign memory.

    Distances are to patches of other images, as shares of the class's largest ones, at most 1.
    """

    def __init__(self, options: MemoryOptions, context: BuildContext) -> None:
        self.options = options

    def collect(self, scores: Scores, features: Features) -> Kept:
        """Return scores and features of patches.

        Raises:
            InputError: Scores and patches lie on different grids.
        """
        grid = features.grid
        stack = torch.stack([anomaly_channel(entry) for entry in scores.sets]).mean(0)
        if stack.shape[1:] != (grid.height, grid.width):
            raise InputError(
                "pa-clip.memories compares the scores of patches with the patches; put it before "
                "standard.upsample"
            )
        tokens = self.aggregated(features).to("cpu")
        text = stack.flatten(1).to(tokens)
        bare = replace(scores, sets=())
        return Kept(bare, text, tokens, grid, features.class_names[0], stack.device)

    def finalize(self, scope: Sequence[Kept]) -> Scores:
        """Return one score set in the place of those that came.

        Raises:
            InputError: The class has a single image, which has no others to be compared with.
        """
        scores = join_scores([entry.scores for entry in scope])
        text, tokens = (torch.cat([getattr(entry, name) for entry in scope]) for name in ("text", "tokens"))
        if len(text) < 2:
            raise InputError(
                f"pa-clip.memories compares the images of a class with one another, but "
                f"'{scope[0].class_name}' has only one image here; give two or more of it at once"
            )
        decided = decide(tokens, text, self.options)
        values = scope[0].grid.to_maps(decided[..., None]).to(scope[0].device)
        return replace(scores, sets=(ScoreSet("memories", values, "anomaly"),))

    def aggregated(self, features: Features) -> Tensor:
        """Return the mean over taps and neighbourhoods of unit vectors, as unit vectors [B, L, D]."""
        found = [
            aggregate(entry.grid.to_maps(entry.tokens), side)
            for entry in features.patch_sets
            for side in self.options.sides
        ]
        return F.normalize(torch.stack(found).mean(0), dim=-1)


def decide(tokens: Tensor, text: Tensor, options: MemoryOptions) -> Tensor:
    """Return t d_N d_B, [N, L].

    Args:
        tokens: [N, L, D] unit vectors of two or more images of a class.
        text: t, [N, L].
        options: Of the memories.
    """
    normal = normal_memory(tokens, text, options)
    benign = benign_memory(tokens, text, normal, options)
    from_normal = torch.stack([normal.distance(patches, image) for image, patches in enumerate(tokens)])
    from_benign = torch.stack([benign.distance(patches, image) for image, patches in enumerate(tokens)])
    largest = _quantile(from_normal, options.scale).clamp_min(torch.finfo(text.dtype).tiny)
    return text * (from_normal / largest).clamp_max(1) * (from_benign / largest).clamp_max(1)


def _quantile(values: Tensor, share: float) -> Tensor:
    """Return a quantile of any number of values; torch's own takes 16 million at most."""
    ordered = values.flatten().sort().values
    return ordered[int(share * (len(ordered) - 1))]
