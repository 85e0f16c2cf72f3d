"""Drawn datasets: samples for trying things out, and a set to learn from.

They are drawn on first use into a folder of the user's cache whose name is a hash of everything they depend
on. The folder appears complete or not at all, whatever is interrupted and whoever else draws.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from zsad.errors import ZsadError
from zsad.files import CACHE, cache_folder, check_writable, write_png

MANIFEST = "manifest.csv"

_COLUMNS = ("image", "mask", "label", "class_name", "defect_type", "noun")


@dataclass(frozen=True)
class DrawnSet:
    """What to draw.

    Attributes:
        name: Name of the dataset.
        held_out: Whether it shows the objects and defects kept out of all training, or those of training.
        count: Normal images of each family, and as many anomalous ones.
        size: Side of an image in pixels.
        seed: Seed of the first family; each has one of its own.
    """

    name: str
    held_out: bool
    count: int
    size: int
    seed: int


SAMPLES = DrawnSet("samples", held_out=True, count=12, size=320, seed=20_260)
PROCEDURAL = DrawnSet("procedural", held_out=False, count=24, size=240, seed=30_260)


def drawn_folder(drawn: DrawnSet) -> Path:
    """Return a folder with ``manifest.csv`` and the images it lists, after drawing them if need be.

    Raises:
        ZsadError: If the cache cannot be written, or somebody has removed files from the folder.
    """
    place = cache_folder()
    target = place / f"{drawn.name}-{_version(drawn)}"
    if not target.is_dir():
        try:
            check_writable(place)
        except ZsadError as error:
            raise ZsadError(f"cannot draw the {drawn.name}: {error}; {CACHE} names the folder") from error
        _draw_into(target, drawn)
    missing = next((name for name in _names(drawn) if not (target / name).is_file()), None)
    if missing is not None:
        raise ZsadError(
            f"the {drawn.name} in '{target}' lack '{missing}': delete that folder to have them drawn again"
        )
    return target


@dataclass(frozen=True)
class _Plan:
    """One image to draw."""

    family: str
    index: int
    anomalous: bool

    @property
    def name(self) -> str:
        return f"{self.family}_{'anomalous' if self.anomalous else 'normal'}_{self.index:03}.png"


def _families(drawn: DrawnSet) -> tuple[str, ...]:
    from zsad_plugins.drawn.procedural import HELD_OUT_FAMILIES, TRAINING_FAMILIES

    return HELD_OUT_FAMILIES if drawn.held_out else TRAINING_FAMILIES


def _plans(drawn: DrawnSet) -> Iterator[_Plan]:
    for family in _families(drawn):
        yield from (_Plan(family, index, index >= drawn.count) for index in range(2 * drawn.count))


def _names(drawn: DrawnSet) -> list[str]:
    plans = list(_plans(drawn))
    images = [f"images/{plan.name}" for plan in plans]
    return [MANIFEST, *images, *(f"masks/{plan.name}" for plan in plans if plan.anomalous)]


@cache
def _version(drawn: DrawnSet) -> str:
    """Return a hash of all that decides on the pixels: parameters, drawing code, numerical libraries."""
    from zsad_plugins.drawn.procedural.source import drawing_hash  # its package needs scipy

    text = json.dumps([asdict(drawn), drawing_hash(), Path(__file__).read_text(encoding="utf-8")])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _draw_into(target: Path, drawn: DrawnSet) -> None:
    """Draw into a folder beside ``target`` and rename it, so that nobody sees half of it."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{drawn.name}-", dir=target.parent))
    try:
        _draw(temporary, drawn)
        temporary.chmod(0o755)  # mkdtemp makes it private, and caches may be shared
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster, with the same images
                raise
    except OSError as error:
        raise ZsadError(f"cannot write the {drawn.name} to '{target}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _draw(folder: Path, drawn: DrawnSet) -> None:
    from zsad_plugins.drawn.procedural import HELD_OUT_DEFECTS, TRAINING_DEFECTS, generate
    from zsad_plugins.drawn.procedural.catalogue import CATALOGUE

    rows: list[tuple[object, ...]] = []
    families = _families(drawn)
    for plan in _plans(drawn):
        # Seeds of their own per family, or all families would share light and camera.
        made = generate(
            drawn.seed + families.index(plan.family),
            plan.index,
            size=drawn.size,
            families=[plan.family],
            defects=HELD_OUT_DEFECTS if drawn.held_out else TRAINING_DEFECTS,
            anomalous=plan.anomalous,
        )
        write_png(folder / "images" / plan.name, made.image)
        if plan.anomalous:
            write_png(folder / "masks" / plan.name, made.mask.astype("uint8") * 255)
        mask = f"masks/{plan.name}" if plan.anomalous else ""
        noun = CATALOGUE[plan.family].nouns[0]
        rows.append((f"images/{plan.name}", mask, int(plan.anomalous), plan.family, made.defect or "", noun))
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([_COLUMNS, *rows])
