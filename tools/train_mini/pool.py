"""A pool of procedural images as frozen stem features: generated once, in several processes, on disk."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.backbones.clip import state_digest
from zsad.data.preprocess import to_tensor
from zsad.data.resize import resize
from zsad_plugins.drawn.procedural import (
    TRAINING_DEFECTS,
    TRAINING_FAMILIES,
    ProceduralImage,
    generate,
    generate_combined,
    plausible_defects,
)
from zsad_plugins.drawn.procedural.source import drawing_hash
from zsad_plugins.mini.stem import CHANNELS, MEAN, STD, STRIDE, ConvolutionalStem

Array = npt.NDArray[Any]

DRAWN_SIZE = 288
"""Side of the generated images in pixels; training sees random crops of them."""
SMALLEST_CROP = 0.72
"""Smallest side of a crop, as a share of the drawn image."""
BLOCK = 64
"""Images per task of a worker."""
STEM_BATCH = 8
SLOTS = 2
"""Most defects of one image."""
COMBINED_CHANCE = 0.3
"""Share of images with two defects of different types: their words have to tell them apart."""


@dataclass(frozen=True)
class Record:
    """What is known of one image of a pool, apart from its features and its masks.

    Attributes:
        caption: The generator's caption.
        class_name: The noun in it.
        family: Family of the image.
        material: Material.
        defects: Types of the defects to be seen, in the order of the masks; none for a normal image.
    """

    caption: str
    class_name: str
    family: str
    material: str
    defects: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """Images as the tower's patch embedding gets them.

    Attributes:
        features: [n, CHANNELS, g, g] float16 stem features, memory-mapped.
        cover: [n, SLOTS, g, g] float16, share of each patch that each defect covers.
        records: What is known of each image.
    """

    features: Array
    cover: Array
    records: tuple[Record, ...]

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True)
class PoolPlan:
    """How a pool is drawn.

    Attributes:
        count: Images.
        seed: Seed of generator and crops.
        size: Side of the tower's images in pixels.
        families: Names, or None for the training families.
        defects: Names, or None for the training defects.
    """

    count: int
    seed: int
    size: int
    families: tuple[str, ...] | None = None
    defects: tuple[str, ...] | None = None


def make_pool(folder: Path, plan: PoolPlan, stem: ConvolutionalStem, workers: int) -> Pool:
    """Generate a pool; a finished one in ``folder`` with the same plan is used again.

    Args:
        folder: Where the pool lies.
        plan: What to draw.
        stem: The frozen stem.
        workers: Processes, each on one core.
    """
    wanted = _as_json(plan, stem)
    if not (folder / "plan.json").is_file() or json.loads((folder / "plan.json").read_text()) != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever is interrupted while drawing must not leave an old plan beside new files.
        (folder / "plan.json").unlink(missing_ok=True)
        _draw(folder, plan, stem, workers)
        (folder / "plan.json").write_text(json.dumps(wanted))
    grid = plan.size // STRIDE
    features = np.memmap(folder / "features.bin", np.float16, "r", shape=(plan.count, CHANNELS, grid, grid))
    cover = np.memmap(folder / "cover.bin", np.float16, "r", shape=(plan.count, SLOTS, grid, grid))
    records = tuple(
        Record(**{**entry, "defects": tuple(entry["defects"])})
        for entry in json.loads((folder / "records.json").read_text())
    )
    return Pool(features, cover, records)


def _as_json(plan: PoolPlan, stem: ConvolutionalStem) -> Any:
    """Return everything that decides on a pool's files."""
    decisive = {**asdict(plan), "drawing": drawing_hash(), "stem": state_digest(stem.state_dict())}
    return json.loads(json.dumps(decisive))


def _draw(folder: Path, plan: PoolPlan, stem: ConvolutionalStem, workers: int) -> None:
    grid = plan.size // STRIDE
    np.memmap(folder / "features.bin", np.float16, "w+", shape=(plan.count, CHANNELS, grid, grid)).flush()
    np.memmap(folder / "cover.bin", np.float16, "w+", shape=(plan.count, SLOTS, grid, grid)).flush()
    starts = range(0, plan.count, BLOCK)
    state = {name: value.numpy() for name, value in stem.float().cpu().state_dict().items()}
    records: list[dict[str, Any]] = []
    with ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(folder, plan, state),
    ) as executor:
        for done, block in enumerate(executor.map(_draw_block, starts), start=1):
            records += block
            if done % 16 == 0:
                print(f"drawn {len(records)} of {plan.count}", flush=True)
    (folder / "records.json").write_text(json.dumps(records))


