"""Loaded models and what is computed with them: each backbone once, one step at a time on the device."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.backbones.names import default_backbone
from zsad.data.preprocess import equal_sizes
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.passes import encode_together, group_by_pass
from zsad.detect.provenance import DetectorInfo, about
from zsad.detect.scope import Scope
from zsad.errors import InputError, ZsadError, nearest
from zsad.plugin.host import Host, get_host
from zsad.recipe.recipes import Display
from zsad.values import Features, Prediction, Sample
from zsad_demo.answers import Answer, Answers, Counts, Question
from zsad_demo.catalogue import Model, WeightFiles, models_on
from zsad_demo.drawing import Picture
from zsad_demo.vocabulary import UnknownWord, unknown_words
from zsad_demo.words import shortened

KEPT_DETECTORS = 16
"""Detectors that stay ready per backbone; they share its weights."""
Group = AbstractContextManager[Sequence[tuple[str, Picture]]]
"""Images of one pass, [H, W, 3] each under its name; they are in memory while the context is open."""
KEPT_NOUNS = 64
"""Object nouns whose text features a detector keeps."""


@dataclass(eq=False)
class _Ready:
    detector: Detector
    info: DetectorInfo
    nouns: set[str] = field(default_factory=set)


@dataclass(eq=False)
class _Loaded:
    backbone: ClipBackbone
    detectors: OrderedDict[Question, _Ready] = field(default_factory=OrderedDict)


class Engine:
    """Answers questions about images. Thread-safe.

    All its models live on one device, and one lock goes with the device: no two steps compete for it, no
    model is ever used by two threads, and no more than ``capacity`` backbones are in memory.

    Attributes:
        models: What can be asked for, by label.
        device: Where it computes, for example ``cpu`` or ``cuda:0``.
        capacity: Backbones that stay in memory; the one unused for longest makes way.
    """

    def __init__(
        self,
        backbones: Sequence[str] = (),
        *,
        weights: WeightFiles | None = None,
        device: str = "auto",
        dtype: str = "auto",
        capacity: int = 2,
        host: Host | None = None,
    ) -> None:
        """Load every backbone once and see what can run on it.

        Raises:
            InputError: A backbone or a weights file does not exist, or they do not fit.
            ZsadError: Nothing can run.
        """
        self.capacity = capacity
        self._host = host or get_host()
        self._device, self._dtype = device, dtype
        self._lock = threading.RLock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._loads = self._passes = 0
        self.models: dict[str, Model] = {}
        names = list(dict.fromkeys(backbones)) or [default_backbone(self._host)]
        for name in names:
            loaded = self._backbone(name)
            self.device = str(loaded.backbone.device)
            found = models_on(loaded.backbone, name, weights or {}, self._host, name_backbone=len(names) > 1)
            for model in found:
                if model.weights is not None:  # a file that does not fit is refused now, not by a visitor
                    self._ready(Question(model, model.image_size))
                self.models[model.label] = model
        if not self.models:
            raise ZsadError(f"no method can run on {' or '.join(names)}; 'zsad methods' lists them")

    def model(self, label: object) -> Model:
        """Return the model of a label.

        Raises:
            InputError: There is none.
        """
        if not isinstance(label, str) or label not in self.models:
            shown = shortened(label)
            raise InputError(f"unknown method '{shown}'{nearest(shown, self.models)}")
        return self.models[label]

    def counts(self) -> Counts:
        """Return what was done so far."""
        with self._lock:
            ready = [entry for loaded in self._loaded.values() for entry in loaded.detectors.values()]
            sides = [entry.detector.text_side for entry in ready]
            encodings = sum(side.encodings for side in sides if side is not None)
            return Counts(self._loads, self._passes, encodings, len(self._loaded), len(ready))

    def ask(self, questions: Sequence[Question], image: Picture, noun: str) -> Answers:
        """Judge an image by several methods, with as few passes as their encode keys allow.

        Args:
            questions: How; no two alike.
            image: [H, W, 3].
            noun: Object noun.

        Raises:
            InputError: A question does not fit its backbone.
            ZsadError: A method gave a score that is no number.
        """
        with self._lock:
            before, start = self._passes, time.perf_counter()
            found: dict[Question, Answer] = {}
            by_backbone: dict[str, list[Question]] = {}
            for question in questions:
                by_backbone.setdefault(question.model.backbone, []).append(question)
            # One backbone after the other, so that no more of them are needed at once than stay in memory.
            for same in by_backbone.values():
                found |= self._answers(same, Sample(image, noun))
            beyond = sum(answer.seconds for answer in found.values())
            seconds = time.perf_counter() - start - beyond
            answers = [found[question] for question in questions]
            separate = sum(answer.passes for answer in answers)
            return Answers(answers, self._passes - before, separate, seconds)

    def judge(
        self, question: Question, groups: Iterable[Group], noun: str
    ) -> Iterator[tuple[list[str], Prediction | None]]:
        """Judge images group by group; others may use the device between two groups.

        Args:
            question: How.
            groups: Images of a pass each; an empty one is passed over.
            noun: Object noun.

        Yields:
            The names of images that shared a pass with their prediction, or with None where the answers wait
            for the end: then the last names are those of all that waited.

        Raises:
            InputError: The question does not fit its backbone, or images that are to be compared are resized
                to different sizes.
            ZsadError: The method gave a score that is no number.
        """
        with self._lock:
            detector = self._detector(question, noun)
        scope, waiting = detector.scope(), list[str]()
        for group in groups:
            with group as images:  # and closed before anybody looks at the answer, who may take long
                names = [name for name, _ in images]
                if not names:
                    continue
                judged = self._judged(detector, scope, [Sample(image, noun) for _, image in images])
                del images
            for places, prediction in judged:
                own = [names[place] for place in places]
                if prediction is None:
                    waiting += own
                yield own, prediction
        with self._lock:
            last = detector.finish(scope)
        if last is not None:
            yield waiting, last

    def info(self, question: Question) -> tuple[DetectorInfo, Display]:
        """Return what stands behind the numbers of a question, and the fixed range of its maps."""
        with self._lock:
            ready = self._ready(question)
            return ready.info, ready.detector.recipe.recipe.display

    def unknown_words(self, question: Question, noun: str) -> tuple[UnknownWord, ...]:
        """Return what a visitor typed that the backbone has no vector for, in the order of the alphabet."""
        with self._lock:
            tower = self._backbone(question.model.backbone).backbone.text_tower()
            given = (noun, *question.words.normal, *question.words.abnormal)
            return () if tower is None else unknown_words(tower.tokenizer, given)

    def _answers(self, questions: Sequence[Question], sample: Sample) -> dict[Question, Answer]:
        detectors = {self._detector(question, sample.class_name): question for question in questions}
        found = {}
        for group in group_by_pass(list(detectors)):
            for detector, features in zip(group, self._encode(group, [sample]), strict=True):
                start = time.perf_counter()
                prediction = detector.score(features)
                seconds = time.perf_counter() - start
                question = detectors[detector]
                found[question] = _answer(self._ready(question), prediction, seconds)
        return found

    def _judged(
        self, detector: Detector, scope: Scope, samples: list[Sample]
    ) -> list[tuple[list[int], Prediction | None]]:
        """Return the places of images of one size with their prediction."""
        found: list[tuple[list[int], Prediction | None]] = []
        with self._lock:
            for places in equal_sizes(samples, detector.reading.form):
                (features,) = self._encode([detector], [samples[place] for place in places])
                found.append((places, detector.add(scope, features)))
        return found

    def _encode(self, group: Sequence[Detector], samples: Sequence[Sample]) -> list[Features]:
        features = encode_together(group, samples)
        self._passes += group[0].reading.passes
        return features

    def _backbone(self, name: str) -> _Loaded:
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        while len(self._loaded) >= self.capacity:  # before loading: the limit is one on memory
            self._loaded.popitem(last=False)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        backbone = load_backbone(name, self._device, self._dtype, host=self._host)
        loaded = self._loaded[name] = _Loaded(backbone)
        self._loads += 1
        return loaded

    def _ready(self, question: Question) -> _Ready:
        loaded = self._backbone(question.model.backbone)
        ready = loaded.detectors.get(question)
        if ready is None:
            detector = load(question.request(), self._host, loaded.backbone)
            ready = loaded.detectors[question] = _Ready(detector, about(detector))
            if len(loaded.detectors) > KEPT_DETECTORS:
                loaded.detectors.popitem(last=False)
        loaded.detectors.move_to_end(question)
        return ready

    def _detector(self, question: Question, noun: str) -> Detector:
        ready = self._ready(question)
        if noun not in ready.nouns and len(ready.nouns) >= KEPT_NOUNS and ready.detector.text_side:
            ready.detector.text_side.forget()
            ready.nouns.clear()
        ready.nouns.add(noun)
        return ready.detector


def _answer(ready: _Ready, prediction: Prediction, seconds: float) -> Answer:
    detector = ready.detector
    return Answer(
        score=float(prediction.score[0]),
        anomaly_map=prediction.anomaly_map[0].float().cpu().numpy(),
        display=detector.recipe.recipe.display,
        info=ready.info,
        trace=prediction.trace,
        passes=detector.reading.passes,
        seconds=seconds,
    )
