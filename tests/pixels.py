"""Hashes of what pixels decide on, for comparing installations: run it as a script under each of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

import zsad
from zsad.data.images import read_image
from zsad.data.masks import resize_mask
from zsad.data.preprocess import to_tensor
from zsad.data.resize import Filter, resize
from zsad.plugin.host import get_host
from zsad.training.generators import load_generator
from zsad_plugins.drawn.folders import DrawnSet, drawn_folder

Array = npt.NDArray[Any]

SHAPES = ((517, 333), (333, 517), (400, 400))
"""Tall, wide and square."""
METHODS = ("clip-baseline", "winclip", "anomalyclip")


def photograph(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return shades under noise with a dark spot, [H, W, 3]."""
    rows, columns = np.mgrid[:height, :width]
    shades = 128 + 60 * np.sin(columns / 17 + rows / 31)[..., None] + 30 * np.cos(rows / 11)[..., None]
    shades = shades + np.random.default_rng([height, width]).normal(0, 12, (height, width, 3))
    shades[height // 3 : height // 2, width // 3 : width // 2] -= 70
    return np.clip(shades, 0, 255).astype(np.uint8)


def one_call() -> Iterator[tuple[str, Array]]:
    """Yield what Pillow's own resize makes of a tall image."""
    picture = Image.fromarray(photograph(*SHAPES[0]))
    yield "one call", np.asarray(picture.resize((240, 240), Image.Resampling.BICUBIC))


def resized() -> Iterator[tuple[str, Array]]:
    """Yield images, grey images, maps, masks and tensors at other sizes."""
    for shape in SHAPES:
        image = photograph(*shape)
        grey = image[..., 1]
        for how in get_args(Filter):
            for target in ((240, 240), (518, 518), (200, 600), (600, 200)):
                for kind, pixels in (("RGB", image), ("L", grey)):
                    yield f"{kind} {shape} to {target} by {how}", resize(pixels, *target, how)
                floats = resize(grey / np.float32(255), *target, how)
                yield f"F {shape} to {target} by {how}", floats
        for rule in ("bilinear>0.5", "nearest"):
            yield f"mask {shape} by {rule}", resize_mask(grey > 128, 240, 240, rule)
        yield f"tensor {shape}", to_tensor(image, 240, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).numpy()


def drawn() -> Iterator[tuple[str, Array]]:
    """Yield what every generator of images makes of photographs, and a set of drawn images."""
    host = get_host()
    for name, claim in host.generators.items():
        if claim.spec.level == "image":
            make = load_generator(host, name, {}).make
            for shape in SHAPES:
                for seed in range(3):
                    image, mask = make(photograph(*shape), np.random.default_rng(seed))
                    yield f"{name} {shape} {seed}", image
                    yield f"{name} {shape} {seed}, mask", mask
    folder = drawn_folder(DrawnSet("pixels", held_out=True, count=1, size=96, seed=7))
    for path in sorted(folder.rglob("*.png")):
        yield f"{folder.name}/{path.relative_to(folder)}", read_image(path)


def maps() -> Iterator[tuple[str, Array]]:
    """Yield maps of methods with their own weights on the default backbone."""
    for method in METHODS:
        detector = zsad.load(method)
        for shape in SHAPES:
            prediction = detector.predict([photograph(*shape)], class_name="metal nut")
            yield f"map of {method} {shape}", prediction.anomaly_map.numpy()


if __name__ == "__main__":
    found = {}
    for results in (one_call, resized, drawn, maps):
        for name, array in results():
            assert name not in found, name
            found[name] = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    print(json.dumps({"pillow": PIL.__version__, "hashes": found}))
