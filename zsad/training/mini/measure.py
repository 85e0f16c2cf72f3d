"""Figures of a trained ``mini``: the methods that users run, on drawn images and on folders with masks."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.streams import VisionRequest
from zsad.data.images import read_image
from zsad.data.preprocess import to_tensor
from zsad.detector import load_detector
from zsad.training.mini.pool import Array
from zsad.training.mini.sentences import DEFECT_WORDS
from zsad.values import Sample

BATCH = 16
MEASURED_SIDE = 120
"""Maps and masks are compared on a grid of this side: areas, not single pixels, carry the figure."""


@dataclass(frozen=True)
class Example:
    """An image with its truth.

    Attributes:
        sample: Image and noun.
        mask: [H, W] bool, all False for a normal image.
        defect: Type, or None.
        material: Material, or None where nobody knows.
    """

    sample: Sample
    mask: Array
    defect: str | None = None
    material: str | None = None


def auroc(scores: Array, labels: Array) -> float | None:
    """Return the area under the ROC curve, ties counting half; None without one of the two classes."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    if positive == 0 or negative == 0:
        return None
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def drawn_examples(
    count: int, seed: int, families: Sequence[str] | None = None, defects: Sequence[str] | None = None
) -> list[Example]:
    """Return generated images, by default of the training families and defects."""
    from zsad.data.procedural import generate

    found = []
    for index in range(count):
        drawn = generate(seed, index, size=288, families=families, defects=defects)
        sample = Sample(drawn.image, drawn.class_name)
        found.append(Example(sample, drawn.mask, drawn.defect, drawn.material))
    return found


def folder_examples(folder: Path) -> list[Example]:
    """Return the images of a folder with ``manifest.csv`` (columns image, mask, label, class_name)."""
    found = []
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            image = read_image(folder / row["image"])
            mask = np.zeros(image.shape[:2], bool)
            if row["mask"]:
                mask = np.asarray(Image.open(folder / row["mask"]).convert("L")) > 127
            found.append(Example(Sample(image, row["class_name"]), mask, row.get("defect_type") or None))
    return found


def detection(
    backbone: ClipBackbone, method: str, examples: Sequence[Example], size: int | None = None
) -> dict[str, float | None]:
    """Return pixel and image AUROC of a method, pixels pooled over all images."""
    detector = load_detector(method, backbone=backbone, image_size=size)
    maps, scores = [], []
    for batch in _batches(examples):
        prediction = detector.predict([e.sample for e in batch])
        side = (MEASURED_SIDE, MEASURED_SIDE)
        maps.append(F.interpolate(prediction.anomaly_map[:, None].cpu(), side, mode="area")[:, 0])
        scores.append(prediction.score.cpu())
    masks = np.stack([_small(example.mask) for example in examples])
    labels = np.array([bool(example.mask.any()) for example in examples])
    return {
        "pixel_auroc": auroc(torch.cat(maps).numpy().ravel(), masks.ravel()),
        "image_auroc": auroc(torch.cat(scores).numpy(), labels),
    }


def naming(backbone: ClipBackbone, examples: Sequence[Example]) -> dict[str, float]:
    """Return how often the class feature is nearest to the right defect type's and material's words.

    Chance is one over the number of names; it is given as ``..._chance``.
    """
    tower = backbone.vision_tower()
    features = []
    for batch in _batches(examples):
        images = [
            to_tensor(e.sample.image, tower.native_image_size, backbone.mean, backbone.std) for e in batch
        ]
        with torch.no_grad():
            features.append(
                tower(torch.stack(images).to(backbone.device), [VisionRequest()])[0].image_feature
            )
    image = F.normalize(torch.cat(features).float(), dim=-1)
    figures: dict[str, float] = {}
    for title, truth, word in (
        ("defect", [example.defect for example in examples], _defect_sentence),
        ("material", [example.material for example in examples], "a photo of a {} surface.".format),
    ):
        names = sorted({name for name in truth if name})
        if len(names) < 2:
            continue
        texts = text_features(backbone, [word(name) for name in names])
        known = [place for place, name in enumerate(truth) if name]
        nearest = (image[known] @ texts.T).argmax(dim=1).tolist()
        hits = [names[guess] == truth[place] for guess, place in zip(nearest, known, strict=True)]
        figures |= {f"{title}_accuracy": float(np.mean(hits)), f"{title}_chance": 1 / len(names)}
    return figures


def text_features(backbone: ClipBackbone, texts: Sequence[str]) -> Tensor:
    """Return normalised text features [n, C]."""
    tower = backbone.text_tower()
    assert tower is not None
    with torch.no_grad():
        ids = tower.tokenize(texts)
        return F.normalize(tower(tower.embed(ids), tower.end_positions(ids)).float(), dim=-1)


def _defect_sentence(defect: str) -> str:
    return f"a photo of an object with {DEFECT_WORDS[defect].after[0]}."


def _small(mask: Array) -> Array:
    """Return a mask at the measured side; a cell is defective from half cover, or from any for thin ones."""
    side = (MEASURED_SIDE, MEASURED_SIDE)
    cover = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(side, Image.Resampling.BOX))
    return cover > 64


def _batches(examples: Sequence[Example]) -> Iterable[Sequence[Example]]:
    return (examples[low : low + BATCH] for low in range(0, len(examples), BATCH))
