"""What is asked of an engine, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zsad.detect.provenance import DetectorInfo
from zsad.detect.request import DetectorRequest
from zsad.recipe.recipes import Display
from zsad_demo.catalogue import Model
from zsad_demo.words import OWN_WORDS, Words


@dataclass(frozen=True)
class Question:
    """How a visitor wants an image to be judged; equal questions share a detector.

    Attributes:
        model: What was chosen.
        image_size: Side of the square input, or its short side, in pixels.
        words: Sentences in the place of the method's own.
    """

    model: Model
    image_size: int
    words: Words = OWN_WORDS

    def request(self) -> DetectorRequest:
        """Return what is asked of the detector that answers."""
        return DetectorRequest(
            method=self.model.method,
            backbone=self.model.backbone,
            weights=self.model.weights,
            image_size=self.image_size,
            overrides=self.words.settings(),
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says of an image.

    Attributes:
        score: Image score; higher is more anomalous.
        anomaly_map: [h, w] float32.
        display: The fixed range of the map in pictures.
        info: What stands behind the numbers.
        trace: Which stages set the image score.
        passes: Passes that the method takes on its own.
        seconds: What the method took beyond the shared pass.
    """

    score: float
    anomaly_map: npt.NDArray[np.float32]
    display: Display
    info: DetectorInfo
    trace: tuple[str, ...]
    passes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Answers:
    """What several methods say of an image.

    Attributes:
        answers: In the order of the questions.
        passes: Passes through a backbone that this took.
        separate_passes: Passes that the methods would take one at a time.
        seconds: What the passes took, and getting the models ready before them.
    """

    answers: list[Answer]
    passes: int
    separate_passes: int
    seconds: float


@dataclass(frozen=True)
class Counts:
    """What an engine has done so far.

    Attributes:
        loads: Backbones loaded.
        passes: Passes through a vision tower.
        encodings: Encodings of texts by detectors that are still ready.
        backbones: Backbones in memory.
        detectors: Detectors ready.
    """

    loads: int
    passes: int
    encodings: int
    backbones: int
    detectors: int
