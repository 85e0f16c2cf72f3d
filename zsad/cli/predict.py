"""``zsad predict``: a score, a picture and a map per image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from zsad.cli.output import JsonOption, print_json, print_message, print_table, progress
from zsad.cli.paths import path, sentences
from zsad.cli.references import (
    AbnormalReferenceOption,
    MemoryOption,
    ReferenceMasksOption,
    ReferenceOption,
    ShotsOption,
    say_references,
)
from zsad.cli.tiling import OverlapOption, TileOption, tiling_of
from zsad.cli.verdicts import answer_columns, thresholds
from zsad.errors import InputError
from zsad.recipe.settings import Settings

if TYPE_CHECKING:
    from zsad.detect.detector import Detector


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(parser=path, help="Images, or folders of images.", metavar="IMAGE|FOLDER..."),
    ],
    method: MethodOption,
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
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold",
            metavar="VALUE|FILE",
            help="Score from which an image counts as anomalous, or what 'zsad calibrate' wrote: thresholds "
            "of score and map, with confidences.",
            show_default=False,
        ),
    ] = None,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", help="Write each map as float32 .npy at native size.")
    ] = False,
    pixel_threshold: Annotated[
        float | None,
        typer.Option(
            "--pixel-threshold",
            help="Value of the map from which a pixel belongs to a region: predictions.json then lists the "
            "regions with their boxes.",
        ),
    ] = None,
    save_masks: Annotated[
        bool, typer.Option("--save-masks", help="Write the pixels from the pixel threshold on as a PNG.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Put verdict and regions of each image into a sentence, also under its picture."
        ),
    ] = False,
    save_overlays: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Write a picture with the map on it.")
    ] = True,
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=path, metavar="DIR", help="Folder for pictures, maps and predictions.json."
        ),
    ] = Path("zsad-predictions"),
    resume: Annotated[bool, typer.Option("--resume", help="Keep finished images of the folder.")] = False,
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
    """Score images and show where they look wrong."""
    from zsad.claim import claimed
    from zsad.data.left_out import left_out_words
    from zsad.data.nouns import noun_of
    from zsad.data.walk import find_images
    from zsad.detect.references import check_takes_references, reference_request
    from zsad.detect.request import DetectorRequest
    from zsad.detect.wanted_files import WantedFiles
    from zsad.plugin.host import get_host
    from zsad.recipe.prompts import with_sentences

    calibration, level, pixel = thresholds(threshold, pixel_threshold)
    for option, given in (("--save-masks", save_masks), ("--explain", explain)):
        if given and pixel is None:
            raise InputError(
                f"{option} needs a threshold of the map, which says where it is conspicuous: give "
                "--threshold CALIBRATION.json or --pixel-threshold VALUE"
            )
    wanted = WantedFiles(overlays=save_overlays, maps=save_maps, pixel=pixel, masks=save_masks)
    tiling = tiling_of(tile, overlap)
    host = get_host()
    settings = Settings.parse(overrides or ())
    settings.refuse_training()
    named = "object" if class_name is None else class_name
    noun = noun_of(named)
    if not noun:
        raise InputError("--class-name is empty; name the object, or leave the option out")
    request = DetectorRequest(
        method=method,
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
    )
    request.check(host)
    references = reference_request(reference, reference_abnormal, reference_masks, shots, seed)
    check_takes_references(host, request, references)
    if memory is not None and tiling is not None:
        raise InputError("--memory holds whole images, and --tile cuts them; give --reference DIR instead")
    found = find_images(images, out)
    # Refused before seconds go into a backbone: a folder that cannot be written to, or is written to already.
    with claimed(out, "predicting into"):
        from zsad.detect.loading import load
        from zsad.detect.memories import EVERY_CLASS, memory_of
        from zsad.detect.prediction_run import PredictionRun, predict_into
        from zsad.detect.references import find_references, refuse_tested
        from zsad.detect.remember import remember_files

        files = None if references is None else find_references(references)
        if files is not None:
            say_references(files, [files.named(named)])
            refuse_tested((file.facts for file in files.of(named)), found.images)

        detector = load(request, host)
        print_message(describe(detector))
        if files is not None:
            remember_files(detector, files, named, batch_size, tiling)
        chosen, remembered = False, None
        if detector.store is not None:
            remembered = memory_of(detector.memories, named, method)
            chosen = EVERY_CLASS not in detector.memories
            detector.memories = {EVERY_CLASS: remembered}  # two classes may share a noun
            refuse_tested(remembered.references, found.images)
        if class_name is not None and not detector.uses_noun and not chosen:
            print_message(
                f"--class-name {class_name} changes nothing: method '{method}' reads no object noun"
            )
        if found.left_out:
            print_message(left_out_words(found.left_out))
        report = predict_into(
            out,
            detector,
            found.images,
            PredictionRun(noun, level, batch_size, wanted, tiling, remembered, explain, calibration),
            resume=resume,
            say=print_message,
            watch=lambda answers, count: progress(answers, count, "images"),
        )
    done, failed = report["images"], report["failed"]
    if as_json:
        print_json(report)
    elif done:
        columns, rows = answer_columns(done)
        print_table(rows, columns, optional=("overlay",))
        for row in done if explain else ():
            print(f"{row['path']}: {row['explanation']}")
    if not done and len(failed) == 1:
        raise InputError(failed[0]["error"])
    if not done:
        raise InputError(f"none of the {len(found.images)} images could be read")
    if failed:
        print_message(f"error: {len(failed)} of {len(found.images)} images could not be read")
        raise typer.Exit(1)


def describe(detector: Detector) -> str:
    """Return the line that goes before the results."""
    recipe, card = detector.recipe, detector.backbone.card
    learned = "; ".join(
        f"{part} from {found.origin}, trained on {found.trained_on_words()}"
        for part, found in detector.cards.items()
    )
    if not learned:
        learned = "untrained" if recipe.learnable else "nothing learned"
    side = " on the short side" if recipe.profile.image_resize == "short-side" else ""
    return (
        f"{recipe.method} on {card.name} at {recipe.image_size} px{side}, recipe {recipe.hash}: "
        f"{detector.setting}; fidelity {recipe.fidelity}; weights: {learned}; "
        f"backbone trained on {card.trained_on}"
    )
