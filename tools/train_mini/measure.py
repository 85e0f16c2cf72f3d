"""Figures of a trained ``mini``: the methods that users run, on drawn images and on folders with masks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from scipy.stats import rankdata
from torch import Tensor

import zsad
from tools.train_mini.losses import region_features
from tools.train_mini.pool import Array, patch_cover
from tools.train_mini.sentences import DEFECT_WORDS
from zsad.backbones.clip import ClipBackbone
from zsad.data.images import read_image
from zsad.data.preprocess import to_tensor
from zsad.data.resize import resize
from zsad.streams import TokenRequest, VisionRequest
from zsad.values import Sample
from zsad_plugins.drawn.procedural import generate, generate_combined
from zsad_plugins.mini.stem import STRIDE

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
    backbone: ClipBackbone, method: str, examples: Sequence[Example], *, untrained: bool = False
) -> dict[str, float | None]:
    """Return pixel and image AUROC of a method, pixels pooled over all images."""
    detector = zsad.load(method, backbone=backbone, untrained=untrained)
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
    """Return how often words are found for what an image shows, without any training on the words' images.

    ``defect`` and ``material`` compare the class feature with a sentence per name, ``region`` the mean token
    over the defect's mask. Chance is one over the number of names; it is given as ``..._chance``.
    """
    image, region = _image_and_region_features(backbone, examples)
    defects = [example.defect for example in examples]
    materials = [example.material for example in examples]
    figures: dict[str, float] = {}
    for title, features, truth, sentence in (
        ("defect", image, defects, _defect_sentence),
        ("region", region, defects, _defect_sentence),
        ("material", image, materials, "a photo of a {} surface.".format),
    ):
        names = sorted({name for name in truth if name})
        if len(names) < 2:
            continue
        texts = text_features(backbone, [sentence(name) for name in names])
        known = [place for place, name in enumerate(truth) if name]
        nearest = (features[known] @ texts.T).argmax(dim=1).tolist()
        hits = [names[guess] == truth[place] for guess, place in zip(nearest, known, strict=True)]
        figures |= {f"{title}_accuracy": float(np.mean(hits)), f"{title}_chance": 1 / len(names)}
    return figures


def _image_and_region_features(backbone: ClipBackbone, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Return normalised class features and mean tokens over the masks, [n, C] each."""
    tower = backbone.vision_tower()
    size, grid = tower.native_image_size, tower.native_image_size // tower.patch_size
    request = VisionRequest((TokenRequest("tokens", tower.depth),))
    images, regions = [], []
    for batch in _batches(examples):
        pixels = [to_tensor(e.sample.image, size, backbone.mean, backbone.std) for e in batch]
        with torch.no_grad():
            output = tower(torch.stack(pixels).to(backbone.device), [request])[0]
        cover = torch.stack([patch_cover(e.mask, grid).flatten() for e in batch]).to(backbone.device)
        images.append(output.image_feature.float())
        regions.append(region_features(output.token_sets[0].tokens, cover[:, None]))
    return F.normalize(torch.cat(images), dim=-1), F.normalize(torch.cat(regions), dim=-1)


WORDS = {"scratch": ("scratched {}", "{} with a scratch"), "stain": ("stained {}", "{} with a stain")}
"""Abnormal prompts by the defect that they speak of."""


def words_choose(backbone: ClipBackbone, count: int, seed: int, families: Sequence[str]) -> dict[str, float]:
    """Return how often a map follows its words, on images with a scratch and a stain.

    ``on_named``: the map's higher peak of the two defects lies on the named one (chance 0.5).
    ``peak_inside``: the whole map's peak lies on the named defect, within half a patch;
    ``peak_inside_other``: on the other one.
    """
    detectors = {
        name: zsad.load(
            "clip-baseline",
            backbone=backbone,
            overrides=[f"prompt_learner.abnormal_prompts={json.dumps(prompts)}"],
        )
        for name, prompts in WORDS.items()
    }
    side = next(iter(detectors.values())).recipe.image_size
    on_named, inside, elsewhere = [], [], []
    for index in range(count):
        family = families[index % len(families)]
        drawn, masks = generate_combined(seed, index, defects=list(WORDS), family=family, size=side)
        near = {name: _widened(mask) for name, mask in masks.items()}
        for name, detector in detectors.items():
            (map_,) = detector.predict([Sample(drawn.image, drawn.class_name)]).anomaly_map.cpu().numpy()
            (other,) = set(WORDS) - {name}
            on_named.append(map_[masks[name]].max() > map_[masks[other]].max())
            peak = np.unravel_index(map_.argmax(), map_.shape)
            inside.append(near[name][peak])
            elsewhere.append(near[other][peak])
    return {
        "on_named": float(np.mean(on_named)),
        "on_named_chance": 0.5,
        "peak_inside": float(np.mean(inside)),
        "peak_inside_other": float(np.mean(elsewhere)),
    }


def _widened(mask: Array) -> Array:
    """Return a mask with half a patch around it."""
    widened: Array = ndimage.binary_dilation(mask, iterations=STRIDE // 2)
    return widened


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
    return resize(mask.astype(np.uint8) * np.uint8(255), MEASURED_SIDE, MEASURED_SIDE, "box") > 64


def _batches(examples: Sequence[Example]) -> Iterable[Sequence[Example]]:
    return (examples[low : low + BATCH] for low in range(0, len(examples), BATCH))
