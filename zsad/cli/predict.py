"""``zsad predict``: a score, a picture and a map per image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from zsad.cli.output import JsonOption, print_json, print_message, print_table, progress, told_apart
from zsad.cli.paths import path, sentences
from zsad.detect.provenance import about, decision
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
        float | None, typer.Option("--threshold", help="Score from which an image counts as anomalous.")
    ] = None,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", help="Write each map as float32 .npy at native size.")
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
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    overrides: SetOption = None,
    untrained: UntrainedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score images and show where they look wrong."""
    from zsad.data.left_out import left_out_words
    from zsad.data.nouns import noun_of
    from zsad.data.walk import find_images
    from zsad.detect.request import DetectorRequest
    from zsad.files import check_writable, write_json
    from zsad.plugin.host import get_host
    from zsad.recipe.prompts import with_sentences

    host = get_host()
    settings = Settings.parse(overrides or ())
    settings.refuse_training()
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"--threshold {threshold}: give a finite number, for example 0.5")
    noun = noun_of("object" if class_name is None else class_name)
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
    )
    request.check(host)
    found = find_images(images, out)
    paths = found.images
    # Refused before seconds go into a backbone: a folder that cannot be written to.
    check_writable(out)
    from zsad.detect.loading import load
    from zsad.detect.predictions import FailedImage, OutputNames, predict_files, written

    detector = load(request, host)
    print_message(describe(detector))
    if class_name is not None and not detector.uses_noun:
        print_message(f"--class-name {class_name} changes nothing: method '{method}' reads no object noun")
    if found.left_out:
        print_message(left_out_words(found.left_out))
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    names = OutputNames(out)
    complete = False
    try:
        results = predict_files(detector, paths, noun, batch_size)
        for entry in progress(
            written(results, names, detector, save_map=save_maps, save_overlay=save_overlays),
            len(paths),
            "images",
        ):
            if isinstance(entry, FailedImage):
                print_message(f"error: {entry.error}")
                failed.append({"path": str(entry.path), "error": entry.error})
            else:
                result, files = entry
                done.append({**files, "decision": decision(result.score, threshold)})
        complete = True
    finally:
        report = {**about(detector).plain(), "class_name": noun, "threshold": threshold,
                  "images": done, "failed": failed, "complete": complete}  # fmt: skip
        write_json(out / "predictions.json", report)
    if as_json:
        print_json(report)
    else:
        shown = told_apart([row["score"] for row in done])
        print_table(
            [{**row, "score": score} for row, score in zip(done, shown, strict=True)],
            ("path", "score", "decision", "overlay") if save_overlays else ("path", "score", "decision"),
            optional=("overlay",),
        )
    if not done:
        raise InputError(f"none of the {len(paths)} images could be read")
    if failed:
        print_message(f"error: {len(failed)} of {len(paths)} images could not be read")
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
    return (
        f"{recipe.method} on {card.name} at {recipe.image_size} px, recipe {recipe.hash}: "
        f"{detector.setting}; fidelity {recipe.fidelity}; weights: {learned}; "
        f"backbone trained on {card.trained_on}"
    )
