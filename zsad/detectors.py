"""Detectors, their memories and their thresholds in one call each; :mod:`zsad` offers these functions.

Torch is imported when one of them is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from zsad.backbones.clip import ClipBackbone
    from zsad.detect.calibration import Calibration
    from zsad.detect.detector import Detector
    from zsad.detect.remember_run import Memorised
    from zsad.weights.loading import WeightsSource


def load(
    method: str,
    *,
    backbone: str | ClipBackbone | None = None,
    weights: WeightsSource | None = None,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    image_size: int | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    untrained: bool = False,
    memory: str | Path | None = None,
) -> Detector:
    """Make a method runnable on a backbone.

    One that needs reference images has them by ``memory``, or by ``detector.remember(images)``.

    Args:
        method: Name of a method, or ``distribution:name`` where two distributions claim the name.
        backbone: A name that ``zsad backbones`` lists, ``ARCH:PRETRAINED``, ``hf-hub:...``,
            ``ARCH[:PRETRAINED]@FILE`` or ``ARCH@random:SEED``; ``timm:NAME``, ``timm:NAME@FILE`` or
            ``timm:NAME@random:SEED`` for vision alone; None for the default one. Or the ``backbone`` of a
            detector, which several methods then share in memory; it stays on its device.
        weights: Learned parameters of the method; needed where a part of it is learned and its plugin ships
            none for the backbone. A mapping from part to file where parts come from several files.
        adapter: Folder of an adapter (LoRA) that was learned on the backbone.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        image_size: Side of the square input, or its short side, in pixels, or None for the method's own.
        overrides: ``part.option=value`` and ``part=name``, as ``--set`` takes them.
        seed: Seed of everything random in the parts.
        untrained: Accept learnable parts without weights, freshly initialised.
        memory: File with what the method remembers of reference images; :func:`remember` makes one.

    Returns:
        The detector, in eval mode, on its device.

    Raises:
        InputError: If the method, the backbone, the weights, the adapter, the memory or an option does not
            exist or does not fit.
        ZsadError: If the hub cannot be reached.
    """
    from zsad.detect.loading import load
    from zsad.detect.request import DetectorRequest
    from zsad.recipe.settings import Settings

    request = DetectorRequest(
        method=method,
        backbone=backbone if isinstance(backbone, str) else None,
        weights=weights,
        adapter=None if adapter is None else Path(adapter),
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=Settings.parse(overrides),
        seed=seed,
        untrained=untrained,
        memory=None if memory is None else Path(memory),
    )
    return load(request, backbone=None if isinstance(backbone, str) else backbone)


def remember(
    method: str,
    reference: str | Path,
    out: str | Path,
    *,
    abnormal: str | Path | None = None,
    masks: str | Path | None = None,
    shots: int | None = None,
    backbone: str | None = None,
    weights: WeightsSource | None = None,
    adapter: str | Path | None = None,
    image_size: int | None = None,
    batch_size: int = 8,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    overrides: Sequence[str] = (),
    untrained: bool = False,
) -> Memorised:
    """Write what a few-shot method needs of reference images into a file, as ``zsad remember`` does.

    Args:
        method: Name of a method with a reference store.
        reference: Folder of normal images: one set for every class, or a folder for each.
        out: The file, which ends in ``.safetensors``.
        abnormal: Folder of abnormal images, for methods that need some.
        masks: Folder of their masks, found by stem.
        shots: How many are drawn of each class by the seed, or None for all.
        backbone: As for :func:`load`; its name.
        weights: As for :func:`load`.
        adapter: As for :func:`load`.
        image_size: As for :func:`load`.
        batch_size: Images per pass.
        device: As for :func:`load`.
        dtype: As for :func:`load`.
        seed: Seed of everything random, the draw included.
        overrides: As for :func:`load`.
        untrained: As for :func:`load`.

    Returns:
        The file, its memories by class, and the detector that holds them.

    Raises:
        InputError: If anything does not exist or does not fit.
        ZsadError: If the file cannot be written.
    """
    from zsad.detect.references import ReferenceRequest
    from zsad.detect.remember_run import RememberRequest, remember_into
    from zsad.recipe.settings import Settings

    request = RememberRequest(
        method=method,
        backbone=backbone,
        weights=weights,
        adapter=None if adapter is None else Path(adapter),
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=Settings.parse(overrides),
        seed=seed,
        untrained=untrained,
        references=ReferenceRequest.of(reference, abnormal, masks, shots, seed),
        out=Path(out),
        batch_size=batch_size,
    )
    return remember_into(request)


def calibrate(
    method: str,
    normals: str | Path | Sequence[str | Path],
    file: str | Path | None = None,
    *,
    rule: Literal["conformal", "quantile", "mean-3std", "fixed"] = "conformal",
    false_alarm: float | None = None,
    threshold: float | None = None,
    pixel_threshold: float | None = None,
    class_name: str = "object",
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int = 8,
    backbone: str | None = None,
    weights: WeightsSource | None = None,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    image_size: int | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    untrained: bool = False,
    reference: str | Path | None = None,
    reference_abnormal: str | Path | None = None,
    reference_masks: str | Path | None = None,
    shots: int | None = None,
    memory: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Compute thresholds of scores and maps from images of good parts, as ``zsad calibrate`` does.

    Args:
        method: As for :func:`load`.
        normals: Images of good parts, or folders of them.
        file: Where the calibration goes, or None.
        rule: How thresholds come of what good parts score; ``conformal`` alone promises something.
        false_alarm: The rate of false alarms, by default 0.05; of ``conformal`` and ``quantile``.
        threshold: The image threshold of ``fixed``.
        pixel_threshold: The pixel threshold of ``fixed``.
        class_name: What prompts call the object.
        tile: Side of square tiles in pixels that images are cut into, or None.
        overlap: Least share of a tile's side that neighbours have in common.
        batch_size: Images per pass.
        backbone: As for :func:`load`; its name.
        weights: As for :func:`load`.
        adapter: As for :func:`load`.
        device: As for :func:`load`.
        dtype: As for :func:`load`.
        image_size: As for :func:`load`.
        overrides: As for :func:`load`.
        seed: As for :func:`load`.
        untrained: As for :func:`load`.
        reference: As for :func:`remember`; what lies among the good parts calibrates nothing.
        reference_abnormal: Folder of abnormal images, for methods that need some.
        reference_masks: Folder of their masks.
        shots: As for :func:`remember`.
        memory: What :func:`remember` wrote, in the place of ``reference``.
        progress: Is called with the images done and their total.

    Returns:
        The calibration; its ``image.level.verdict(score)`` is a verdict, and ``check`` refuses scores of
        anything else than what was calibrated.

    Raises:
        InputError: If anything does not exist or does not fit, or there are too few good parts.
        ZsadError: If the method gives no number, or the file cannot be written.
    """
    from zsad.detect.calibrating import Reports, calibrate
    from zsad.detect.calibration import check_place, write_calibration
    from zsad.detect.calibration_request import CalibrationRequest
    from zsad.detect.references import reference_request
    from zsad.detect.tiles import Tiling
    from zsad.recipe.settings import Settings

    request = CalibrationRequest(
        method=method,
        normals=(Path(normals),) if isinstance(normals, str | Path) else tuple(map(Path, normals)),
        rule=rule,
        false_alarm=false_alarm,
        threshold=threshold,
        pixel_threshold=pixel_threshold,
        class_name=class_name,
        tiling=None if tile is None else Tiling(tile, overlap),
        batch_size=batch_size,
        backbone=backbone,
        weights=weights,
        adapter=None if adapter is None else Path(adapter),
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=Settings.parse(overrides),
        seed=seed,
        untrained=untrained,
        memory=None if memory is None else Path(memory),
        references=reference_request(reference, reference_abnormal, reference_masks, shots, seed),
    )
    if file is not None:
        check_place(Path(file))
    calibration = calibrate(request, reports=Reports() if progress is None else Reports(measured=progress))
    if file is not None:
        write_calibration(calibration, Path(file))
    return calibration
