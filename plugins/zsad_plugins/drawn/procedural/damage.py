"""Make a defect, photograph it, and find the pixels that visibly changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zsad.errors import ZsadError
from zsad_plugins.drawn.procedural.camera import MARGIN, Camera, photograph
from zsad_plugins.drawn.procedural.canvas import Field
from zsad_plugins.drawn.procedural.chance import between
from zsad_plugins.drawn.procedural.repertoire import REPERTOIRE
from zsad_plugins.drawn.procedural.scene import Scene

VISIBLE = 0.045
"""A pixel counts as changed if some channel differs by this much (of 1) before sensor noise."""

_LEAST_MEAN = 0.1
_LEAST_SHARE, _MOST_SHARE = 0.0008, 0.5
_ATTEMPTS = 14


@dataclass(frozen=True, slots=True)
class Damaged:
    """A damaged scene, its noise-free picture, and what is visible of the damage.

    Attributes:
        defect: Type of the defect.
        scene: The scene with the defect.
        picture: Its noise-free photograph, [S, S, 3].
        mask: Pixels that visibly changed, small gaps between them closed, bool [S, S].
        severity: Contrast times extent, 0..1.
    """

    defect: str
    scene: Scene
    picture: Field
    mask: npt.NDArray[np.bool_]
    severity: float


def damage(scene: Scene, clean: Field, camera: Camera, defect: str, seed: np.random.SeedSequence) -> Damaged:
    """Return a scene with a defect that can be seen, drawing again where a first draw cannot.

    Args:
        scene: The scene without the defect; it is not changed.
        clean: Its photograph.
        camera: The camera.
        defect: One of ``REPERTOIRE``.
        seed: Seed of the defect.

    Raises:
        ZsadError: If no visible defect came about in many attempts (no known case).
    """
    best: Damaged | None = None
    for attempt, stream in enumerate(seed.spawn(_ATTEMPTS)):
        rng = np.random.Generator(np.random.PCG64(stream))
        # Hard surroundings (dark, rough, out of the light) need a stronger defect to be seen.
        strength = min(1.0, between(rng, 0.15, 1.0) + 0.12 * attempt)
        broken = scene.twin()
        cover = REPERTOIRE[defect](rng, broken, strength)
        for _ in range(_repeats(rng) if attempt < 8 else 0):
            np.maximum(cover, REPERTOIRE[defect](rng, broken, strength * 0.8), out=cover)
        if attempt >= 3:
            _exaggerate(scene, broken, 1.0 + 0.25 * (attempt - 2))
        np.clip(broken.albedo, 0, 1, out=broken.albedo)
        picture = _rephotographed(broken, clean, camera, cover)
        mask, mean = _visible(clean, picture, cover, camera)
        share = float(mask.mean())
        found = Damaged(defect, broken, picture, mask, _severity(mean, share, scene))
        if share >= max(_LEAST_SHARE, 8 / mask.size) and mean >= _LEAST_MEAN and share <= _MOST_SHARE:
            return found
        if share > 0 and (best is None or found.severity > best.severity):
            best = found
    if best is None:
        raise ZsadError(f"the procedural defect {defect!r} stayed invisible in {_ATTEMPTS} attempts")
    return best


def _exaggerate(scene: Scene, broken: Scene, gain: float) -> None:
    """Push the changes of colour and relief farther from the clean scene."""
    broken.albedo = scene.albedo + (broken.albedo - scene.albedo) * np.float32(gain)
    broken.height = scene.height + (broken.height - scene.height) * np.float32(gain)


def _repeats(rng: np.random.Generator) -> int:
    """Return how often a defect occurs again in the same image: mostly not at all."""
    return int(rng.choice(4, p=(0.74, 0.14, 0.07, 0.05)))


def _rephotographed(broken: Scene, clean: Field, camera: Camera, cover: Field) -> Field:
    """Return the photograph of a damaged scene; only the window around the damage is taken again."""
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    picture = clean.copy()
    if len(rows) == 0:
        return picture
    size = clean.shape[0]
    inner = (_widened(rows, MARGIN, size), _widened(columns, MARGIN, size))
    outer = (_widened(rows, 2 * MARGIN, size), _widened(columns, 2 * MARGIN, size))
    window = photograph(broken, camera, *outer)
    top, left = inner[0].start - outer[0].start, inner[1].start - outer[1].start
    high, wide = inner[0].stop - inner[0].start, inner[1].stop - inner[1].start
    picture[inner] = window[top : top + high, left : left + wide]
    return picture


def _widened(places: npt.NDArray[np.intp], margin: int, size: int) -> slice:
    return slice(max(0, int(places[0]) - margin), min(size, int(places[-1]) + 1 + margin))


def _visible(
    clean: Field, picture: Field, cover: Field, camera: Camera
) -> tuple[npt.NDArray[np.bool_], float]:
    """Return the mask of visible change within reach of the defect, and the mean change inside it."""
    difference = np.abs(picture - clean)
    change = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    size = change.shape[0]
    near = ndimage.uniform_filter(cover, max(5, size // 50), mode="constant") > 1e-4
    changed = (change > max(VISIBLE, 2.2 * camera.noise)) & near
    if not changed.any():
        return changed, 0.0
    # A pixel whose neighbours mostly changed belongs to the defect though its own colour happens to agree.
    crowd = ndimage.uniform_filter(changed.astype(np.float32), max(3, size // 36) | 1, mode="nearest") > 0.62
    mask: npt.NDArray[np.bool_] = changed | (crowd & near)
    return mask, float(change[mask].mean())


def _severity(mean: float, share: float, scene: Scene) -> float:
    """Return contrast (full at a change of 0.5) times extent (full at a third of the object's side), 0..1."""
    extent = (share / max(float(scene.region.mean()), 0.05)) ** 0.5
    severity: float = min(1.0, mean / 0.5) * min(1.0, 3 * extent)
    return severity
