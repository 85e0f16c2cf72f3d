"""``zsad predict``: a score, a picture and a map per image."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from zsad.detect.detector import Detector


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Images, or folders of images.", metavar="IMAGE|FOLDER...")
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
    from zsad.data.images import find_images
    from zsad.files import check_writable, write_json
    from zsad.plugin.host import get_host

    get_host().recipes.get(method)
    paths = find_images(images)
    own_prompts = _prompt_overrides(method, normal_prompt, abnormal_prompt)
    # Refused before seconds go into a backbone: a folder that cannot be written to.
    check_writable(out)
    from zsad.detect.loading import load_detector
    from zsad.detect.predictions import FailedImage, OutputNames, predict_files, written

    detector = load_detector(
        method,
        backbone=backbone,
        weights=weights_source(weights),
        adapter=adapter,
        device=device,
        dtype=dtype,
        image_size=image_size,
        overrides=[*(overrides or ()), *own_prompts],
        seed=seed,
        untrained=untrained,
    )
    print_message(describe(detector))
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


def _prompt_overrides(method: str, normal: list[str] | None, abnormal: list[str] | None) -> list[str]:
    """Return own prompts as overrides of the prompt learner.

    Raises:
        InputError: The method learns its prompts, or has none.
    """
    given = {"normal_prompts": normal, "abnormal_prompts": abnormal}
    wanted = {option: prompts for option, prompts in given.items() if prompts}
    if not wanted:
        return []
    from zsad.plugin.host import get_host
    from zsad.plugin.imports import load_object
    from zsad.recipe.recipes import load_recipe

    host = get_host()
    learner = load_recipe(host, method).parts.prompt_learner
    options = host.parts.get(learner.use).spec.options if learner else None
    fields = load_object(options).model_fields if options else {}
    if "normal_prompts" not in fields:
        raise InputError(
            f"method '{method}' does not take --normal-prompt or --abnormal-prompt: its prompts are "
            f"{'learned' if learner else 'not used'}; clip-baseline and winclip take them"
        )
    return [f"prompt_learner.{option}={json.dumps(prompts)}" for option, prompts in wanted.items()]
