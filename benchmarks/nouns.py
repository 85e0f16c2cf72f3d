"""How much the object's noun decides: pixel figures with it, with a neutral one, and with another set's.

``python -m benchmarks.nouns`` prints a table of means over datasets. Images pass the tower once; only texts
and scores, and side inputs that may read the noun, are computed anew, so that nothing but the noun differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from zsad.backbones.loading import load_backbone
from zsad.data.dataset import Dataset
from zsad.data.masks import resize_mask
from zsad.data.reading import Loaded, read_batches
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.passes import encode_together, group_by_pass
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.files import write_text
from zsad.metrics.metric import pixel_ap, pixel_auroc
from zsad.metrics.states import PixelState
from zsad.plugin.host import get_host
from zsad.values import Sample

KINDS = ("its noun", "object", "wrong noun")
"""What prompts call the object, by column of the table."""

BATCH = 8
"""Images at once."""

Figures = dict[tuple[str, str], list[tuple[float, float]]]
"""Pixel AUROC and AP of every class, by method and kind of noun."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the table after every dataset."""
    given = make_parser().parse_args(argv)
    datasets = [open_dataset(spec, get_host()) for spec in given.data]
    wrong = wrong_nouns(datasets)
    detectors = loaded(given.method, given.weights, given.backbone)
    figures: Figures = {}
    for count, dataset in enumerate(datasets, start=1):
        for detector, kind, pair in measured(detectors, dataset, wrong):
            figures.setdefault((detector.recipe.method, kind), []).append(pair)
        text = table(detectors, figures)
        write_text(given.out, text)
        print(f"{count} of {len(datasets)} datasets: {dataset.name}\n\n{text}", flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nouns", description=__doc__)
    parser.add_argument("--method", action="append", required=True, help="may be given several times")
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help="likewise")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--weights", action="append", default=[], metavar="METHOD=FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the table goes")
    return parser


def loaded(methods: Sequence[str], weights: Sequence[str], backbone: str) -> list[Detector]:
    """Return the methods' detectors on one backbone.

    Raises:
        InputError: Weights of no such method, or a method that reads more than image and prompts.
    """
    files = dict(entry.split("=", 1) for entry in weights if "=" in entry)
    if strange := [entry for entry in weights if entry.partition("=")[0] not in methods or "=" not in entry]:
        raise InputError(f"--weights {strange[0]}: write METHOD=FILE, for a method that is measured")
    tower = load_backbone(backbone)
    found = [load(DetectorRequest(method=name, weights=files.get(name)), backbone=tower) for name in methods]
    for detector in found:
        if detector.recipe.transductive or detector.recipe.batch_dependent:
            raise InputError(f"--method {detector.recipe.method}: its answers depend on more than one image")
    return found


def wrong_nouns(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return the wrong noun of every noun: the next one in alphabetical order, and the first behind the last.

    Raises:
        InputError: There is one noun only, and no other to take.
    """
    nouns = sorted({image.noun for dataset in datasets for image in dataset.images})
    if len(nouns) < 2:
        raise InputError("a wrong noun is another class's, and there is one class only; name more --data")
    return dict(zip(nouns, [*nouns[1:], nouns[0]], strict=True))


def measured(
    detectors: Sequence[Detector], dataset: Dataset, wrong: dict[str, str]
) -> Iterator[tuple[Detector, str, tuple[float, float]]]:
    """Yield pixel AUROC and AP of every class; of a method that reads no noun, under the first kind alone.

    Raises:
        ZsadError: An image or mask cannot be read, or a figure has no value.
    """
    for name in sorted({image.class_name for image in dataset.images}):
        images = [image for image in dataset.images if image.class_name == name]
        nouns = dict(zip(KINDS, (images[0].noun, "object", wrong[images[0].noun]), strict=True))
        for group in group_by_pass(detectors):
            states = {
                (detector, kind): PixelState()
                for detector in group
                for kind in (KINDS if detector.uses_noun else KINDS[:1])
            }
            for batch in read_batches(images, [group[0].reading.form], BATCH, workers=0):
                entries = [entry for entry in batch if isinstance(entry, Loaded)]
                if unread := [entry for entry in batch if not isinstance(entry, Loaded)]:
                    raise InputError(unread[0].error)
                names = [str(entry.image.image) for entry in entries]
                features = dict(zip(group, encode_together(group, [e.sample for e in entries]), strict=True))
                for (detector, kind), state in states.items():
                    given = features[detector]
                    if (
                        detector.auxiliary_parts() and kind != KINDS[0]
                    ):  # side inputs may read the noun as well
                        (given,) = encode_together([detector], _called(entries, nouns[kind]))
                    maps = detector.score(given, nouns[kind]).anomaly_map.numpy()
                    state.update(maps, _masks(entries, detector.recipe.image_size), names)
            for (detector, kind), state in states.items():
                yield detector, kind, (pixel_auroc().compute(state), pixel_ap().compute(state))


def _called(entries: Sequence[Loaded], noun: str) -> list[Sample]:
    return [replace(entry.sample, class_name=noun) for entry in entries]


def _masks(entries: Sequence[Loaded], side: int) -> np.ndarray:
    """Return the masks at the size of the maps, [B, S, S] bool, as ``zsad eval`` compares them."""
    if bare := [entry for entry in entries if entry.mask is None]:
        raise InputError(f"{bare[0].image.image} has no mask, and pixels are compared")
    return np.stack([resize_mask(entry.mask, side) for entry in entries if entry.mask is not None])


def table(detectors: Sequence[Detector], figures: Figures) -> str:
    """Return the table in Markdown: AUROC / AP in per cent, means over the classes."""
    lines = [["pixel AUROC / AP", *KINDS], ["---", *["---:"] * len(KINDS)]]
    for detector in detectors:
        method = detector.recipe.method
        cells = [
            " / ".join(f"{100 * fmean(column):.1f}" for column in zip(*pairs, strict=True))
            if (pairs := figures.get((method, kind)))
            else "reads none"
            for kind in KINDS
        ]
        lines.append([method, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
