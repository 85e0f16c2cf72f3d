"""What a few good parts are worth: figures by the number of references, drawn by several seeds.

    python -m benchmarks.shots --method METHOD ... --data manifest=PATH/manifest.csv ... --out shots

Of every class, half of the different normal images, those whose files have the smaller sha256, are the pool
that references are drawn from, and are never tested; the others and all anomalous images are. Every tested
image is encoded once for the methods that share a pass, and scored again with every memory. A method without
references is scored once, on the same images. Figures are kept in the folder as soon as they are there, and
the table is written anew; a run that was cut goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.shot_tables import NO_REFERENCES, Draw, Found, Table, written
from zsad.backbones.loading import load_backbone
from zsad.data.contents import contents
from zsad.data.dataset import DatasetImage
from zsad.data.masks import resize_mask
from zsad.data.reading import Loaded, read_batches
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.memories import EVERY_CLASS, Remembered
from zsad.detect.passes import encode_together, group_by_pass
from zsad.detect.provenance import about
from zsad.detect.references import drawn_files, refuse_tested
from zsad.detect.remember import read_references, remember
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.files import write_json, write_text
from zsad.metrics.metric import image_auroc, pixel_ap, pixel_auroc
from zsad.metrics.states import ImageState, PixelState
from zsad.plugin.host import get_host
from zsad.values import Features, Prediction

BATCH = 8
"""Images at once."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the folder lacks, and write the table after every draw."""
    parser = argparse.ArgumentParser(prog="benchmarks.shots", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", action="append", required=True, help="may be given several times")
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help="likewise")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=5, help="0 to this, less one")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    asked = parser.parse_args(argv)
    tower = load_backbone(asked.backbone)
    detectors = [load(DetectorRequest(method=name), backbone=tower) for name in asked.method]
    draws = [(shots, seed) for seed in range(asked.seeds) for shots in asked.shots]
    table: Table = {}
    for spec in asked.data:
        dataset = open_dataset(spec, get_host())
        for name in dataset.classes:
            images = dataset.restricted_to([name])
            label = dataset.name if len(dataset.classes) == 1 else f"{dataset.name}: {name}"
            for detector, found in measured(
                detectors, images.images, draws, asked.out, label, images.manifest_hash
            ):
                table[label, detector.recipe.method] = found
                write_text(asked.out / "shots.md", written(table, asked.method, asked.shots))
                print(f"{label}: {detector.recipe.method}, {len(found)} draws", flush=True)
    print(written(table, asked.method, asked.shots))


