"""``zsad calibrate``: thresholds from good parts, with what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zsad.cli.common import (
    AbnormalPromptOption,
    AdapterOption,
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MethodOption,
    NormalPromptOption,
    SeedOption,
    SetOption,
    UntrainedOption,
    WeightsOption,
    weights_source,
)
from zsad.cli.output import JsonOption, ProgressLine, print_fields, print_json
from zsad.cli.paths import path, sentences
from zsad.cli.references import (
    AbnormalReferenceOption,
    MemoryOption,
    ReferenceMasksOption,
    ReferenceOption,
    ShotsOption,
)
from zsad.cli.tiling import OverlapOption, TileOption, tiling_of
from zsad.recipe.settings import Settings

if TYPE_CHECKING:
    from zsad.detect.calibration import Calibration
    from zsad.detect.calibration_request import CalibrationRequest


def calibrate(
    method: MethodOption,
    normals: Annotated[
        list[Path],
        typer.Option(
            "--normals",
            parser=path,
            metavar="IMAGE|FOLDER",
            help="Images of good parts of one class, or a folder of them; may be given several times.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=path, metavar="FILE", help="File to write, for --threshold of zsad predict."
        ),
    ] = Path("calibration.json"),
    rule: Annotated[
        Literal["conformal", "quantile", "mean-3std", "fixed"],
        typer.Option(
            "--rule",
            help="conformal keeps a rate of false alarms on new good parts; the others promise nothing. "
            "fixed takes --threshold and --pixel-threshold.",
        ),
    ] = "conformal",
    false_alarm: Annotated[
        float | None,
        typer.Option(
            "--false-alarm",
            help="Share of good parts that may be called anomalous, and that may show a region.",
            show_default="0.05",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Score from which an image is anomalous (fixed).")
    ] = None,
    pixel_threshold: Annotated[
        float | None,
        typer.Option("--pixel-threshold", help="Value of the map from which a pixel is anomalous (fixed)."),
    ] = None,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    adapter: AdapterOption = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class-name", help="Object noun for prompts; by default 'object'.", show_default=False
        ),
    ] = None,
    normal_prompt: NormalPromptOption = None,
    abnormal_prompt: AbnormalPromptOption = None,
    image_size: ImageSizeOption = None,
    tile: TileOption = None,
    overlap: OverlapOption = None,
    reference: ReferenceOption = None,
    reference_abnormal: AbnormalReferenceOption = None,
    reference_masks: ReferenceMasksOption = None,
    shots: ShotsOption = None,
    memory: MemoryOption = None,
    batch_size: BatchSizeOption = 8,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    untrained: UntrainedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compute thresholds from images of good parts alone, for verdicts of zsad predict."""
    from zsad.detect.calibration_request import CalibrationRequest
    from zsad.detect.references import reference_request
    from zsad.plugin.host import get_host
    from zsad.recipe.prompts import with_sentences

    host = get_host()
    settings = Settings.parse(overrides or ())
    settings.refuse_training()
    request = CalibrationRequest(
        method=method,
        normals=tuple(normals),
        rule=rule,
        false_alarm=false_alarm,
        threshold=threshold,
        pixel_threshold=pixel_threshold,
        class_name="object" if class_name is None else class_name,
        batch_size=batch_size,
        tiling=tiling_of(tile, overlap),
        backbone=backbone,
        weights=weights_source(weights, method),
        adapter=adapter,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=with_sentences(
            host,
            method,
            settings,
            sentences(normal_prompt, "--normal-prompt"),
            sentences(abnormal_prompt, "--abnormal-prompt"),
        ),
        seed=seed,
        untrained=untrained,
        memory=memory,
        references=reference_request(reference, reference_abnormal, reference_masks, shots, seed),
    )
    calibration = _with_progress(request, out)
    if as_json:
        print_json({"written": str(out), **calibration.plain()})
        return
    print_fields(_fields(calibration, out))


def _with_progress(request: CalibrationRequest, out: Path) -> Calibration:
    """Calibrate with progress on stderr, and write the file."""
    from zsad.cli.predict import describe
    from zsad.detect.calibrating import Reports, calibrate
    from zsad.detect.calibration import check_place, write_calibration

    check_place(out)
    with ProgressLine(1, "good parts") as progress:
        reports = Reports(
            say=progress.note,
            ready=lambda detector: progress.note(describe(detector)),
            measured=progress.show,
        )
        calibration = calibrate(request, reports=reports)
    write_calibration(calibration, out)
    return calibration


def _fields(calibration: Calibration, out: Path) -> dict[str, Any]:
    return {
        "written": out,
        "rule": calibration.rule,
        "false_alarm": calibration.false_alarm,
        "good_parts": len(calibration.good_parts),
        "threshold": f"{calibration.image.threshold:.6g}, scale {calibration.image.scale:.3g}",
        "of the score": calibration.image.promise,
        "pixel_threshold": f"{calibration.pixel.threshold:.6g}, scale {calibration.pixel.scale:.3g}",
        "of the map": calibration.pixel.promise,
    }
