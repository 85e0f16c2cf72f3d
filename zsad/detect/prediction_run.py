"""A prediction run into a folder: answers are there as they come, and finished ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zsad.detect.detector import Detector
from zsad.detect.journal import Journal, images_hash
from zsad.detect.memories import Remembered
from zsad.detect.output_names import OutputNames
from zsad.detect.predictions import FailedImage, predict_files
from zsad.detect.provenance import DetectorInfo, about, decision
from zsad.detect.result_files import ResultFiles, Written
from zsad.detect.tiles import Tiling
from zsad.detect.wanted_files import WantedFiles


@dataclass(frozen=True)
class PredictionRun:
    """What is asked of the images, beside the detector.

    Attributes:
        class_name: What prompts call the object.
        threshold: Score from which an image counts as anomalous, or None for no decision.
        batch_size: Images per pass.
        files: What is written beside the scores.
        tiling: How images are cut, or None.
        remembered: What the images are compared with, by a few-shot method.
    """

    class_name: str = "object"
    threshold: float | None = None
    batch_size: int = 8
    files: WantedFiles = field(default_factory=WantedFiles)
    tiling: Tiling | None = None
    remembered: Remembered | None = None

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
            "threshold": self.threshold,
            "tiling": self.tiling and asdict(self.tiling),
            "references": self.remembered and self.remembered.digest,
            **{f"files.{name}": value for name, value in asdict(self.files).items()},
            "images": images_hash(paths),
        }


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
        InputError: The folder holds a run of another request.
        ZsadError: The folder cannot be written to.
    """
    known = about(detector)  # once: it hashes what was learned
    journal = Journal(folder, run.asked(known, detector.seed, paths), resume=resume)
    if detector.scope().waits and len(journal.finished) < len(paths):
        journal.forget()
    if journal.finished:
        say(f"{len(journal.finished)} of {len(paths)} images were finished already")
    facts = {**known.plain(), "class_name": run.class_name, "threshold": run.threshold}
    if run.files.pixel_threshold is not None:
        facts["pixel_threshold"] = run.files.pixel_threshold
    if run.tiling is not None:
        facts["tiling"] = {**asdict(run.tiling), "image_score": "highest of the tiles"}
    if run.remembered is not None:
        facts["references"] = [entry.plain() for entry in run.remembered.references]
    journal.begin(facts)
    done = dict(journal.finished)
    failed: list[dict[str, str]] = []
    results = predict_files(detector, paths, run.class_name, run.batch_size, journal.finished, run.tiling)
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
                done[result.path] = {**answer, "decision": decision(result.score, run.threshold)}
                journal.add(done[result.path])
        complete = True
    finally:
        in_order = [done[path] for path in paths if path in done]
        report = journal.close(facts, in_order, failed, complete=complete)
    return report