def parted(images: Sequence[DatasetImage]) -> tuple[list[Path], list[DatasetImage]]:
    """Return the pool of references and the tested images of a class.

    Raises:
        InputError: There are not two different normal images, or a pooled one is called anomalous too.
    """
    held = contents([image.image for image in images if not image.anomalous])
    digests = sorted({found.partition(":")[2] for found in held.values()})
    if len(digests) < 2:
        raise InputError("a pool and tested normal images need two different ones; name another --data")
    pooled = {path for path, found in held.items() if found.partition(":")[2] in digests[: len(digests) // 2]}
    return sorted(pooled), [image for image in images if image.image not in pooled]


def measured(
    detectors: Sequence[Detector],
    images: Sequence[DatasetImage],
    draws: Sequence[Draw],
    folder: Path,
    label: str,
    manifest: str,
) -> Iterator[tuple[Detector, Found]]:
    """Yield the figures of a method on a class after every draw, those that the folder holds first.

    Raises:
        ZsadError: An image or mask cannot be read, there are too few, or a figure has no value.
    """
    pool, tested = parted(images)
    files = {draw: drawn_files(pool, *draw, f"pool of {label}") for draw in draws}
    refuse_tested([file.facts for drawn in files.values() for file in drawn], [i.image for i in tested])
    found = {detector: _kept(folder, label, detector, manifest) for detector in detectors}
    missing = {
        detector: [draw for draw in _draws(detector, draws) if draw not in found[detector]]
        for detector in detectors
    }
    for detector in detectors:
        if not missing[detector]:
            yield detector, found[detector]
    for group in group_by_pass([detector for detector in detectors if missing[detector]]):
        batches, features = encoded(group, tested)
        for detector in group:
            for draw in missing[detector]:
                memories = None
                if detector.store is not None:
                    references = read_references(files[draw], tested[0].noun)
                    memories = {EVERY_CLASS: remember([detector], references, BATCH)[0]}
                found[detector][draw] = _figures(detector, memories, features[detector], batches)
                entries = [[*done, values] for done, values in found[detector].items()]
                value = {"key": _key(detector, manifest), "figures": entries}
                write_json(_place(folder, label, detector), value)
                yield detector, found[detector]


def _draws(detector: Detector, draws: Sequence[Draw]) -> Sequence[Draw]:
    return draws if detector.store is not None else [NO_REFERENCES]


def _kept(folder: Path, label: str, detector: Detector, manifest: str) -> Found:
    """Return what the folder holds of a method on a class, if files and weights are the same."""
    path = _place(folder, label, detector)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if stored.get("key") != _key(detector, manifest):
        return {}
    return {(shots, seed): values for shots, seed, values in stored["figures"]}


def _place(folder: Path, label: str, detector: Detector) -> Path:
    return folder / f"{label} {detector.recipe.method}.json".replace(" ", "-").replace(":", "")


def _key(detector: Detector, manifest: str) -> list[str]:
    known = about(detector)
    return [known.recipe_hash, known.backbone.sha256, known.weights.sha256, manifest]


def encoded(
    group: Sequence[Detector], tested: Sequence[DatasetImage]
) -> tuple[list[list[Loaded]], dict[Detector, list[Features]]]:
    """Return the tested images in batches, and every method's features of them."""
    batches, encoded = [], {detector: list[Features]() for detector in group}
    for batch in read_batches(tested, [group[0].reading.form], BATCH, workers=0):
        entries = [entry for entry in batch if isinstance(entry, Loaded)]
        if unread := [entry for entry in batch if not isinstance(entry, Loaded)]:
            raise InputError(unread[0].error)
        batches.append(entries)
        samples = [entry.sample for entry in entries]
        for detector, features in zip(group, encode_together(group, samples), strict=True):
            encoded[detector].append(features)
    return batches, encoded


def _figures(
    detector: Detector,
    memories: dict[str, Remembered] | None,
    encoded: Sequence[Features],
    batches: Sequence[Sequence[Loaded]],
) -> list[float]:
    """Return the three figures of a method with one memory; maps are compared as ``zsad eval`` does."""
    scope = detector.scope(memories)
    answers = [detector.add(scope, features) for features in encoded]
    predictions: list[Prediction] = [each for each in [*answers, detector.finish(scope)] if each is not None]
    scores = np.concatenate([each.score.numpy() for each in predictions])
    maps = np.concatenate([each.anomaly_map.numpy() for each in predictions])
    entries = [entry for batch in batches for entry in batch]
    names = [str(entry.image.image) for entry in entries]
    images, pixels = ImageState(), PixelState()
    images.update(scores, np.array([entry.image.anomalous for entry in entries]), names)
    pixels.update(maps, np.stack([mask_of(entry, maps.shape[1]) for entry in entries]), names)
    return [image_auroc().compute(images), pixel_auroc().compute(pixels), pixel_ap().compute(pixels)]


def mask_of(entry: Loaded, side: int) -> npt.NDArray[np.bool_]:
    """Return the mask of an image at the size of its map, [S, S].

    Raises:
        InputError: It has none.
    """
    if entry.mask is None:
        raise InputError(f"{entry.image.image} has no mask, and pixels are compared")
    return resize_mask(entry.mask, side, side)


if __name__ == "__main__":
    main()
