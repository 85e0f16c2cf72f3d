"""From (seed, index) to an image with its mask and caption.

Every random stream has a seed of its own, derived from (seed, index): the scene, the camera, the defect and
the words. So the clean twin of a defective image is the same scene under the same camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError
from zsad_plugins.drawn.procedural import wording
from zsad_plugins.drawn.procedural.camera import Camera, develop, draw_camera, photograph
from zsad_plugins.drawn.procedural.canvas import Field, whole
from zsad_plugins.drawn.procedural.captions import captions
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE
from zsad_plugins.drawn.procedural.chance import chance, pick
from zsad_plugins.drawn.procedural.damage import Damaged, damage
from zsad_plugins.drawn.procedural.scene import Scene
from zsad_plugins.drawn.procedural.selection import choose_family, known_defect, known_family

SMALLEST, LARGEST = 32, 2048
"""Sides in pixels that can be drawn."""


@dataclass(frozen=True)
class ProceduralImage:
    """One drawn image.

    Attributes:
        image: uint8 [S, S, 3], RGB.
        mask: bool [S, S], True where the defect visibly changed a pixel.
        caption: What is to be seen.
        class_name: The noun for the object, as a dataset's class name would be.
        family: One of ``FAMILIES``.
        material: The object's material, one of ``captions.MATERIALS``.
        defect: One of ``DEFECTS``, or None for a normal image.
        severity: 0 for a normal image, up to 1: contrast times extent of the defect.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    caption: str
    class_name: str
    family: str
    material: str
    defect: str | None
    severity: float


def generate(
    seed: int,
    index: int,
    *,
    size: int = 256,
    families: Sequence[str] | None = None,
    defects: Sequence[str] | None = None,
    anomalous: bool | None = None,
) -> ProceduralImage:
    """Draw one image: a pure function of its arguments.

    Args:
        seed: Seed of the whole series, 0 or more.
        index: Number of the image in the series, 0 or more.
        size: Side in pixels, 32 to 2048.
        families: Families to draw from; ``TRAINING_FAMILIES`` if None.
        defects: Defects to draw from, where they make sense; ``TRAINING_DEFECTS`` if None.
        anomalous: Whether it has a defect; half of the images if None.

    Returns:
        The image with mask, caption and what was drawn. The same arguments give the same bits on the same
        machine with the same versions of numpy and scipy.

    Raises:
        InputError: If a name does not exist, no defect suits any family, or a number is out of range.
    """
    shot = _shoot(seed, index, size, families, defects)
    broken = chance(shot.plan, 0.5)
    if not (broken if anomalous is None else anomalous):
        return _finished(shot)
    defect = pick(shot.plan, shot.possible)
    return _finished(shot, _damaged(shot, [defect]))


def generate_pair(
    seed: int,
    index: int,
    *,
    size: int = 256,
    families: Sequence[str] | None = None,
    defects: Sequence[str] | None = None,
) -> tuple[ProceduralImage, ProceduralImage]:
    """Draw one scene without and with a defect.

    Returns:
        The clean twin (same scene, light and sensor noise; empty mask) and the defective image. They are, to
        the bit, what `generate` gives with ``anomalous`` False and True.

    Raises:
        InputError: As `generate`.
    """
    shot = _shoot(seed, index, size, families, defects)
    chance(shot.plan, 0.5)
    defect = pick(shot.plan, shot.possible)
    return _finished(shot), _finished(shot, _damaged(shot, [defect]))


