"""A cell: one line of an evaluation, and the unit of resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zsad.backbones.card import TrainedOn
from zsad.data.dataset import Dataset, DatasetImage
from zsad.detect.detector import Detector
from zsad.detect.memories import references_digest
from zsad.detect.provenance import DetectorInfo, about
from zsad.evaluation.contamination import saw
from zsad.evaluation.references import NO_REFERENCES, CellReferences
from zsad.evaluation.results import CellDataset, CellFacts, NamedWeights, Resolution


@dataclass(frozen=True)
class Rules:
    """What an evaluation measures and how, the same for all its cells.

    Attributes:
        metrics: Names of the metrics.
        resolution: Where maps and masks are compared.
        seed: Seed of everything random.
        batch_size: Images per pass; it decides numbers only of methods that depend on the batch.
    """

    metrics: tuple[str, ...]
    resolution: Resolution = "image-size"
    seed: int = 0
    batch_size: int = 8


@dataclass(frozen=True)
class Contestant:
    """A detector with the names under which its results are reported.

    Attributes:
        detector: The method on its backbone.
        weights: What the user named as weights, ``embedded`` for those that a plugin ships, or empty.
    """

    detector: Detector
    weights: str = ""

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.detector.recipe.method

    @cached_property
    def info(self) -> DetectorInfo:
        """What stands behind the detector's numbers."""
        return about(self.detector)

    @property
    def training_sets(self) -> dict[str, tuple[TrainedOn, ...]]:
        """What the backbone and the weights of each part were trained on, by whose training it was."""
        backbone = self.detector.backbone.card
        parts = {f"weights of {key}": card.trained_on or () for key, card in self.detector.cards.items()}
        return {f"backbone {backbone.name}": backbone.datasets, **parts}


@dataclass(frozen=True)
class Cell:
    """One method on one class of one dataset.

    Attributes:
        contestant: The method.
        source: The dataset as it was given.
        dataset: The dataset restricted to the class.
        rules: What is measured.
        references: What a few-shot method is given of the class.
    """

    contestant: Contestant
    source: Dataset
    dataset: Dataset
    rules: Rules
    references: CellReferences = NO_REFERENCES

    @property
    def class_name(self) -> str:
        """The class."""
        return self.dataset.classes[0]

    @property
    def images(self) -> tuple[DatasetImage, ...]:
        """The images of the class, in order."""
        return self.dataset.images

    @property
    def corruption(self) -> str | None:
        """What is done to the images, or None."""
        return None if self.dataset.corruption is None else str(self.dataset.corruption)

    @cached_property
    def contaminated_by(self) -> str:
        """Where images of the class were seen in training, or an empty string."""
        for source, seen in self.contestant.training_sets.items():
            if any(saw(entry, self.dataset, self.source) for entry in seen):
                return source
        return ""

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the cell's numbers, and what tells it from the others of a run."""
        detector = self.contestant.detector
        profile = detector.recipe.profile
        facts = self.references.facts
        few_shot = {"references": references_digest(facts), "shots": self.references.shots} if facts else {}
        return {
            **few_shot,
            "recipe": detector.recipe.as_dict(),
            "backbone": detector.backbone.sha256,
            "weights": self.contestant.info.weights.sha256,
            "dataset": self.dataset.manifest_hash,
            "name": self.dataset.name,
            "class": self.class_name,
            "image_size": detector.recipe.image_size,
            "dtype": profile.dtype,
            "seed": self.rules.seed,
            "batch_size": self.rules.batch_size if detector.recipe.batch_dependent else None,
            "resolution": self.rules.resolution,
            "metrics": sorted(self.rules.metrics),
            # Left out where there is none: images as they are keep the key that they had before.
            **({} if self.corruption is None else {"corruption": self.corruption}),
        }

    @cached_property
    def key(self) -> str:
        """Hash of :meth:`identity`, 16 hexadecimal digits."""
        return identity_hash(self.identity())

    @property
    def facts(self) -> CellFacts:
        """What stands behind the cell's figures, before there are any."""
        info = self.contestant.info
        return CellFacts(
            key=self.key,
            method=info.method,
            recipe_hash=info.recipe_hash,
            setting=info.setting,
            fidelity=info.fidelity,
            backbone=info.backbone,
            weights=NamedWeights(name=self.contestant.weights, **dict(info.weights)),
            dataset=CellDataset(name=self.dataset.name, manifest_hash=self.dataset.manifest_hash),
            class_name=self.class_name,
            contaminated_by=self.contaminated_by,
            image_size=info.image_size,
            dtype=info.dtype,
            corruption=self.corruption,
            shots=self.references.shots,
            references=self.references.facts,
            seed=self.rules.seed,
        )


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Return a hash of plain data, 16 hexadecimal digits."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
