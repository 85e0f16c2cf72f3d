"""The distance to the nearest remembered patches, and the image score from the most distant ones."""

from __future__ import annotations

import torch

from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.anomaly_dino.foreground import Foreground
from zsad_plugins.anomaly_dino.options import NearestPatchesOptions
from zsad_plugins.standard.nearest import nearest_distance


class NearestPatches:
    """s(p) = mean of 1 - cos(p, m) over the nearest m, or 0 for background; the image has its top percent."""

    def __init__(self, options: NearestPatchesOptions, context: BuildContext) -> None:
        self.neighbours, self.top = options.neighbours, options.top
        self.foreground = Foreground(options, context)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of distances, the mean over the token sets, and the image score.

        Raises:
            InputError: The token sets have several grids, or fewer patches are remembered than neighbours.
        """
        memory, grid = conditioning.required_memory, features.grid
        distances = torch.stack(
            [
                nearest_distance(entry.tokens, memory[entry.name], self.neighbours)
                for entry in features.patch_sets
            ]
        ).mean(0)
        kept = self.foreground(features)
        if kept is not None:
            distances = distances.masked_fill(~kept, 0)
        count = max(1, int(self.top * grid.count))
        score = distances.topk(count, dim=1).values.mean(1)
        entry = ScoreSet(features.patch_sets[-1].name, grid.to_maps(distances[..., None]), "anomaly")
        return Scores((entry,)).with_image_score(score, "anomaly_dino.nearest")
