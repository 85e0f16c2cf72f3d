"""The image score: the image memory's probability and the map's largest pixels."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.mrad.options import ImageScoreOptions


class ImageScore:
    """k p + (1 - k) mean of the int(top H W) largest pixels of the smoothed map."""

    def __init__(self, options: ImageScoreOptions, context: BuildContext) -> None:
        self.share, self.top = options.share, options.top

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mixed image score."""
        pixels = scores.required_map.flatten(1)
        count = max(1, int(self.top * pixels.shape[1]))
        peak = pixels.topk(count, dim=1).values.mean(1)
        mixed = self.share * scores.required_image_score + (1 - self.share) * peak
        return scores.with_image_score(mixed, "mrad.image_score: image memory and largest pixels")
