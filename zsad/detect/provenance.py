"""What stands behind a detector's numbers, as plain data for whoever shows or stores them. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zsad.detect.detector import Detector

NO_THRESHOLD = "no threshold set"


def about(detector: Detector) -> dict[str, Any]:
    """Return what stands behind a detector's numbers: recipe, setting, backbone, weights with their cards."""
    recipe, card = detector.recipe, detector.backbone.card
    return {
        "method": recipe.method,
        "recipe_hash": recipe.hash,
        "recipe": recipe.as_dict(),
        "setting": detector.setting,
        "fidelity": recipe.fidelity,
        "backbone": {"name": card.name, "trained_on": card.trained_on},
        "weights": {
            part: {"origin": found.origin, "trained_on": found.trained_on_words(), "source": found.source}
            for part, found in detector.cards.items()
        },
        "image_size": recipe.image_size,
    }


def decision(score: float, threshold: float | None) -> str:
    """Return what an image score means against a threshold, if there is one.

    Args:
        score: Higher is more anomalous.
        threshold: Score from which an image counts as anomalous.
    """
    if threshold is None:
        return NO_THRESHOLD
    return "anomalous" if score >= threshold else "normal"
