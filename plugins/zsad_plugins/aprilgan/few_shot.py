"""APRIL-GAN with references: the text's maps and distances of raw tokens, and the published image score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, join_scores
from zsad_plugins.standard.options import CosineOptions
from zsad_plugins.standard.references import NearestScorer
from zsad_plugins.standard.scorers import CosineScorer


class FewShotScorer:
    """The score sets of the text, from projected tokens, and of the references, from raw ones."""

    def __init__(self, options: CosineOptions, context: BuildContext) -> None:
        self.text, self.nearest = CosineScorer(options, context), NearestScorer(None, context)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per projected set and distances per raw one, and the text's image score."""
        projected, raw = (
            replace(
                features,
                token_sets=tuple(entry for entry in features.patch_sets if (entry.space == "raw") == is_raw),
            )
            for is_raw in (False, True)
        )
        scores = self.text(projected, conditioning)
        return replace(scores, sets=(*scores.sets, *self.nearest(raw, conditioning).sets))


class ClassRangeMean:
    """s = (s_text + m) / 2, with m the map's maximum, scaled to 0..1 over the images of the class.

    An image's score depends on which other images are tested with it: this is transductive.
    """

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def collect(self, scores: Scores, features: Features) -> Scores:
        """Return map and score of a batch."""
        return replace(scores, sets=())

    def finalize(self, scope: Sequence[Scores]) -> Scores:
        """Return the scores of all images of the class.

        Raises:
            InputError: The class has a single image, whose maximum has no range to lie in.
        """
        scores = join_scores(scope)
        highest = scores.required_map.flatten(1).amax(1)
        if len(highest) < 2:
            raise InputError(
                "part 'aprilgan.class_range' scales maxima over the images of a class, and one image has no "
                "range; give several, or use --set post_processors-=aprilgan.class_range"
            )
        low, high = highest.aminmax()
        scaled = (highest - low) / (high - low) if high > low else highest.new_zeros(len(highest))
        mean = (scores.required_image_score + scaled) / 2
        return scores.with_image_score(mean, "aprilgan.class_range: text and map maximum")
