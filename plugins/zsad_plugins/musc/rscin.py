"""Re-scoring with constrained image-level neighbourhoods, RsCIN (paper, section 3.3), behind any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Scores, join_scores
from zsad_plugins.musc.options import RscinOptions


def min_max(scores: Tensor) -> Tensor:
    """Rescale scores [N] to 0 ... 1; scores that are all equal become 0."""
    low, high = scores.aminmax()
    return (scores - low) / (high - low).clamp_min(torch.finfo(scores.dtype).tiny)


def neighbourhood_means(scores: Tensor, features: Tensor, neighbours: Sequence[int]) -> Tensor:
    """Return the mean over k of W_k s, with W_k the k largest cosines of every row, divided by their sum.

    Args:
        scores: s, [N].
        features: Unit image features [N, C]; every image is its own most similar one.
        neighbours: Each k; where there are fewer images, all of them.

    Returns:
        [N].
    """
    similarity = features @ features.T
    weights, places = similarity.topk(min(max(neighbours), len(scores)), dim=1)
    near = scores[places]
    means = [(weights[:, :k] * near[:, :k]).sum(1) / weights[:, :k].sum(1) for k in neighbours]
    return torch.stack(means).mean(0)


class Rscin:
    """Replaces the image scores of a class by averages over similar images.

    Attributes:
        neighbours: Each k.
        rescale: Rescale the scores of the class to 0 ... 1 before.
    """

    def __init__(self, options: RscinOptions, context: BuildContext) -> None:
        self.neighbours, self.rescale = options.neighbours, options.min_max

    def collect(self, scores: Scores, features: Features) -> tuple[Scores, Features]:
        """Return scores and unit image features."""
        image = F.normalize(features.image_feature, dim=-1)
        return scores, replace(features, image_feature=image, token_sets=(), auxiliary={}, prepass=None)

    def finalize(self, scope: Sequence[tuple[Scores, Features]]) -> Scores:
        """Return the scores with their image scores replaced.

        Raises:
            InputError: The class has a single image, which has no neighbours.
        """
        scores = join_scores([entry for entry, _ in scope])
        features = torch.cat([entry.image_feature for _, entry in scope])
        if len(features) < 2:
            raise InputError(
                "musc.rscin averages image scores over similar images of a class, but "
                f"'{scope[0][1].class_names[0]}' has only one image here; give two or more of it at once, or "
                "use --set post_processors-=musc.rscin"
            )
        found = min_max(scores.required_image_score) if self.rescale else scores.required_image_score
        found = neighbourhood_means(found, features.to(found.dtype), self.neighbours)
        return scores.with_image_score(found, "musc.rscin")
