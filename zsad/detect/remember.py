"""From reference images to memories: they take the pass that every image takes, which methods share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from zsad.backbones.precision import full_float32
from zsad.data.contents import contents
from zsad.data.images import read_image
from zsad.data.masks import read_mask, resize_mask
from zsad.data.nouns import noun_of
from zsad.data.preprocess import size_of
from zsad.detect.memories import ReferenceFacts, Remembered
from zsad.detect.passes import Reader, encode_together, group_by_pass
from zsad.detect.references import ReferenceFile, ReferenceFiles, check_kinds
from zsad.detect.tiles import Tiling
from zsad.errors import InputError, ZsadError
from zsad.parts import Memory, ReferenceStore, ReferenceViews
from zsad.plugin.imports import cause
from zsad.recipe.resolved import ResolvedRecipe
from zsad.values import Features, Sample

Mask = npt.NDArray[np.bool_]

M = TypeVar("M", Mask, None)


@dataclass(frozen=True)
class Reference:
    """A reference image on its way into a memory.

    Attributes:
        sample: The image.
        facts: What is known of it.
        mask: [H, W] bool at the image's size for an abnormal reference, None for a normal one.
    """

    sample: Sample
    facts: ReferenceFacts
    mask: Mask | None = None


class Rememberer(Reader, Protocol):
    """Whatever remembers references: a detector."""

    recipe: ResolvedRecipe
    store: ReferenceStore[Any] | None
    memories: dict[str, Remembered]

    def adapt(self, features: Features) -> Features:
        """Return features behind the feature adapter."""


def references_of(samples: Sequence[Sample], masks: Sequence[Mask] | None = None) -> list[Reference]:
    """Return samples as references.

    Args:
        samples: The images.
        masks: [H, W] bool each, for abnormal references; None for normal ones.

    Raises:
        InputError: A mask does not fit its image or marks nothing, or their numbers differ.
    """
    held = contents([sample.path for sample in samples if sample.path is not None])
    if masks is not None and len(masks) != len(samples):
        raise InputError(f"{len(samples)} abnormal references were given with {len(masks)} masks")
    found = []
    for number, sample in enumerate(samples, 1):
        name = f"image {number}" if sample.path is None else str(sample.path)
        content = _digest(sample.image) if sample.path is None else held[sample.path].partition(":")[2]
        mask = None if masks is None else np.asarray(masks[number - 1])
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != sample.image.shape[:2]):
            raise InputError(
                f"the mask of {name} has to be bool {list(sample.image.shape[:2])}, not {mask.dtype} "
                f"{list(mask.shape)}"
            )
        if mask is not None and not mask.any():
            raise InputError(f"the mask of {name} marks nothing; an abnormal reference shows an anomaly")
        marked = None if mask is None else _digest(mask)
        found.append(Reference(sample, ReferenceFacts(name=name, content=content, mask=marked), mask))
    return found


def read_references(files: Sequence[ReferenceFile], noun: str) -> list[Reference]:
    """Return the references that files hold.

    Args:
        files: The files.
        noun: What prompts call the object.

    Raises:
        InputError: An image or a mask cannot be read, or a mask does not fit or marks nothing.
    """
    found = []
    for file in files:
        sample = Sample(read_image(file.image), noun, file.image)
        mask = None if file.mask is None else read_mask(file.mask, sample.image.shape[:2], file.image)
        if mask is not None and not mask.any():
            raise InputError(f"mask '{file.mask}' marks nothing; an abnormal reference shows an anomaly")
        found.append(Reference(sample, file.facts, mask))
    return found


def tiled(references: Sequence[Reference], tiling: Tiling) -> list[Reference]:
    """Return the tiles of references, each a reference of its own.

    Tiles of an abnormal one that show nothing of its anomaly are left out: nobody said that they are normal.
    """
    found = []
    for one in references:
        for left, top, right, bottom in tiling.boxes(*one.sample.image.shape[:2]):
            image = np.ascontiguousarray(one.sample.image[top:bottom, left:right])
            mask = None if one.mask is None else one.mask[top:bottom, left:right]
            if mask is None or mask.any():
                found.append(Reference(replace(one.sample, image=image, tensors={}), one.facts, mask))
    return found


def remember_files(
    detector: Rememberer,
    files: ReferenceFiles,
    class_name: str,
    batch_size: int,
    tiling: Tiling | None = None,
) -> Remembered:
    """Remember the references of a class that lie in files.

    Args:
        detector: Keeps them in its ``memories``.
        files: The files.
        class_name: The class, or ``EVERY_CLASS``.
        batch_size: Images per pass.
        tiling: How images are cut, or None; then references are cut alike.

    Raises:
        InputError: There are no references of that class, one cannot be read, or the method lacks some.
    """
    name = files.named(class_name)
    references = read_references(files.classes[name], noun_of(name or "object"))
    if tiling is not None:
        references = tiled(references, tiling)
    (found,) = remember([detector], references, batch_size)
    detector.memories[name] = found
    return found


def remember(
    detectors: Sequence[Rememberer], references: Sequence[Reference], batch_size: int
) -> list[Remembered]:
    """Return what methods remember of the references of one class, in the methods' order.

    Methods that agree in their encode key share the passes, unless their stores look at views of their own.
    The result depends neither on the order of the references nor on the size of the batches.

    Args:
        detectors: Methods with a reference store.
        references: The images, normal and abnormal ones in any order.
        batch_size: Images per pass.

    Raises:
        InputError: A method has no reference store, or there is nothing that it could remember.
        ZsadError: A store fails, or gives something that is no memory.
    """
    for detector in detectors:
        check_references(detector, references)
    ordered = sorted(references, key=_place)
    facts = tuple(dict.fromkeys(one.facts for one in ordered))  # of tiles, those of the image once
    found: dict[int, Memory] = {}
    for sharing in group_by_pass(detectors):
        looking = [each for each in sharing if isinstance(each.store, ReferenceViews)]
        rest = [each for each in sharing if each not in looking]
        for group in ([rest] if rest else []) + [[each] for each in looking]:
            found |= _memories(group, ordered, batch_size)
    return [Remembered(found[id(detector)], facts) for detector in detectors]


def check_references(detector: Rememberer, references: Sequence[Reference]) -> None:
    """Check that a method can remember references, and that it has the kinds that it needs.

    Raises:
        InputError: It has no reference store, takes no abnormal references, or lacks some.
    """
    method, part = detector.recipe.method, detector.recipe.reference_store
    if part is None:
        raise InputError(f"method '{method}' takes no reference images; leave --reference out")
    abnormal = [one for one in references if one.mask is not None]
    if len(abnormal) == len(references):
        raise InputError(f"method '{method}' needs normal reference images, and there are none")
    check_kinds(method, part, abnormal=bool(abnormal))


@torch.no_grad()
@full_float32()
def _memories(
    detectors: Sequence[Rememberer], ordered: Sequence[Reference], batch_size: int
) -> dict[int, Memory]:
    """Return the memories of methods that share their passes and look at the same views, by ``id``."""
    kept: dict[int, list[Any]] = {id(detector): [] for detector in detectors}
    for samples, masks in _batches(detectors[0], ordered, batch_size):
        for detector, features in zip(detectors, encode_together(detectors, samples), strict=True):
            scaled = None if masks is None else _scaled(masks, features)
            kept[id(detector)].append(_store(detector).remember(detector.adapt(features), scaled))
    return {id(detector): _fitted(detector, kept[id(detector)]) for detector in detectors}


def _batches(
    detector: Rememberer, ordered: Sequence[Reference], batch_size: int
) -> Iterator[tuple[list[Sample], list[Mask] | None]]:
    """Yield batches of views of normal references, then those of abnormal ones with their masks."""
    views = (view for one in ordered if one.mask is None for view in _views(detector, one.sample))
    for batch in _chunks(((view, None) for view in views), batch_size, detector):
        yield [sample for sample, _ in batch], None
    pairs = ((one.sample, one.mask) for one in ordered if one.mask is not None)
    for marked in _chunks(pairs, batch_size, detector):
        yield [sample for sample, _ in marked], [mask for _, mask in marked]


def _chunks(
    entries: Iterable[tuple[Sample, M]], size: int, detector: Rememberer
) -> Iterator[list[tuple[Sample, M]]]:
    """Yield batches of images that are resized alike, in their order.

    Raises:
        InputError: There is no memory for an image of that size.
    """
    reading = detector.reading
    for resized, alike in groupby(entries, lambda entry: size_of(entry[0], reading.form)):
        reading.check_size(*resized)
        while chunk := list(islice(alike, size)):
            yield chunk


def _views(detector: Rememberer, sample: Sample) -> Iterator[Sample]:
    if not isinstance(detector.store, ReferenceViews):
        yield sample
        return
    for view in detector.store.views(sample.image):
        yield replace(sample, image=np.ascontiguousarray(view), tensors={})


def _scaled(masks: Sequence[Mask], features: Features) -> torch.Tensor:
    """Return masks over what the tower saw: [B, H, W] bool."""
    (whole, wide), (height, width) = features.whole_size, features.input_size
    resized = [torch.from_numpy(resize_mask(mask, whole, wide)[:height, :width]) for mask in masks]
    return torch.stack(resized).to(features.image_feature.device)


def _fitted(detector: Rememberer, kept: Sequence[Any]) -> Memory:
    part = detector.recipe.reference_store
    assert part is not None
    name = part.spec.name
    try:
        memory: Memory = dict(_store(detector).fit(kept))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # its author's code
        raise ZsadError(f"part '{name}' cannot remember these references: {cause(error)}") from error
    for key, tensor in memory.items():
        if not isinstance(tensor, torch.Tensor):
            raise ZsadError(f"part '{name}' remembers '{key}', which is no tensor")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ZsadError(f"part '{name}' remembers something that is no number in '{key}'")
    return memory


def _store(detector: Rememberer) -> ReferenceStore[Any]:
    assert detector.store is not None  # check_references has seen it
    return detector.store


def _place(one: Reference) -> tuple[bool, str, str]:
    return one.mask is not None, one.facts.content, one.facts.mask or ""


def _digest(array: npt.NDArray[Any]) -> str:
    head = f"{array.dtype} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
