"""``zsad predict``: a score, a picture and a map per image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsad.cli.common import (
    AdapterOption,
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MethodOption,
    SeedOption,
    SetOption,
    UntrainedOption,
    WeightsOption,
    weights_source,
)
from zsad.cli.output import JsonOption, print_json, print_message, print_table, progress
from zsad.detect.provenance import about, decision
from zsad.errors import InputError
from zsad.recipe.settings import Settings

if TYPE_CHECKING:
    from zsad.detect.detector import Detector


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Images, or folders of images.", metavar="IMAGE|FOLDER...")
    ],
    method: MethodOption,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    adapter: AdapterOption = None,
    class_name: Annotated[str, typer.Option("--class-name", help="Object noun for prompts.")] = "object",
    normal_prompt: Annotated[
        list[str] | None,
        typer.Option("--normal-prompt", help="Own sentence for the normal state; {} stands for the object."),
    ] = None,
    abnormal_prompt: Annotated[
        list[str] | None,
        typer.Option("--abnormal-prompt", help="Own sentence for the abnormal state."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Score from which an image counts as anomalous.")
    ] = None,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", help="Write each map as float32 .npy at native size.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for pictures, maps and predictions.json.")
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
    from zsad.data.walk import find_images
    from zsad.detect.request import DetectorRequest
    from zsad.files import check_writable, write_json
    from zsad.plugin.host import get_host
    from zsad.recipe.prompts import with_sentences

    if not class_name.strip():
        raise InputError("--class-name: give the noun of the object, or leave it out for 'object'")
    host = get_host()
    settings = Settings.parse(overrides or ())
    settings.refuse_training()
    request = DetectorRequest(
        method=method,
        backbone=backbone,
        weights=weights_source(weights, method),
        adapter=adapter,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=with_sentences(host, method, settings, normal_prompt or (), abnormal_prompt or ()),
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
    if class_name != "object" and not detector.uses_noun:
        print_message(f"--class-name {class_name} changes nothing: method '{method}' reads no object noun")
    if found.left_out:
        print_message(left_out_words(found.left_out))
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    names = OutputNames(out)
    complete = False
    try:
        results = predict_files(detector, paths, class_name, batch_size)
        for entry in progress(written(results, names, detector, save_map=save_maps), len(paths), "images"):
            if isinstance(entry, FailedImage):
                print_message(f"error: {entry.error}")
                failed.append({"path": str(entry.path), "error": entry.error})
            else:
                result, files = entry
                done.append({**files, "decision": decision(result.score, threshold)})
        complete = True
    finally:
        report = {**about(detector).plain(), "class_name": class_name, "threshold": threshold,
                  "images": done, "failed": failed, "complete": complete}  # fmt: skip
        write_json(out / "predictions.json", report)
    if as_json:
        print_json(report)
    else:
        print_table(
            [{**row, "score": f"{row['score']:.4f}"} for row in done],
            ("path", "score", "decision", "overlay"),
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
