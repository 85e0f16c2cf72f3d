"""What stands behind a detector's numbers, for whoever shows or stores them. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsad.detect.record import Record
from zsad.recipe.recipes import Fidelity

if TYPE_CHECKING:
    from zsad.detect.detector import Detector

NO_THRESHOLD = "no threshold set"


class BackboneInfo(Record):
    """The backbone behind a number.

    Attributes:
        name: As the user wrote it.
        sha256: Hash of its weights.
        trained_on: What they were trained on, in words.
    """

    name: str
    sha256: str
    trained_on: str


class PartWeights(Record):
    """Learned weights of one part.

    Attributes:
        origin: ``authors``, ``own`` or ``none``; None where a file of format 0 does not say.
        trained_on: The datasets, in words.
        source: The file that they were converted from, with its sha256, or None.
    """

    origin: str | None
    trained_on: str
    source: str | None


class WeightsInfo(Record):
    """The learned parameters behind a number.

    Attributes:
        origin: ``authors``, ``own``, ``none``, or several of them joined by a plus sign.
        sha256: Hash of the learned parameters, whatever file they came from.
        parts: What is known of each learned part, by its key.
    """

    origin: str
    sha256: str
    parts: dict[str, PartWeights]


class Provenance(Record):
    """What stands behind a number.

    Attributes:
        method: Name of the method.
        recipe_hash: Hash of the resolved recipe.
        setting: The three axes of the setting.
        fidelity: What the method's numbers agree with.
        backbone: The frozen towers.
        weights: The learned parameters.
        image_size: Side of the square input, or its short side, in pixels.
        dtype: Precision of the towers.
    """

    method: str
    recipe_hash: str
    setting: str
    fidelity: Fidelity
    backbone: BackboneInfo
    weights: WeightsInfo
    image_size: int
    dtype: str


class DetectorInfo(Provenance):
    """What stands behind a detector's numbers, with its whole recipe.

    Attributes:
        recipe: The resolved recipe, as plain data.
    """

    recipe: dict[str, Any]


def about(detector: Detector) -> DetectorInfo:
    """Return what stands behind a detector's numbers. The learned parameters are hashed."""
    from zsad.backbones.clip import state_digest

    recipe, card = detector.recipe, detector.backbone.card
    origins = {found.origin for found in detector.cards.values()} if recipe.learnable else set()
    return DetectorInfo(
        method=recipe.method,
        recipe_hash=recipe.hash,
        setting=detector.setting,
        fidelity=recipe.fidelity,
        backbone=BackboneInfo(name=card.name, sha256=detector.backbone.sha256, trained_on=card.trained_on),
        weights=WeightsInfo(
            origin="+".join(sorted(origins)) or "none",
            sha256=state_digest(detector.state_dict()),
            parts={
                part: PartWeights(
                    origin=found.origin, trained_on=found.trained_on_words(), source=found.source
                )
                for part, found in detector.cards.items()
            },
        ),
        image_size=recipe.image_size,
        dtype=recipe.profile.dtype,
        recipe=recipe.as_dict(),
    )


def decision(score: float, threshold: float | None) -> str:
    """Return what an image score means against a threshold, if there is one.

    Args:
        score: Higher is more anomalous.
        threshold: Score from which an image counts as anomalous.
    """
    if threshold is None:
        return NO_THRESHOLD
    return "anomalous" if score >= threshold else "normal"
