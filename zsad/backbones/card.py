"""What is known of weights that somebody trained. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

TowerName = Literal["vision", "text"]


class TrainedOn(BaseModel):
    """One dataset that weights were learned on.

    Attributes:
        dataset: Its name.
        classes: The object classes seen, or None where they are not stated.
        manifest: Hash of the files, or None where it is not stated.
        images: Short hashes of the images' content, sorted, or None where they are not stated; they tell the
            images in any other folder and under any name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    classes: tuple[str, ...] | None = None
    manifest: str | None = None
    images: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BackboneCard:
    """What is known of a backbone's weights.

    Attributes:
        name: As the user wrote it.
        trained_on: What the weights were trained on, in words; "not stated" where nobody knows.
        saw_anomaly_labels: Whether the training data carried anomaly labels or masks.
        licence: Licence of the weights, in words.
        datasets: The datasets in ``trained_on``, as far as an evaluation on them has to be marked.
        doubt: What nothing says of the weights although numbers depend on it, and how to say it; None where
            all is known.
    """

    name: str
    trained_on: str
    saw_anomaly_labels: bool = False
    licence: str = "not stated"
    datasets: tuple[TrainedOn, ...] = ()
    doubt: str | None = None
