"""Layouts of datasets: how public ones lie on disk, and what people bring."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import DatasetSpec

zsad_api = 1

MVTEC = ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw",
         "tile", "toothbrush", "transistor", "wood", "zipper")  # fmt: skip
VISA = ("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1", "pcb2",
        "pcb3", "pcb4", "pipe_fryum")  # fmt: skip


@hookimpl
def zsad_datasets() -> Iterator[DatasetSpec]:
    """Yield the layouts."""
    # fmt: off
    yield DatasetSpec("folder", ".folder:read",
                      "subfolders good and one per defect, or images with masks of the same stem")
    yield DatasetSpec("manifest", ".manifest:read",
                      "a CSV with the columns image, mask, label, class_name and defect_type")
    yield DatasetSpec("meta", ".meta:read", "meta.json as VAND, AnomalyCLIP and their relatives write it")
    yield DatasetSpec("mvtec", ".mvtec:read",
                      "MVTec AD and whatever lies alike (MPDD, DTD-Synthetic): CLASS/test, "
                      "CLASS/ground_truth",
                      aliases=("mvtec_ad", "mvtecad", "mvtec_anomaly_detection"), classes=MVTEC)
    yield DatasetSpec("visa", ".visa:read",
                      "VisA as published (split_csv/1cls.csv) or rearranged like MVTec AD",
                      aliases=("visa_pytorch", "visa_anomaly_detection", "VisA_20220922"), classes=VISA)
    yield DatasetSpec("btad", ".mvtec:read_btad", "BTAD: as mvtec, with folders ok and ko",
                      aliases=("BTech", "BTech_Dataset_transformed", "beantech_anomaly_detection"))
    # fmt: on
