"""One image under several methods, and how two of their maps differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zsad.errors import InputError
from zsad_demo.answers import Answer, Question
from zsad_demo.drawing import VIEW_SIDE, Picture, difference, difference_picture, fitted
from zsad_demo.engine import Engine
from zsad_demo.inspection import answer_facts, resized_map
from zsad_demo.uploads import Upload
from zsad_demo.vocabulary import UnknownWord, vocabulary_facts
from zsad_demo.words import shortened

MOST = 4
"""Methods side by side."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One visitor's image with its answers.

    Attributes:
        view: The image as the page shows it, [h, w, 3].
        answers: By the label of the model, in the order asked for.
        passes: Passes through a backbone that this took.
        separate_passes: Passes that the methods would take one at a time.
        seconds: What the passes took.
        unknown: Words that a backbone does not know.
    """

    view: Picture
    answers: dict[str, Answer]
    passes: int
    separate_passes: int
    seconds: float
    unknown: tuple[UnknownWord, ...]

    def facts(self) -> dict[str, Any]:
        """Return the answers as plain data."""
        return {
            "backbone_passes": self.passes,
            "separate_passes": self.separate_passes,
            "seconds_to_encode": round(self.seconds, 4),
            **vocabulary_facts(self.unknown),
            "methods": {label: answer_facts(answer) for label, answer in self.answers.items()},
        }


def compare(
    engine: Engine, upload: Upload, noun: str, labels: Sequence[str], image_size: int | None
) -> Comparison:
    """Judge an uploaded image by several methods, with as few passes as they allow.

    Args:
        engine: Answers.
        upload: The image.
        noun: Object noun.
        labels: Of the models.
        image_size: Side of the square input, or its short side, in pixels, or None for each method's own.

    Raises:
        InputError: Too few or too many methods, or one that needs several images.
    """
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"the methods to compare have to be a list of names, not {shortened(labels)}")
    distinct = list(dict.fromkeys(labels))
    if not 2 <= len(distinct) <= MOST:
        raise InputError(f"choose two to {MOST} methods to compare, not {len(distinct)}")
    models = [engine.model(label) for label in distinct]
    for model in models:
        if model.needs_several:
            raise InputError(f"{model.label} compares images with one another; send several under Batch")
    questions = [Question(model, image_size or model.image_size) for model in models]
    with upload.opened() as image:
        found = engine.ask(questions, image, noun)
        view = fitted(image, VIEW_SIDE)
        del image
    answers = dict(zip(distinct, found.answers, strict=True))
    unknown = {word for question in questions for word in engine.unknown_words(question, noun)}
    listed = tuple(sorted(unknown, key=lambda entry: entry.word))
    return Comparison(view, answers, found.passes, found.separate_passes, found.seconds, listed)


def compared(shown: Comparison, first: str, second: str) -> Picture:
    """Return the picture of how two maps differ, each on its method's own fixed range.

    Args:
        shown: The comparison.
        first: Label of the method that is red where its map is higher.
        second: Label of the method that is blue where its map is higher.

    Raises:
        InputError: The comparison has no such method.
    """
    height, width = shown.view.shape[:2]
    for label in (first, second):
        if not isinstance(label, str) or label not in shown.answers:
            raise InputError(f"'{shortened(label)}' is none of the compared methods")
    one, other = shown.answers[first], shown.answers[second]
    maps = [resized_map(answer.anomaly_map, height, width) for answer in (one, other)]
    return difference_picture(difference(maps[0], maps[1], one.display, other.display))
