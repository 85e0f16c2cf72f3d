"""How long methods take, each alone and all together in shared passes, in one run."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from zsad.data.examples import example_samples
from zsad.detect.detector import Detector
from zsad.detect.loading import load_together
from zsad.detect.passes import encode_together, group_by_pass
from zsad.detect.request import DetectorRequest
from zsad.plugin.host import Host, get_host
from zsad.values import Sample

T = TypeVar("T")

MIB = 2**20

SHOTS = 4
"""References that a few-shot method compares with while it is timed."""


class Meter:
    """Clock and memory of a device.

    Attributes:
        memory: What the memory is: ``allocated on the device``, ``resident`` (of the process, weights
            included), or ``resident, since the process began`` where the system keeps no mark per run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.memory = "allocated on the device" if device.type == "cuda" else "resident"

    def timed(self, call: Callable[[], T]) -> tuple[T, float]:
        """Return what a function returns, and the seconds until the device is done with it."""
        self._wait()
        begun = time.perf_counter()
        value = call()
        self._wait()
        return value, time.perf_counter() - begun

    def reset(self) -> None:
        """Forget the peak so far."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:  # not Linux, or not allowed
            self.memory = "resident, since the process began"

    def peak(self) -> int:
        """Return the largest memory in bytes since ``reset``."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.memory == "resident":
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


@dataclass(frozen=True)
class Run:
    """One run over all images.

    Attributes:
        encode: Seconds of the vision side: side inputs, passes, and the images' way to tensors.
        score: Seconds from features to scores and maps.
        counts: What the towers computed, see :class:`zsad.backbones.vision.VisionTower`.
        peak: Largest memory in bytes, see :class:`Meter`.
    """

    encode: float
    score: float
    counts: Counter[str]
    peak: int

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return self.encode + self.score


def bench_methods(
    requests: Sequence[DetectorRequest], *, images: int = 1, repeats: int = 3, host: Host | None = None
) -> dict[str, Any]:
    """Time methods on example images, each alone and all together.

    Weights decide no time: random ones will do. Every configuration runs once before the clock counts:
    kernels are chosen then, and texts that depend on no image are encoded. The rounds go through all
    configurations in turn, so that a machine that slows down does so for all.

    Args:
        requests: The methods, all on one backbone, which is loaded once.
        images: Images, all of one class and in one batch.
        repeats: Rounds; the fastest run of each configuration is reported.
        host: Plugin host, by default the process's own.

    Returns:
        What was measured with, ``references`` (how many images each few-shot method compared with),
        ``untrained`` (the methods with random weights), ``groups`` (the methods that shared a pass) and
        ``rows``: a row per method and, for several, one for all together.

    Raises:
        InputError: Whatever does not exist or does not fit.
    """
    host = host or get_host()
    detectors = load_together(requests, host)
    loaded = detectors[0].backbone
    samples = example_samples(host, images)
    few_shot = [detector for detector in detectors if detector.store is not None]
    if few_shot:
        _remember(few_shot, example_samples(host, SHOTS))
    plans = [[detector] for detector in detectors]
    if len(detectors) > 1:
        plans.append(detectors)
    meter = Meter(loaded.device)
    runs = best_runs(plans, samples, repeats, meter)
    return {
        "backbone": loaded.card.name,
        "image_sizes": sorted({detector.recipe.image_size for detector in detectors}),
        "device": str(loaded.device),
        "dtype": loaded.native_profile.dtype,
        "threads": torch.get_num_threads(),
        "images": images,
        "references": {each.recipe.method: SHOTS for each in few_shot},
        "repeats": repeats,
        "memory": meter.memory,
        "untrained": [each.recipe.method for each in detectors if each.recipe.learnable and not each.cards],
        "groups": [_names(group) for group in group_by_pass(detectors)],
        "rows": rows(plans, runs, images),
    }


def _remember(detectors: Sequence[Detector], samples: Sequence[Sample]) -> None:
    """Give few-shot methods references; what they show decides no time."""
    for detector in detectors:
        part = detector.recipe.reference_store
        abnormal = samples[:1] if part is not None and part.abnormal_references else []
        masks = [np.ones(sample.image.shape[:2], bool) for sample in abnormal]
        detector.remember(samples, abnormal=abnormal, masks=masks)


def best_runs(
    plans: Sequence[Sequence[Detector]], samples: Sequence[Sample], repeats: int, meter: Meter
) -> list[Run]:
    """Return the fastest run of each plan, after one that does not count."""
    for plan in plans:
        run_once(plan, samples, meter)
    rounds = [[run_once(plan, samples, meter) for plan in plans] for _ in range(repeats)]
    return [min(column, key=lambda run: run.seconds) for column in zip(*rounds, strict=True)]


def run_once(plan: Sequence[Detector], samples: Sequence[Sample], meter: Meter) -> Run:
    """Encode and score the samples for the methods of a plan, in as few passes as they allow."""
    before = _counts(plan)
    meter.reset()
    encode = score = 0.0
    for group in group_by_pass(plan):
        features, seconds = meter.timed(partial(encode_together, group, samples))
        encode += seconds
        for detector, found in zip(group, features, strict=True):
            score += meter.timed(partial(detector.score, found))[1]
    return Run(encode, score, _counts(plan) - before, meter.peak())


def rows(plans: Sequence[Sequence[Detector]], runs: Sequence[Run], images: int) -> list[dict[str, Any]]:
    """Return a row per plan; ``ratio`` is relative to the dearest method alone."""
    dearest = max(run.seconds for plan, run in zip(plans, runs, strict=True) if len(plan) == 1)
    return [
        {
            "methods": _names(plan),
            "encode_seconds": run.encode / images,
            "score_seconds": run.score / images,
            "passes": run.counts["passes"],
            "blocks": run.counts["blocks"],
            "terms": run.counts["terms"],
            "attentions": sum(_attentions(run).values()),
            "attentions_by_pair": _attentions(run),
            "window_passes": run.counts["window_passes"],
            "peak_mib": round(run.peak / MIB, 1),
            "ratio": run.seconds / dearest,
        }
        for plan, run in zip(plans, runs, strict=True)
    ]


def _names(plan: Sequence[Detector]) -> list[str]:
    return [detector.recipe.method for detector in plan]


def _counts(plan: Sequence[Detector]) -> Counter[str]:
    towers = {id(detector.tower): detector.tower for detector in plan}
    return sum((tower.counts for tower in towers.values()), Counter())


def _attentions(run: Run) -> dict[str, int]:
    found = {name.partition(":")[2]: count for name, count in run.counts.items() if ":" in name}
    return dict(sorted(found.items()))
