"""The sections: what is checked and timed on a device. Each gets the settings and a report to fill."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import Report
from benchmarks.settings import ROOT, Settings
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.backbones.names import parse_backbone
from zsad.backbones.precision import choose_device
from zsad.data.examples import example_layout, example_samples
from zsad.data.preprocess import to_tensor
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.request import DetectorRequest
from zsad.evaluation.speed import MIB, Meter
from zsad.plugin.host import get_host
from zsad.values import Prediction, Sample

MARK = 1e-4
"""Largest difference in float32: of maps in units of their spread, of scores in units of the largest."""

PACKAGES = ("torch", "open_clip_torch", "transformers", "peft", "accelerate", "numpy", "pillow")


def machine(settings: Settings, report: Report) -> None:
    """Say what this is: a figure without its machine is none."""
    device = choose_device(settings.device)
    report.fact(device=str(device), python=platform.python_version(), platform=platform.platform())
    report.fact(cpus=os.cpu_count(), threads=torch.get_num_threads())
    for name in PACKAGES:
        try:
            report.fact(**{name: version(name)})
        except PackageNotFoundError:
            report.fact(**{name: "missing"})
    if device.type != "cuda":
        return
    facts = torch.cuda.get_device_properties(device)
    report.fact(gpu=facts.name, gpu_mib=facts.total_memory // MIB, capability=f"{facts.major}.{facts.minor}")
    report.fact(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        report.fact(driver=answer.stdout.strip().splitlines())


def parity(settings: Settings, report: Report) -> None:
    """Run the tests of the authors' numbers on the device, in float32."""
    folder = ROOT / "tests" / "parity"
    files = [folder / name for name in settings.goldens.split(",")] if settings.goldens else [folder]
    device = choose_device(settings.device)
    # On a GPU the kit's small models leave the device idle most of the time.
    several = ["-n", "4"] if device.type == "cuda" and find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *several, *map(str, files)]
    environment = os.environ | {"ZSAD_TEST_DEVICE": str(device), "ZSAD_REQUIRE": "kit"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    print(ran.stdout)
    for name, difference, array in re.findall(r"^parity: (\S+) worst (\S+) (\S+)$", ran.stdout, re.MULTILINE):
        report.row(golden=name, difference=float(difference), array=array)
    report.fact(tests=ran.stdout.strip().splitlines()[-1])
    # A few arrays have marks of their own, for reasons that the tests give: they decide, not the figures.
    wrong = len(re.findall(r"^(?:FAILED|ERROR) ", ran.stdout, re.MULTILINE))
    report.check("tests that failed", max(wrong, int(ran.returncode != 0)), 0)


def batches(settings: Settings, report: Report) -> None:
    """Compare each image of a batch with the same image alone, for every method that looks at one image."""
    backbone = load_backbone(None, settings.device, "float32")
    samples = example_samples(get_host(), settings.images)
    for detector in _independent(settings, backbone):
        whole = detector.predict(samples)
        single = _joined([detector.predict([sample]) for sample in samples])
        name, among = detector.recipe.method, f"alone and among {len(samples)}"
        report.check(f"{name}: maps, {among}", difference(single.anomaly_map, whole.anomaly_map)[0], MARK)
        # Scores of a few images may lie so close together that their spread is no measure.
        gap = (single.score - whole.score).abs().max() / whole.score.abs().max()
        report.check(f"{name}: scores, {among}", float(gap), MARK)


def precision(settings: Settings, report: Report) -> None:
    """Say how far maps in bfloat16 lie from those in float32."""
    samples = example_samples(get_host(), settings.images)
    exact, rounded = (load_backbone(None, settings.device, dtype) for dtype in ("float32", "bfloat16"))
    pairs = zip(_independent(settings, exact), _independent(settings, rounded), strict=True)
    for full, half in pairs:
        expected, found = full.predict(samples), half.predict(samples)
        name = full.recipe.method
        finite = found.anomaly_map.isfinite().all() and found.score.isfinite().all()
        report.check(f"{name}: answers in bfloat16 that are not finite", int(not finite), 0)
        largest, mean = difference(found.anomaly_map, expected.anomaly_map)
        score = float((found.score - expected.score).abs().max())
        report.row(method=name, map_largest=largest, map_mean=mean, score_largest=score)


def speed(settings: Settings, report: Report) -> None:
    """Time methods in bfloat16 beside the bare model's own image encoder, one image and a batch at a time."""
    device = choose_device(settings.device)
    meter = Meter(device)
    sizes = sorted({1, settings.images})
    report.fact(backbone=settings.backbone, image_size=settings.image_size, dtype="bfloat16")
    report.fact(memory=meter.memory, repeats=settings.repeats)
    bare: dict[int, float] = {}
    encode = _bare_encoder(settings, device)
    for size in sizes:
        pixels = torch.randn(size, 3, settings.image_size, settings.image_size)
        pixels = pixels.to(device, torch.bfloat16)
        bare[size], peak = _median(meter, settings.repeats, partial(encode, pixels))
        report.row(**_speed_row("bare encode_image", size, "encode", bare[size], bare[size], peak))
    del encode
    backbone = load_backbone(settings.backbone, settings.device, "bfloat16")
    drawn = example_samples(get_host(), settings.images)
    for method in settings.timed.split(","):
        detector = load(_request(method, settings.image_size), backbone=backbone)
        ready = [_prepared(detector, sample) for sample in drawn]
        for size in sizes:
            samples = ready[:size]
            features = detector.encode(samples)
            spent, peak = _median(meter, settings.repeats, partial(detector.encode, samples))
            report.row(**_speed_row(method, size, "encode", spent, bare[size], peak))
            scored, peak = _median(meter, settings.repeats, partial(detector.score, features))
            report.row(**_speed_row(method, size, "score", scored, bare[size], peak))
            report.row(**_speed_row(method, size, "both", spent + scored, bare[size], None))


def training(settings: Settings, report: Report) -> None:
    """Time an epoch; then kill a training after its first one, and see where resuming ends."""
    from zsad.training.speed import bench_train

    device = choose_device(settings.device)
    meter = Meter(device)
    meter.reset()
    request = DetectorRequest(
        method="anomalyclip",
        image_size=settings.small_size or None,
        device=settings.device,
        dtype="float32",
        untrained=True,
    )
    timed = bench_train(request, images=4 * settings.images)
    for row in timed["rows"]:
        report.row(**{key: row[key] for key in ("features", "seconds", "images_per_second", "speedup")})
    report.fact(method="anomalyclip", images=timed["images"], peak_mib=round(meter.peak() / MIB, 1))
    report.fact(memory=meter.memory)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = partial(_train, settings, folder)
        train("whole").communicate()
        killed = train("killed")
        assert killed.stderr is not None
        for line in killed.stderr:
            if line.startswith("epoch 1:"):
                killed.send_signal(signal.SIGKILL)
                break
        killed.communicate()
        ended = killed.returncode != -signal.SIGKILL
        report.check("runs that ended before they were killed", int(ended), 0)
        said = train("killed", "--resume").communicate()[1]
        print(said)
        report.check("runs that did not go on after epoch 1", int("going on after epoch 1 " not in said), 0)
        one, two = (folder / out / "weights.safetensors" for out in ("whole", "killed"))
        report.check("resumed weights that differ", int(one.read_bytes() != two.read_bytes()), 0)


def _train(settings: Settings, folder: Path, out: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zsad", "train", "--method", "anomalyclip",
               "--data", example_layout(get_host()), "--no-cache", "--out", str(folder / out),
               "--device", settings.device, "--dtype", "float32", "--epochs", str(settings.epochs),
               *words]  # fmt: skip
    if settings.small_size:
        command += ["--image-size", str(settings.small_size)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def difference(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """Return the largest and the mean difference in units of the spread; infinity where not finite."""
    own, other = found.double().cpu(), expected.double().cpu()
    if not own.isfinite().all():
        return float("inf"), float("inf")
    spread = max(float(other.std(correction=0)), 1e-3 * float(other.abs().max()), 1e-12)
    gap = (own - other).abs() / spread
    return float(gap.max()), float(gap.mean())


def _independent(settings: Settings, backbone: ClipBackbone) -> Iterator[Detector]:
    """Yield the methods of this distribution in which no image depends on another one."""
    host = get_host()
    built_in = sorted(name for name, claim in host.recipes.items() if claim.distribution == "zsad")
    size = settings.small_size or None
    for method in settings.methods.split(",") if settings.methods else built_in:
        detector = load(_request(method, size), backbone=backbone)
        if not (detector.recipe.batch_dependent or detector.recipe.transductive):
            yield detector


def _request(method: str, image_size: int | None) -> DetectorRequest:
    return DetectorRequest(method=method, image_size=image_size, untrained=True)


def _joined(predictions: list[Prediction]) -> Prediction:
    return replace(
        predictions[0],
        score=torch.cat([entry.score for entry in predictions]),
        anomaly_map=torch.cat([entry.anomaly_map for entry in predictions]),
        class_names=tuple(name for entry in predictions for name in entry.class_names),
    )


def _prepared(detector: Detector, sample: Sample) -> Sample:
    """Return a sample whose tensor is at hand, so that reading and resizing are not timed."""
    form = detector.reading.form
    return replace(sample, tensors={form: to_tensor(sample.image, *form)})


def _bare_encoder(settings: Settings, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return open_clip's own encoder at the image size, with random weights in bfloat16."""
    import json

    import open_clip

    name = parse_backbone(settings.backbone)
    config: dict[str, Any] = (
        json.loads(name.config.read_text()) if name.config else dict(open_clip.get_model_config(name.arch))
    )
    config["vision_cfg"] = {**config["vision_cfg"], "image_size": settings.image_size}
    with torch.device(device):
        model = open_clip.CLIP(**config).eval().to(torch.bfloat16)

    @torch.inference_mode()
    def encode(pixels: Tensor) -> Tensor:
        feature: Tensor = model.encode_image(pixels)
        return feature

    return encode


def _median(meter: Meter, repeats: int, call: Callable[[], object]) -> tuple[float, int]:
    """Return the median seconds of some calls behind one that does not count, and their peak memory."""
    call()
    meter.reset()
    seconds = [meter.timed(call)[1] for _ in range(repeats)]
    return statistics.median(seconds), meter.peak()


def _speed_row(
    what: str, size: int, stage: str, seconds: float, bare: float, peak: int | None
) -> dict[str, Any]:
    return {
        "what": what,
        "batch": size,
        "stage": stage,
        "seconds_per_image": seconds / size,
        "images_per_second": size / seconds,
        "ratio_to_bare": seconds / bare,
        "peak_mib": "" if peak is None else round(peak / MIB, 1),
    }
