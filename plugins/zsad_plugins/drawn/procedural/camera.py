"""Light, lens and sensor: from a scene to the pixels of a photograph.

The steps up to the sensor are without noise, so that two scenes under the same camera differ exactly where
the scenes differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Field, smoothstep, whole
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn
from zsad_plugins.drawn.procedural.colours import near
from zsad_plugins.drawn.procedural.scene import Scene

EVERYTHING = slice(None)
MARGIN = 8
"""Pixels by which relief and lens blur reach across the border of a window, and some to spare."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Everything about a photograph that is not the scene.

    Attributes:
        light: Direction towards the light, unit vector.
        ambient: Share of the light that comes from everywhere.
        illumination: Brightness over the plane, [S, S], about 1.
        balance: Gain of each channel, [3].
        exposure: Gain of all channels.
        contrast: Slope around middle grey.
        highlight: Brightness of mirror reflections.
        sharpness: The number of squarings of a reflection: the higher, the smaller the spot.
        nearness: How much the direction to the light changes over the plane.
        softness: Weight of the neighbours in each pass of the lens blur, 0..0.25.
        passes: Passes of the lens blur.
        noise: Standard deviation of the sensor noise, 0..1 scale.
        coloured_noise: Whether channels have noise of their own.
        block_step: Quantisation step of a JPEG-like compression, 0 for none.
        seed: Seed of the sensor noise.
    """

    light: tuple[float, float, float]
    ambient: float
    illumination: Field
    balance: Field
    exposure: float
    contrast: float
    highlight: float
    sharpness: int
    nearness: float
    softness: float
    passes: int
    noise: float
    coloured_noise: bool
    block_step: float
    seed: int

    def words(self) -> set[str]:
        """Return the words of photo templates that this camera makes true."""
        found = set()
        if self.exposure < 0.8:
            found.add("dark")
        if self.exposure > 1.12:
            found.add("bright")
        if self.passes >= 3:
            found.add("blurry")
        if self.block_step > 0:
            found.add("jpeg corrupted")
        return found


def draw_camera(rng: np.random.Generator, scene: Scene) -> Camera:
    """Return a random camera for a scene; scans and films (``scene.flat``) have an even light."""
    size, flat = scene.canvas.size, scene.flat
    azimuth, elevation = turn(rng), between(rng, 0.55, 1.3)
    across, down = between(rng, -1, 1), between(rng, -1, 1)
    swing = between(rng, 0, 0.05 if flat else 0.28)
    plane = whole(size)
    illumination = 1.0 + (swing * across) * plane.x + (swing * down) * plane.y
    if not flat and chance(rng, 0.4):
        illumination += noise.smooth(rng, size, 2) * between(rng, 0.01, 0.06)
    if chance(rng, 0.1 if flat else 0.35):
        square = plane.x * plane.x + plane.y * plane.y
        illumination -= square * between(rng, 0.03, 0.22)
    if not flat and chance(rng, 0.1):
        illumination *= _cast_shadow(rng, size)
    blurred = chance(rng, 0.1)
    return Camera(
        light=(
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ),
        ambient=between(rng, 0.25, 0.6),
        illumination=illumination,
        balance=near(rng, np.full(3, 0.92, dtype=np.float32), 0.01 if flat else 0.06) / np.float32(0.92),
        exposure=1.0 if flat else _exposure(rng, scene),
        contrast=between(rng, 0.85, 1.2),
        highlight=between(rng, 0.2, 0.9),
        sharpness=int(rng.integers(3, 7)),
        nearness=between(rng, 0.0, 0.5),
        softness=between(rng, 0.02, 0.22),
        passes=int(rng.integers(3, 6)) if blurred else int(rng.integers(1, 3)),
        noise=by_ratio(rng, 0.002, 0.022),
        coloured_noise=chance(rng, 0.5),
        block_step=pick(rng, (0.03, 0.06, 0.1)) if chance(rng, 0.2) else 0.0,
        seed=int(rng.integers(2**63)),
    )


def photograph(scene: Scene, camera: Camera, rows: slice = EVERYTHING, columns: slice = EVERYTHING) -> Field:
    """Return the picture before sensor noise, 0..1.

    Args:
        scene: The scene.
        camera: The camera.
        rows: Rows to photograph; near the border of a window, up to `MARGIN` pixels inwards, the picture
            differs from that of the whole scene.
        columns: Columns to photograph.

    Returns:
        [S, S, 3], or the window of it.
    """
    where = (rows, columns)
    # One gain and one offset for exposure and contrast around middle grey.
    light = camera.illumination[where] * np.float32(camera.exposure * camera.contrast)
    picture = scene.albedo[where] * light[..., None] if scene.flat else _lit(scene, camera, light, where)
    if scene.grey:
        level = (picture[..., 0] + picture[..., 1] + picture[..., 2]) * np.float32(1 / 3)
        picture[...] = level[..., None]
    else:
        picture *= camera.balance
    picture += 0.5 * (1 - camera.contrast)
    for _ in range(camera.passes):
        picture = _softened(picture, camera.softness)
    return np.clip(picture, 0, 1, out=picture)


def develop(picture: Field, camera: Camera, grey: bool = False) -> npt.NDArray[np.uint8]:
    """Add sensor noise and compression to a noise-free picture; uint8 [S, S, 3]."""
    rng = np.random.Generator(np.random.PCG64(camera.seed))
    size = picture.shape[0]
    channels = 3 if camera.coloured_noise and not grey else 1
    grain = rng.standard_normal((size, size, channels), dtype=np.float32)
    result: Field = picture + grain * np.float32(camera.noise)
    if camera.block_step > 0:
        result = _compressed(result, camera.block_step)
    result *= 255
    result += 0.5
    return np.clip(result, 0, 255, out=result).astype(np.uint8)


def _exposure(rng: np.random.Generator, scene: Scene) -> float:
    """Return a gain that neither burns out bright scenes nor leaves dark ones black, as automatics do."""
    brightness = float(scene.albedo[::4, ::4].mean()) + 0.02
    return min(max(by_ratio(rng, 0.68, 1.28), 0.2 / brightness), 0.72 / brightness, 2.2)


def _cast_shadow(rng: np.random.Generator, size: int) -> Field:
    """Return the light beside the soft edge of a shadow that something outside the picture casts."""
    _, across = noise.turned(whole(size), turn(rng))
    bent = across + noise.smooth(rng, size, 2) * between(rng, 0.0, 0.2)
    edge, soft = between(rng, -0.5, 0.7), by_ratio(rng, 0.08, 0.8)
    return 1 - smoothstep(edge, edge + soft, bent) * np.float32(between(rng, 0.08, 0.38))


def _lit(scene: Scene, camera: Camera, light: Field, where: tuple[slice, slice]) -> Field:
    """Return the colours of a window under the light: diffuse reflection and highlights of the relief."""
    slope = 0.5 / scene.canvas.pixel
    height = scene.height[where]
    across, down = np.empty_like(height), np.empty_like(height)
    across[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * slope
    across[:, 0], across[:, -1] = across[:, 1], across[:, -2]
    down[1:-1] = (height[2:] - height[:-2]) * slope
    down[0], down[-1] = down[1], down[-2]
    upright = 1.0 / np.sqrt(1.0 + across * across + down * down)
    x, y, z = camera.light
    diffuse = np.maximum((z - across * x - down * y) * upright, 0)
    shade = camera.ambient + (1 - camera.ambient) / z * diffuse
    shade *= light
    picture: Field = scene.albedo[where] * shade[..., None]
    # Half-way vector between the viewer (straight above) and a light at a finite distance.
    scale = 1.0 / math.sqrt(x * x + y * y + (z + 1) ** 2)
    hx = x * scale - scene.canvas.x[where] * (camera.nearness * 0.6)
    hy = y * scale - scene.canvas.y[where] * (camera.nearness * 0.6)
    hz = (z + 1) * scale
    mirror = (hz - across * hx - down * hy) * upright / np.sqrt(hx * hx + hy * hy + hz * hz)
    np.maximum(mirror, 0, out=mirror)
    for _ in range(camera.sharpness):
        mirror *= mirror
    mirror *= scene.gloss[where] * light * camera.highlight
    picture += mirror[..., None]
    return picture


def _softened(picture: Field, weight: float) -> Field:
    """Return the picture after one pass of a small lens blur, edges repeated."""
    result = picture * (1 - 2 * weight)
    side = picture * weight
    result[1:] += side[:-1]
    result[:-1] += side[1:]
    result[0] += side[0]
    result[-1] += side[-1]
    side = result * weight
    result *= 1 - 2 * weight
    result[:, 1:] += side[:, :-1]
    result[:, :-1] += side[:, 1:]
    result[:, 0] += side[:, 0]
    result[:, -1] += side[:, -1]
    return result


def _cosines() -> Field:
    rows, columns = np.arange(8)[:, None], np.arange(8)[None, :]
    basis: Field = np.cos((2 * columns + 1) * rows * (math.pi / 16)) * 0.5
    basis[0] *= math.sqrt(0.5)
    return basis.astype(np.float32)


_BASIS = _cosines()
_COARSENESS = (1 + np.add.outer(np.arange(8), np.arange(8)) * 0.7).astype(np.float32)


def _compressed(picture: Field, step: float) -> Field:
    """Quantise the brightness of blocks of 8 x 8 in the cosine domain, as JPEG does."""
    size = picture.shape[0]
    padding = -size % 8
    brightness = (picture[..., 0] + picture[..., 1] + picture[..., 2]) * np.float32(1 / 3)
    padded = np.pad(brightness, ((0, padding), (0, padding)), mode="edge")
    count = padded.shape[0] // 8
    blocks = padded.reshape(count, 8, count, 8).transpose(0, 2, 1, 3)
    waves = _BASIS @ blocks @ _BASIS.T
    steps = _COARSENESS * np.float32(step)
    quantised = np.round(waves / steps) * steps
    restored = (_BASIS.T @ quantised @ _BASIS).transpose(0, 2, 1, 3).reshape(padded.shape)
    change = restored[:size, :size] - brightness
    compressed: Field = picture + change[..., None]
    return compressed
