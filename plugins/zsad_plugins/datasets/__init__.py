"""Layouts of datasets: how public ones lie on disk, and what people bring."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import DatasetSpec

zsad_api = 1

_SUMMARIES = {
    "folder": "subfolders good and one per defect, or images with masks of the same stem",
    "manifest": "a CSV with the columns image, mask, label, class_name and defect_type",
    "meta": "meta.json as VAND, AnomalyCLIP and their relatives write it",
    "mvtec": "MVTec AD and whatever lies alike (MPDD, DTD-Synthetic): CLASS/test, CLASS/ground_truth",
    "visa": "VisA as published (split_csv/1cls.csv) or rearranged like MVTec AD",
}


@hookimpl
def zsad_datasets() -> Iterator[DatasetSpec]:
    """Yield the layouts."""
    for name, summary in _SUMMARIES.items():
        yield DatasetSpec(name, f"zsad_plugins.datasets.{name}:read", summary)
    yield DatasetSpec("btad", "zsad_plugins.datasets.mvtec:read", "BTAD: as mvtec, with folders ok and ko")
