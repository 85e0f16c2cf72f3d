"""Many images under one method: what becomes of each, and the files that say so."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zsad.data.left_out import left_out_words
from zsad.detect.provenance import DetectorInfo
from zsad.errors import InputError
from zsad.files import write_text
from zsad.recipe.recipes import Display
from zsad.values import Prediction
from zsad_demo.answers import Question
from zsad_demo.archive import Limits, unpack
from zsad_demo.drawing import THUMBNAIL_SIDE, Picture, encoded, fitted, overlay_picture
from zsad_demo.engine import Engine, Group
from zsad_demo.inspection import resized_map
from zsad_demo.pixels import ROOM
from zsad_demo.report import report_page
from zsad_demo.uploads import Upload, without_path
from zsad_demo.vocabulary import UnknownWord

LIMITS = Limits()
BATCH_SIZE = 4
"""Images per pass; others may use the device between two passes."""
GROUP_PIXELS = 16_000_000
"""Most pixels of the images of a pass; a larger image has one to itself."""
COMPARED_PIXELS = 12_000_000
"""Input pixels of all images together that a method may compare with one another.

The time it takes grows with their square, and nobody else is served meanwhile.
"""
COLUMNS = ("rank", "image", "score", "map_maximum", "error")


@dataclass(frozen=True, eq=False)
class Judged:
    """One image of a batch.

    Attributes:
        name: What the visitor calls it.
        score: Image score.
        peak: Largest value of the map.
        overlay: Its small picture as JPEG, a twentieth of its pixels: a session keeps hundreds.
    """

    name: str
    score: float
    peak: float
    overlay: bytes


@dataclass(eq=False)
class Batch:
    """One visitor's images with their answers, as far as they are there.

    Attributes:
        noun: Object noun of all images.
        info: What stands behind the numbers.
        display: The fixed range of the maps.
        total: Images to judge; those that could not be read do not count.
        seen: Images that went through the backbone.
        judged: Their answers.
        failed: Reason by name of the images that were left out.
        unknown: Words that the backbone does not know.
    """

    noun: str
    info: DetectorInfo
    display: Display
    total: int
    seen: int = 0
    judged: list[Judged] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    unknown: tuple[UnknownWord, ...] = ()

    def ranked(self) -> list[Judged]:
        """Return the answers, the most anomalous first."""
        return sorted(self.judged, key=lambda one: -one.score)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per image, the most anomalous first and those left out last."""
        ranked = [
            {"rank": rank, "image": one.name, "score": one.score, "map_maximum": one.peak, "error": ""}
            for rank, one in enumerate(self.ranked(), start=1)
        ]
        return ranked + [{"image": name, "error": reason} for name, reason in self.failed]


def run_batch(engine: Engine, uploads: Sequence[Upload], noun: str, question: Question) -> Generator[Batch]:
    """Judge images and zip archives of images, and yield the batch after every pass and at the end.

    What is unpacked lies in a folder of its own, which is gone when the iterator is closed.

    Args:
        engine: Answers.
        uploads: Images and archives.
        noun: Object noun of all images.
        question: How they are judged.

    Yields:
        The same batch every time, with what was added.

    Raises:
        InputError: Nothing to judge, too much of it, or an archive that cannot be read.
    """
    if not uploads:
        raise InputError("no image was given: choose some images, or a zip archive of images")
    with tempfile.TemporaryDirectory(prefix="zsad-batch-") as name:
        images, failed = _collect(uploads, Path(name))
        _check_comparable(len(images), question)
        info, display = engine.info(question)
        unknown = engine.unknown_words(question, noun)
        batch = Batch(noun, info, display, len(images), failed=failed, unknown=unknown)
        small: dict[str, Picture] = {}
        told = -1
        for names, prediction in engine.judge(question, _groups(images, batch, small), noun):
            if prediction is not None:
                batch.judged += _answers(names, prediction, small, display)
            batch.seen, told = len(batch.judged) + len(small), len(batch.failed)
            yield batch
    if not batch.judged:
        raise InputError(_none_read(batch))
    if len(batch.failed) != told:  # the last images could not be read: no pass came after them
        yield batch


def _check_comparable(count: int, question: Question) -> None:
    """See that a method that compares images with one another can do so without holding up everybody.

    Raises:
        InputError: There are too many images for their size.
    """
    most = COMPARED_PIXELS // question.image_size**2
    if question.model.needs_several and count > most:
        raise InputError(
            f"{question.model.label} compares every image with all others and takes at most {most} images of "
            f"{question.image_size} px, not {count}; send fewer, or choose a smaller image size"
        )