def generate_combined(
    seed: int, index: int, *, defects: Sequence[str], family: str, size: int = 256
) -> tuple[ProceduralImage, dict[str, npt.NDArray[np.bool_]]]:
    """Draw one image with several defects that keep away from each other.

    Args:
        seed: Seed of the series.
        index: Number of the image.
        defects: Types of defects, each once.
        family: The family; every defect must make sense on it.
        size: Side in pixels.

    Returns:
        The image (its ``defect`` is the first one, its mask covers all, its caption speaks of the first), and
        a mask bool [S, S] per defect: what became visible when that defect was added.

    Raises:
        InputError: If a name does not exist, a defect makes no sense on the family or is given twice, none is
            given, or a number is out of range.
    """
    spec = CATALOGUE[known_family(family)]
    unfit = [name for name in map(known_defect, defects) if name not in spec.defects]
    if unfit or not defects:
        raise InputError(
            f"family {family!r} cannot have {', '.join(unfit) or 'an empty list of defects'}; "
            f"it can have {', '.join(spec.defects)}"
        )
    if len(set(defects)) < len(defects):
        raise InputError(f"each defect can be given once, not {', '.join(defects)}")
    shot = _shoot(seed, index, size, [family], defects)
    results = _damaged(shot, defects)
    return _finished(shot, results), {
        name: result.mask for name, result in zip(defects, results, strict=True)
    }


@dataclass(slots=True)
class _Shot:
    """A clean scene with its camera and the random streams of what follows."""

    family: str
    noun: str
    possible: tuple[str, ...]
    scene: Scene
    camera: Camera
    clean: Field
    plan: np.random.Generator
    damage_seed: np.random.SeedSequence
    words_seed: np.random.SeedSequence


def _shoot(
    seed: int, index: int, size: int, families: Sequence[str] | None, defects: Sequence[str] | None
) -> _Shot:
    if seed < 0 or index < 0:
        raise InputError(f"seed and index of a procedural image must be 0 or more, not {seed} and {index}")
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"the size of a procedural image must be {SMALLEST} to {LARGEST}, not {size}")
    streams = np.random.SeedSequence([seed, index]).spawn(5)
    plan, drawing, light = (np.random.Generator(np.random.PCG64(stream)) for stream in streams[:3])
    family, possible = choose_family(plan, families, defects)
    spec = CATALOGUE[family]
    noun = pick(plan, spec.nouns)
    scene = spec.draw(drawing, whole(size))
    camera = draw_camera(light, scene)
    clean = photograph(scene, camera)
    return _Shot(family, noun, possible, scene, camera, clean, plan, streams[3], streams[4])


def _damaged(shot: _Shot, defects: Sequence[str]) -> list[Damaged]:
    scene, picture, results = shot.scene, shot.clean, []
    for name, seed in zip(defects, shot.damage_seed.spawn(len(defects)), strict=True):
        result = damage(scene, picture, shot.camera, name, seed)
        scene, picture = result.scene, result.picture
        results.append(result)
    return results


def _finished(shot: _Shot, results: Sequence[Damaged] = ()) -> ProceduralImage:
    """Return the developed image of a shot, damaged or not."""
    size = shot.scene.canvas.size
    mask = np.zeros((size, size), dtype=np.bool_)
    for result in results:
        mask |= result.mask
    picture = results[-1].picture if results else shot.clean
    defect = results[0].defect if results else None
    material = shot.scene.material or CATALOGUE[shot.family].material
    caption = captions(
        shot.family,
        defect,
        np.random.Generator(np.random.PCG64(shot.words_seed)),
        noun=shot.noun,
        material=material,
        position=_position(results[0].mask) if results else None,
        looks=_looks(shot),
    )
    return ProceduralImage(
        image=develop(picture, shot.camera, shot.scene.grey),
        mask=mask,
        caption=caption,
        class_name=shot.noun,
        family=shot.family,
        material=material,
        defect=defect,
        severity=max((result.severity for result in results), default=0.0),
    )


def _position(mask: npt.NDArray[np.bool_]) -> str:
    rows, columns = np.nonzero(mask)
    size = mask.shape[0]
    return wording.POSITIONS[3 * min(int(rows.mean() * 3 / size), 2) + min(int(columns.mean() * 3 / size), 2)]


def _looks(shot: _Shot) -> list[str]:
    words = shot.camera.words()
    if not CATALOGUE[shot.family].full_frame:
        share = float(shot.scene.region.mean())
        words |= {"small"} if share < 0.2 else {"large"} if share > 0.5 else set()
    return sorted(words)
