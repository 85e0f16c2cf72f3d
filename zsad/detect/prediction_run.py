"""A prediction run into a folder: answers are there as they come, and finished ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zsad.detect.calibration import Calibration
from zsad.detect.detector import Detector
from zsad.detect.explaining import Explainer
from zsad.detect.journal import Journal, images_hash
from zsad.detect.memories import Remembered
from zsad.detect.naming import namer
from zsad.detect.output_names import OutputNames
from zsad.detect.predictions import FailedImage, predict_files
from zsad.detect.provenance import NO_THRESHOLD, DetectorInfo, about
from zsad.detect.result_files import ResultFiles, Written
from zsad.detect.tiles import Tiling
from zsad.detect.verdicts import Level
from zsad.detect.wanted_files import WantedFiles
from zsad.errors import InputError


@dataclass(frozen=True)
class PredictionRun:
    """What is asked of the images, beside the detector.

    Attributes:
        class_name: What prompts call the object.
        level: The threshold of image scores, or None for no decision.
        batch_size: Images per pass.
        files: What is written beside the scores.
        tiling: How images are cut, or None.
        remembered: What the images are compared with, by a few-shot method.
        explain: Whether each answer is put into words; then the files have a pixel threshold.
        calibration: What the thresholds come from, or None.
    """

    class_name: str = "object"
    level: Level | None = None
    batch_size: int = 8
    files: WantedFiles = field(default_factory=WantedFiles)
    tiling: Tiling | None = None
    remembered: Remembered | None = None
    explain: bool = False
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.explain and self.files.pixel is None:
            raise InputError("words say where a map reaches a value: give that value, the pixel threshold")

    def asked(self, known: DetectorInfo, seed: int, paths: Sequence[Path]) -> dict[str, Any]:
        """Return what decides the answers of a detector and its seed, as JSON can say it."""
        return {
            "recipe": known.recipe_hash,
            "backbone": known.backbone.sha256,
            "weights": known.weights.sha256,
            "image_size": known.image_size,
            "dtype": known.dtype,
            "class_name": self.class_name,
            "seed": seed,
            "batch_size": self.batch_size,
            **_flat("threshold", self.level),
            **_flat("pixel_threshold", self.files.pixel),
            "tiling": self.tiling and asdict(self.tiling),
            "references": self.remembered and self.remembered.digest,
            "explain": self.explain,
            "files.overlays": self.files.overlays,
            "files.maps": self.files.maps,
            "files.masks": self.files.masks,
            "images": images_hash(paths),
        }


def _flat(name: str, level: Level | None) -> dict[str, float | None]:
    return {name: level and level.threshold, f"{name}_scale": level and level.scale}


def predict_into(
    folder: Path,
    detector: Detector,
    paths: Sequence[Path],
    run: PredictionRun,
    *,
    resume: bool,
    say: Callable[[str], object],
    watch: Callable[[Iterator[Written], int], Iterator[Written]],
) -> dict[str, Any]:
    """Score the images that no former run has finished; return the report of all of them.

    Args:
        folder: Where the files go; one process at a time writes into it (:func:`zsad.claim.claimed`).
        detector: The method.
        paths: The images, each once.
        run: What is asked.
        resume: Whether to go on with the run that the folder holds, if there is one.
        say: Is told what was finished already, and of every image that cannot be read.
        watch: Shows the progress of an iterator of so many answers.

    Raises:
        InputError: The folder holds a run of another request, or the calibration is one of anything else.
        ZsadError: The folder cannot be written to.
    """
    known = about(detector)  # once: it hashes what was learned
    if run.calibration is not None:
        run.calibration.check(
            known,
            run.class_name,
            batch_size=run.batch_size,
            tiling=run.tiling,
            memory=run.remembered and run.remembered.digest,
        )
    words: Explainer | None = None
    if run.explain and run.files.pixel is not None:
        words = Explainer(run.level, run.files.pixel, namer(detector.backbone, run.class_name))
    journal = Journal(folder, run.asked(known, detector.seed, paths), resume=resume)
    if detector.scope().waits and len(journal.finished) < len(paths):
        journal.forget()
    if journal.finished:
        say(f"{len(journal.finished)} of {len(paths)} images were finished already")
    facts = {**known.plain(), "class_name": run.class_name, "threshold": run.level and run.level.threshold}
    if run.files.pixel is not None:
        facts["pixel_threshold"] = run.files.pixel.threshold
    if run.calibration is not None:
        facts["calibration"] = run.calibration.summary()
    if run.tiling is not None:
        facts["tiling"] = {**asdict(run.tiling), "image_score": "highest of the tiles"}
    if run.remembered is not None:
        facts["references"] = [entry.plain() for entry in run.remembered.references]
    journal.begin(facts)
    done = dict(journal.finished)
    failed: list[dict[str, str]] = []
    results = predict_files(detector, paths, run.class_name, run.batch_size, journal.finished, run.tiling)
    if words is not None:
        results = words.explained(results)
    files = ResultFiles(OutputNames(folder, paths), detector.recipe.recipe.display, run.files)
    complete = False
    try:
        for entry in watch(files.written(results), len(paths) - len(done)):
            if isinstance(entry, FailedImage):
                if len(paths) > 1:  # else it is what the command ends with
                    say(f"error: {entry.error}")
                failed.append({"path": str(entry.path), "error": entry.error})
                journal.add(failed[-1])
            else:
                result, answer = entry
                done[result.path] = {**answer, **verdict(result.score, run.level)}
                journal.add(done[result.path])
        complete = True
    finally:
        in_order = [done[path] for path in paths if path in done]
        report = journal.close(facts, in_order, failed, complete=complete)
    if run.calibration is not None:
        measured = set(run.calibration.good_parts)
        if count := sum(entry["content"] in measured for entry in in_order):
            say(
                f"{count} of {len(paths)} images are among those that the calibration was computed from: "
                "their verdicts are none on new parts"
            )
    return report


def verdict(score: float, level: Level | None) -> dict[str, Any]:
    """Return decision and, where there is one, confidence, as plain data."""
    if level is None:
        return {"decision": NO_THRESHOLD}
    found = level.verdict(score)
    sure = {} if found.confidence is None else {"confidence": found.confidence}
    return {"decision": found.decision, **sure}