_worker: dict[str, Any] = {}


def _start_worker(folder: Path, plan: PoolPlan, state: dict[str, Array]) -> None:
    torch.set_num_threads(1)
    stem = ConvolutionalStem()
    stem.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    _worker.update(folder=folder, plan=plan, stem=stem.eval().requires_grad_(False))


def _draw_block(start: int) -> list[dict[str, Any]]:
    """Draw one block into the pool's files; return its records."""
    folder, plan, stem = _worker["folder"], _worker["plan"], _worker["stem"]
    grid = plan.size // STRIDE
    stop = min(start + BLOCK, plan.count)
    images, covers, records = [], [], []
    for index in range(start, stop):
        rng = np.random.default_rng((plan.seed, index, 1))
        drawn, masks = _draw_image(rng, plan, index)
        image, kept = cropped(rng, drawn.image, list(masks.values()))
        images.append(to_tensor(image, plan.size, MEAN, STD))
        # A crop may lose a defect; then the words must not name it.
        seen = [(name, mask) for name, mask in zip(masks, kept, strict=True) if mask.any()]
        caption = drawn.caption if len(seen) == len(masks) else ""
        names = tuple(name for name, _ in seen)
        records.append(asdict(Record(caption, drawn.class_name, drawn.family, drawn.material, names)))
        cover = torch.zeros(SLOTS, grid, grid)
        for slot, (_, mask) in enumerate(seen):
            cover[slot] = patch_cover(mask, grid)
        covers.append(cover)
    with torch.inference_mode():
        batches = torch.split(torch.stack(images), STEM_BATCH)
        features = torch.cat([stem(batch) for batch in batches])
    _write(folder / "features.bin", features.half().numpy(), (plan.count, CHANNELS, grid, grid), start)
    _write(folder / "cover.bin", torch.stack(covers).half().numpy(), (plan.count, SLOTS, grid, grid), start)
    return records


def _draw_image(
    rng: np.random.Generator, plan: PoolPlan, index: int
) -> tuple[ProceduralImage, dict[str, Array]]:
    """Return an image and its mask by defect type."""
    families = plan.families or TRAINING_FAMILIES
    defects = plan.defects or TRAINING_DEFECTS
    if rng.random() < COMBINED_CHANCE:
        family = str(rng.choice(families))
        possible = [name for name in plausible_defects(family) if name in defects]
        if len(possible) >= SLOTS:
            chosen = [str(name) for name in rng.choice(possible, SLOTS, replace=False)]
            drawn, masks = generate_combined(plan.seed, index, defects=chosen, family=family, size=DRAWN_SIZE)
            return drawn, dict(masks)
    drawn = generate(plan.seed, index, size=DRAWN_SIZE, families=families, defects=defects)
    return drawn, {drawn.defect: drawn.mask} if drawn.defect else {}


def _write(path: Path, values: Array, shape: tuple[int, ...], start: int) -> None:
    mapped = np.memmap(path, np.float16, "r+", shape=shape)
    mapped[start : start + len(values)] = values
    mapped.flush()


def cropped(rng: np.random.Generator, image: Array, masks: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Return a random square crop of an image and its masks; half of the images stay whole."""
    size = image.shape[0]
    side = size if rng.random() < 0.5 else int(size * rng.uniform(SMALLEST_CROP, 1))
    top, left = (int(value) for value in rng.integers(0, size - side + 1, 2))
    window = slice(top, top + side), slice(left, left + side)
    return np.ascontiguousarray(image[window]), [mask[window] for mask in masks]


def patch_cover(mask: Array, grid: int) -> Tensor:
    """Return the share of each patch that a mask [S, S] covers: [grid, grid]."""
    side = grid * STRIDE
    resized = resize(mask.astype(np.uint8) * np.uint8(255), side, side, "box")
    values = torch.from_numpy(resized).float() / 255
    return F.avg_pool2d(values[None, None], STRIDE)[0, 0]
