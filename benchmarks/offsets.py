"""Whether a map goes wrong within images or between them: pixel AUROC over all images and within each.

    python -m benchmarks.offsets --method METHOD ... --data manifest=PATH/manifest.csv ... --shots 4 --seed 0

Images and references are those of ``benchmarks.shots``. Within: the mean over anomalous images of the pixel
AUROC of each alone, which an offset of a whole map does not change. Offset: the deviation of the images'
means over their normal pixels, divided by the mean deviation of normal pixels within an image.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.shots import BATCH, encoded, mask_of, parted
from zsad.backbones.loading import load_backbone
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.memories import EVERY_CLASS
from zsad.detect.references import drawn_files
from zsad.detect.remember import read_references, remember
from zsad.detect.request import DetectorRequest
from zsad.metrics.functional import auroc
from zsad.plugin.host import get_host

Maps = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for every set and method."""
    parser = argparse.ArgumentParser(prog="benchmarks.offsets", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", action="append", required=True, help="may be given several times")
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help="likewise")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    tower = load_backbone(asked.backbone)
    print("| set | method | over all images | within an image | offset |\n|---|---|---:|---:|---:|")
    for spec in asked.data:
        dataset = open_dataset(spec, get_host())
        for method in asked.method:
            detector = load(DetectorRequest(method=method), backbone=tower)
            for name in dataset.classes:
                maps, masks = mapped(detector, spec, name, asked.shots, asked.seed)
                values = [100 * auroc(maps.ravel(), masks.ravel(), "pixels"), 100 * within(maps, masks)]
                cells = [*(f"{value:.1f}" for value in values), f"{offset(maps, masks):.2f}"]
                label = dataset.name if len(dataset.classes) == 1 else f"{dataset.name}: {name}"
                print(f"| {label} | {method} | {' | '.join(cells)} |", flush=True)


def mapped(detector: Detector, spec: str, class_name: str, shots: int, seed: int) -> tuple[Maps, Masks]:
    """Return maps and masks, [N, S, S] each, of the tested images of a class.

    Raises:
        ZsadError: An image or mask cannot be read, or there are too few.
    """
    pool, tested = parted(open_dataset(spec, get_host()).restricted_to([class_name]).images)
    memories = None
    if detector.store is not None:
        references = read_references(drawn_files(pool, shots, seed, f"pool of {spec}"), tested[0].noun)
        memories = {EVERY_CLASS: remember([detector], references, BATCH)[0]}
    batches, features = encoded([detector], tested)
    scope = detector.scope(memories)
    answers = [*(detector.add(scope, each) for each in features[detector]), detector.finish(scope)]
    maps = np.concatenate([each.anomaly_map.numpy() for each in answers if each is not None])
    return maps, np.stack([mask_of(entry, maps.shape[1]) for batch in batches for entry in batch])


def within(maps: Maps, masks: Masks) -> float:
    """Return the mean of the pixel AUROC of every image that has both kinds of pixels."""
    both = [(map_, mask) for map_, mask in zip(maps, masks, strict=True) if mask.any() and not mask.all()]
    return float(np.mean([auroc(map_.ravel(), mask.ravel(), "pixels") for map_, mask in both]))


def offset(maps: Maps, masks: Masks) -> float:
    """Return how far normal pixels differ between images, in units of how far they differ within one."""
    normal = [map_[~mask] for map_, mask in zip(maps, masks, strict=True) if not mask.all()]
    return float(np.std([each.mean() for each in normal]) / np.mean([each.std() for each in normal]))


if __name__ == "__main__":
    main()
