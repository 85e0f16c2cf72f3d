"""Grounding DINO (Liu et al., ECCV 2024) by transformers, asked for what can go wrong with an object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.backbones.hub import hub_errors
from zsad.data.phrases import read_phrases
from zsad.errors import InputError
from zsad.inputs import resized_size
from zsad.parts import BuildContext
from zsad.values import Sample
from zsad_plugins.filo.boxes import BoxRules, Detections, padded
from zsad_plugins.filo.options import DetectorOptions
from zsad_plugins.filo.words import read_states

WITHOUT = "or run the method 'filo', which needs no detector"


class GroundingDino:
    """Finds boxes of anomalies in the native images, one image at a time.

    Attributes:
        rules: Which boxes count.
        rows: Rows of the table of boxes per image, the detector's queries.
    """

    def __init__(self, options: DetectorOptions, context: BuildContext) -> None:
        self.options, self.device = options, context.device
        self.states, self.phrases = read_states(options.states), read_phrases(options.phrases)
        self.rules = BoxRules(options)
        self.image_size, self.image_resize = context.image_size, context.image_resize
        model, self.processor = load(options.model)
        self.model: Any = model.eval().requires_grad_(False).to(self.device)
        self.rows: int = model.config.num_queries

    def words(self, class_name: str) -> tuple[str, ...]:
        """Return the words that mark an anomaly of an object."""
        return (*self.states.anomaly_words, *self.phrases.of(class_name))

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return ``filo.boxes`` [B, queries, 6], see :mod:`zsad_plugins.filo.places`."""
        tables = []
        for sample in samples:
            words = self.words(sample.class_name)
            size = resized_size(*sample.image.shape[:2], self.image_size, self.image_resize)
            tables.append(self.rules.table(self.detect(sample, words), words, size))
        return {"filo.boxes": padded(tables, self.rows).to(images.device)}

    @torch.no_grad()
    def detect(self, sample: Sample, words: Sequence[str]) -> Detections:
        """Return every query's box, with its highest token score and the tokens above the threshold."""
        inputs = self.processor(
            images=sample.image,
            text=caption(words),
            size={"shortest_edge": self.options.short_side, "longest_edge": self.options.long_side},
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        output = self.model(**inputs)
        chances = output.logits[0].float().sigmoid().cpu()  # [queries, tokens]
        ids = inputs["input_ids"][0, : chances.shape[1]].cpu()
        scores = chances.amax(dim=1)
        # The first token and the last one begin and end the text.
        above = chances[:, : len(ids)] > self.options.threshold
        above[:, 0] = above[:, -1] = False
        empty = ~above.any(dim=1)
        phrases = tuple(
            "" if nothing else self.processor.tokenizer.decode(ids[chosen])
            for nothing, chosen in zip(empty.tolist(), above, strict=True)
        )
        return Detections(output.pred_boxes[0].float().cpu(), scores, phrases)


def caption(words: Iterable[str]) -> str:
    """Return what the detector is asked for: the words with full stops between them, in lower case."""
    return f"{' . '.join(word.strip() for word in words).lower()} ."


def load(name: str) -> tuple[Any, Any]:
    """Return a detector and its processor.

    Args:
        name: On the hub, or a folder.

    Raises:
        InputError: The folder holds no model that transformers can read.
        ZsadError: The hub cannot be reached, or has no such model.
    """
    if Path(name).is_dir():
        try:
            model, processor = _load(name)
        except Exception as error:  # transformers raises whatever its readers raise
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{name} holds no Grounding DINO of transformers: {reason}") from error
    else:
        with hub_errors(name, f"give its folder by --set auxiliary.grounding_dino.model=FOLDER, {WITHOUT}"):
            model, processor = _load(name)
    kind = model.config.model_type
    if not kind.endswith("grounding-dino"):
        raise InputError(f"{name} is a {kind}, not a Grounding DINO")
    return model, processor


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor  # takes seconds
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # has no types
    classes: tuple[Any, Any] = (AutoModelForZeroShotObjectDetection, AutoProcessor)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, processor = (each.from_pretrained(name) for each in classes)
    finally:
        if bars:
            logging.enable_progress_bar()
    return model, processor