def _collect(uploads: Sequence[Upload], folder: Path) -> tuple[list[Upload], list[tuple[str, str]]]:
    """Return the images of all uploads, and the reasons for those left out."""
    images: list[Upload] = []
    failed: list[tuple[str, str]] = []
    no_images: list[tuple[str, str]] = []
    left = LIMITS.total_bytes
    for number, upload in enumerate(uploads):
        if not upload.name.lower().endswith(".zip"):
            images.append(upload)
            continue
        inside = folder / str(number)
        inside.mkdir()
        contents = unpack(upload.path, upload.name, inside, replace(LIMITS, total_bytes=left))
        if contents.left_out:
            no_images.append((upload.name, left_out_words(contents.left_out)))
        for entry in contents.images:
            if entry.path is None:
                failed.append((entry.name, entry.reason))
            else:
                images.append(Upload(entry.path, entry.name))
                left -= entry.path.stat().st_size
        if len(images) + len(failed) > LIMITS.files:
            break
    if len(images) + len(failed) > LIMITS.files:
        raise InputError(f"more than {LIMITS.files} images were given; send fewer at once")
    if not images and not failed:
        names = ", ".join(upload.name for upload in uploads)
        rest = "".join(f"; {words}" for _, words in no_images)
        raise InputError(f"there is no image in {names}{rest}")
    return images, failed + no_images


def _groups(images: Sequence[Upload], batch: Batch, small: dict[str, Picture]) -> Iterator[Group]:
    """Yield the images of a pass each: few, and few pixels together by their headers."""
    group: list[tuple[str, Upload]] = []
    held = 0
    for number, upload in enumerate(images):
        try:
            pixels = upload.pixels()
        except InputError as error:
            _leave_out(batch, upload, error)
            continue
        if group and (len(group) == BATCH_SIZE or held + pixels > GROUP_PIXELS):
            yield _opened(group, held, batch, small)
            group, held = [], 0
        group.append((f"{number}:{upload.name}", upload))
        held += pixels
    if group:
        yield _opened(group, held, batch, small)


@contextmanager
def _opened(
    group: Sequence[tuple[str, Upload]], pixels: int, batch: Batch, small: dict[str, Picture]
) -> Iterator[list[tuple[str, Picture]]]:
    """Hold the images that can be read under a key each, and keep them small; note the others."""
    with ROOM.taken(pixels):
        read = []
        for key, upload in group:
            try:
                image = upload.read()
            except InputError as error:
                _leave_out(batch, upload, error)
                continue
            small[key] = fitted(image, THUMBNAIL_SIDE)
            read.append((key, image))
            del image
        try:
            yield read
        finally:
            read.clear()  # before the room is given away


def _leave_out(batch: Batch, upload: Upload, error: InputError) -> None:
    batch.failed.append((upload.name, without_path(str(error), upload.path, upload.name)))
    batch.total -= 1


def _answers(
    keys: Sequence[str], prediction: Prediction, small: dict[str, Picture], display: Display
) -> Iterator[Judged]:
    for key, score, tensor in zip(keys, prediction.score, prediction.anomaly_map, strict=True):
        view = small.pop(key)
        anomaly_map = tensor.float().cpu().numpy()
        shown = resized_map(anomaly_map, *view.shape[:2])
        yield Judged(
            key.partition(":")[2],
            float(score),
            float(anomaly_map.max()),
            encoded(overlay_picture(view, shown, display)),
        )


def _none_read(batch: Batch) -> str:
    name, reason = batch.failed[0]
    said = reason if name in reason else f"'{name}': {reason}"
    return f"none of the {len(batch.failed)} images could be read; {said}"


def write_files(batch: Batch, folder: Path) -> list[Path]:
    """Write the table as CSV and everything as a self-contained page.

    Args:
        batch: The judged images.
        folder: Where to.

    Returns:
        The files.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in batch.rows():
        writer.writerow(row | {name: _plain_cell(row[name]) for name in ("image", "error")})
    files = [folder / "scores.csv", folder / "report.html"]
    write_text(files[0], stream.getvalue())
    pictures = [(one.name, one.score, one.overlay) for one in batch.ranked()]
    write_text(files[1], report_page(batch.noun, batch.info, batch.display, pictures, batch.failed))
    return files


_FORMULA = re.compile(r"""(^|[,;|\t\r\n])(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])""")


def _plain_cell(text: str) -> str:
    """Keep a file's name from being taken for a formula by a spreadsheet, whatever it splits cells at."""
    return _FORMULA.sub(r"\1'", text)
