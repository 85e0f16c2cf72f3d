"""Scoring a scope (a class) batch by batch, with parts that answer at once or only at its end."""

from __future__ import annotations

from collections.abc import Sequence


import torch

from zsad.errors import ZsadError
from zsad.parts import PostProcessor, Scorer, TwoPhasePostProcessor, TwoPhaseScorer
from zsad.values import Conditioning, Features, Prediction, Scores

Stage = Scorer | PostProcessor | TwoPhaseScorer | TwoPhasePostProcessor


class Scope:
    """The images over which a method's two-phase parts look, for example the test images of a class.

    Methods without such parts answer every batch at once; the others answer in :meth:`finish`.
    """

    def __init__(
        self,
        scorer: Scorer | TwoPhaseScorer,
        post_processors: Sequence[PostProcessor | TwoPhasePostProcessor],
    ) -> None:
        stages: list[Stage] = [scorer, *post_processors]
        self._scorer = scorer
        waits = [isinstance(stage, (TwoPhaseScorer, TwoPhasePostProcessor)) for stage in stages]
        self._split = waits.index(True) if True in waits else len(stages)
        self._stages = stages
        self._collected: list[object] = []
        self._image_features: list[torch.Tensor] = []
        self._class_names: list[str] = []
        self._image_size = 0

    @property
    def waits(self) -> bool:
        """Whether answers come only at the end of the scope."""
        return self._split < len(self._stages)

    def add(self, features: Features, conditioning: Conditioning | None) -> Prediction | None:
        """Take a batch; return its prediction, or None where the scope has to be complete first."""
        scores = Scores()
        for stage in self._stages[: self._split]:
            scores = self._apply(stage, scores, features, conditioning)
        if not self.waits:
            return _prediction(scores, features.class_names)
        stage = self._stages[self._split]
        if stage is self._scorer:
            self._collected.append(stage.collect(features, conditioning))  # type: ignore[union-attr, arg-type]
        else:
            self._collected.append(stage.collect(scores, features))  # type: ignore[union-attr, arg-type]
        self._image_features.append(features.image_feature)
        self._class_names.extend(features.class_names)
        self._image_size = features.image_size
        return None

    def finish(self) -> Prediction | None:
        """Return the predictions of all collected images, in order, or None where none waited."""
        if not self._collected:
            return None
        scores: Scores = self._stages[self._split].finalize(self._collected)  # type: ignore[union-attr]
        # Token sets of a whole scope would not fit memory; later stages see the image features.
        features = Features((), torch.cat(self._image_features), tuple(self._class_names), self._image_size)
        for stage in self._stages[self._split + 1 :]:
            if isinstance(stage, TwoPhasePostProcessor):
                scores = stage.finalize([stage.collect(scores, features)])
            else:
                scores = stage(scores, features)  # type: ignore[operator, arg-type]
        self._collected.clear()
        return _prediction(scores, features.class_names)

    def _apply(
        self, stage: Stage, scores: Scores, features: Features, conditioning: Conditioning | None
    ) -> Scores:
        if stage is self._scorer:
            return stage(features, conditioning)  # type: ignore[operator, arg-type, no-any-return]
        return stage(scores, features)  # type: ignore[operator, arg-type, no-any-return]


def _prediction(scores: Scores, class_names: Sequence[str]) -> Prediction:
    if scores.map is None or scores.image_score is None:
        what = "an anomaly map" if scores.map is None else "an image score"
        raise ZsadError(f"the parts of this method ended without {what}, although they declare to provide one")
    return Prediction(scores.image_score, scores.map, tuple(class_names), scores.trace)


