"""From good parts to thresholds: what ``zsad calibrate`` and ``zsad.calibrate`` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from zsad.data.contents import contents
from zsad.data.left_out import left_out_words
from zsad.data.nouns import noun_of
from zsad.data.walk import find_images
from zsad.detect.calibration import Calibration, Threshold, TilingInfo
from zsad.detect.calibration_request import CalibrationRequest
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.memories import EVERY_CLASS, ReferenceFacts, Remembered, memory_of
from zsad.detect.predictions import FailedImage, predict_files
from zsad.detect.provenance import Provenance, about
from zsad.detect.references import ReferenceFiles, check_takes_references, find_references
from zsad.detect.remember import remember_files
from zsad.detect.threshold_rules import check_count, promise, scale, threshold
from zsad.errors import InputError
from zsad.plugin.host import Host, get_host
from zsad.recipe.resolved import ResolvedRecipe


@dataclass(frozen=True)
class Reports:
    """What is called while good parts are measured.

    Attributes:
        say: With notices, in words.
        ready: With the detector, before the first image.
        measured: With the images done and their total.
    """

    say: Callable[[str], object] = lambda text: None
    ready: Callable[[Detector], object] = lambda detector: None
    measured: Callable[[int, int], object] = lambda done, total: None


def calibrate(
    request: CalibrationRequest, host: Host | None = None, reports: Reports | None = None
) -> Calibration:
    """Measure good parts, and make thresholds of their scores and of the maxima of their maps.

    A pixel threshold is about the share of good parts with any region at all, so that each of them counts
    by the maximum of its map at native size, which is where regions are looked for.

    Args:
        request: What is wanted.
        host: Plugin host, by default the process's own.
        reports: What is called meanwhile.

    Raises:
        InputError: Whatever does not exist or does not fit, where possible before a backbone is loaded: too
            few good parts for the promise, one that cannot be read, or a method whose scores depend on what
            else is scored.
        ZsadError: The method gave a score that is no number.
    """
    host, reports = host or get_host(), reports or Reports()
    request.check(host)
    check_takes_references(host, request, request.references)
    found = find_images(request.normals)
    if found.left_out:
        reports.say(left_out_words(found.left_out))
    files = None if request.references is None else find_references(request.references)
    referred = () if files is None else tuple(file.facts for file in files.of(request.class_name))
    held = _without(referred, _different(found.images, reports.say), reports.say)
    rate = request.rate()
    check_count(request.rule, len(held), rate)
    detector = load(request, host)
    remembered = _remembered(detector, request, files)
    if remembered is not None:
        held = _without(remembered.references, held, reports.say)
        check_count(request.rule, len(held), rate)
    if request.rule == "conformal":
        check_promise(detector.recipe, request.batch_size)
    reports.ready(detector)
    scores, peaks = _measured(detector, held, request, reports)
    image = _threshold(request, scores, request.threshold, "image score", "are called anomalous")
    pixel = _threshold(request, peaks, request.pixel_threshold, "map maximum", "show a region")
    if detector.recipe.transductive or detector.recipe.two_phase:
        image, pixel = (_qualified(side) for side in (image, pixel))
    known = about(detector)
    return Calibration(
        rule=request.rule,
        false_alarm=None if rate is None else float(rate),
        image=image,
        pixel=pixel,
        good_parts=tuple(held.values()),
        detector=Provenance.model_validate(known.model_dump(include=set(Provenance.model_fields))),
        class_name=noun_of(request.class_name),
        batch_size=request.batch_size if detector.recipe.batch_dependent else None,
        tiling=request.tiling and TilingInfo(**asdict(request.tiling)),
        memory=remembered and remembered.digest,
    )


def _remembered(
    detector: Detector, request: CalibrationRequest, files: ReferenceFiles | None
) -> Remembered | None:
    """Have a few-shot detector remember what it compares with, and return that; None for any other."""
    if files is not None:
        remember_files(detector, files, request.class_name, request.batch_size, request.tiling)
    if detector.store is None:
        return None
    remembered = memory_of(detector.memories, request.class_name, request.method)
    detector.memories = {EVERY_CLASS: remembered}
    return remembered


def _without(
    references: Iterable[ReferenceFacts], held: Mapping[Path, str], say: Callable[[str], object]
) -> dict[Path, str]:
    """Return the images that are no references: one that is compared with itself would look too good."""
    known = {facts.content for facts in references}
    kept = {path: content for path, content in held.items() if content.partition(":")[2] not in known}
    if left := len(held) - len(kept):
        say(f"{left} of {len(held)} good parts are references and calibrate nothing; {len(kept)} are left")
    if not kept:
        raise InputError(
            "no good part is left to calibrate with: all of --normals are references; take fewer of them "
            "(--shots K), or give other images"
        )
    return kept


def _measured(
    detector: Detector, held: Mapping[Path, str], request: CalibrationRequest, reports: Reports
) -> tuple[list[float], list[float]]:
    """Return the image scores of good parts, and the maxima of their maps at native size."""
    noun, scores, peaks = noun_of(request.class_name), [], []
    for result in predict_files(detector, list(held), noun, request.batch_size, tiling=request.tiling):
        if isinstance(result, FailedImage):
            raise InputError(f"{result.error}; repair it, or take it out of --normals")
        if result.content != held[result.path]:
            raise InputError(f"'{result.path}' has changed while it was measured; calibrate again")
        scores.append(result.score)
        peaks.append(float(result.anomaly_map.max()))
        reports.measured(len(scores), len(held))
    return scores, peaks


def check_promise(recipe: ResolvedRecipe, batch_size: int) -> None:
    """Refuse a promise where a new part is not scored as the good ones were.

    Split conformal prediction asks that a new good part's score could have changed places with any of those
    that were measured. Where a score depends on what else is scored, good parts among good parts are measured
    otherwise than among those of a line.

    Raises:
        InputError: The method is transductive, looks at whole classes, or depends on the batch.
    """
    mend = "take --rule quantile, which promises nothing, or another method"
    if recipe.transductive or recipe.two_phase:
        raise InputError(
            f"--rule conformal: '{recipe.method}' scores an image by all others of the run, so that good "
            f"parts by themselves say nothing of good parts among bad ones; {mend}"
        )
    if recipe.batch_dependent and batch_size != 1:
        raise InputError(
            f"--rule conformal: '{recipe.method}' scores an image by the others of its batch too; give "
            f"--batch-size 1 here and to predict, or {mend}"
        )


def _threshold(
    request: CalibrationRequest, values: Sequence[float], given: float | None, what: str, event: str
) -> Threshold:
    rate: Fraction | None = request.rate()
    level = threshold(request.rule, values, rate) if given is None else given
    return Threshold(
        threshold=level,
        scale=scale(values, what),
        promise=promise(request.rule, values, level, rate, event),
        values=tuple(values),
    )


def _qualified(side: Threshold) -> Threshold:
    said = f"{side.promise}; scores of this method depend on the set that they are computed in"
    return side.model_copy(update={"promise": said})


def _different(paths: Sequence[Path], say: Callable[[str], object]) -> dict[Path, str]:
    """Return size and hash of each image, by path; of files that are the same byte by byte, the first."""
    first: dict[str, Path] = {}
    for path, held in contents(paths).items():
        first.setdefault(held, path)
    if repeated := len(paths) - len(first):
        say(
            f"{repeated} of {len(paths)} images are copies of others, which say nothing new; each counts once"
        )
    return {path: held for held, path in first.items()}
