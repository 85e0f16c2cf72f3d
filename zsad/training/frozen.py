"""What the frozen towers say of a training set: computed once, used in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zsad.data.dataset import Dataset
from zsad.data.masks import resize_mask
from zsad.detector import Detector
from zsad.encoding import encode_together
from zsad.errors import InputError
from zsad.evaluation.reading import Unreadable, read_batches
from zsad.values import Features


@dataclass(frozen=True)
class FrozenSet:
    """Features, masks and labels of a training set.

    Attributes:
        features: Of all images.
        masks: [n, S, S] bool at the detector's image size.
        anomalous: [n] bool.
    """

    features: Features
    masks: Tensor
    anomalous: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, places: Sequence[int], device: torch.device) -> FrozenSet:
        """Return the images at ``places``, on a device; features in float32."""
        index = list(places)
        chosen = _moved(self.features.select(index), device, torch.float32)
        return FrozenSet(chosen, self.masks[index].to(device), self.anomalous[index].to(device))


@torch.no_grad()
def freeze(
    detector: Detector,
    datasets: Sequence[Dataset],
    *,
    batch_size: int = 8,
    workers: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FrozenSet:
    """Encode training sets.

    Args:
        detector: Whose features are kept; what it learns must not change them.
        datasets: Annotated sets; their test images are what auxiliary training learns from.
        batch_size: Images per pass.
        workers: Processes that decode images.
        report: Is called with images done and their total.

    Returns:
        The features in float16 on the CPU, half of what they take otherwise.

    Raises:
        InputError: An image cannot be read, no image is anomalous, or an anomalous image has no mask.
    """
    check_annotated(datasets)
    images = [image for dataset in datasets for image in dataset.images]
    kept: list[Features] = []
    masks: list[Tensor] = []
    for batch in read_batches(images, [detector.input_form], batch_size, workers):
        for entry in batch:
            if isinstance(entry, Unreadable):
                raise InputError(entry.error)
        loaded = [entry for entry in batch if not isinstance(entry, Unreadable)]
        (features,) = encode_together([detector], [entry.sample for entry in loaded])
        kept.append(_moved(features, torch.device("cpu"), torch.float16))
        for entry in loaded:
            assert entry.mask is not None  # checked above
            masks.append(torch.from_numpy(resize_mask(entry.mask, detector.recipe.image_size).copy()))
        report(len(masks), len(images))
    anomalous = torch.from_numpy(np.array([image.anomalous for image in images]))
    return FrozenSet(_joined(kept), torch.stack(masks), anomalous)


def check_annotated(datasets: Sequence[Dataset]) -> None:
    """Check that there is something to learn from, before anything is read.

    Raises:
        InputError: No image is anomalous, or an anomalous image has no mask.
    """
    if not any(image.anomalous for dataset in datasets for image in dataset.images):
        names = ", ".join(dataset.name for dataset in datasets)
        raise InputError(f"--data: no image of {names} is anomalous; there is nothing to learn from")
    for dataset in datasets:
        if dataset.maskless:
            raise InputError(
                f"--data: dataset '{dataset.name}' gives no mask for the anomalous image "
                f"'{dataset.maskless[0].image}'; training needs one for each"
            )


def _moved(features: Features, device: torch.device, dtype: torch.dtype) -> Features:
    """Return features on a device, floating ones in a precision; integers and flags keep theirs."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)

    return replace(
        features,
        token_sets=tuple(
            replace(
                entry,
                tokens=move(entry.tokens),
                class_token=None if entry.class_token is None else move(entry.class_token),
            )
            for entry in features.token_sets
        ),
        image_feature=move(features.image_feature),
        auxiliary={name: move(tensor) for name, tensor in features.auxiliary.items()},
        prepass=None if features.prepass is None else move(features.prepass),
    )


def _joined(batches: Sequence[Features]) -> Features:
    """Return the features of several batches as those of one."""
    first = batches[0]
    sets = zip(*(batch.token_sets for batch in batches), strict=True)
    return replace(
        first,
        token_sets=tuple(
            replace(
                same[0],
                tokens=torch.cat([entry.tokens for entry in same]),
                class_token=None
                if same[0].class_token is None
                else torch.cat([entry.class_token for entry in same if entry.class_token is not None]),
            )
            for same in sets
        ),
        image_feature=torch.cat([batch.image_feature for batch in batches]),
        class_names=tuple(name for batch in batches for name in batch.class_names),
        auxiliary={name: torch.cat([batch.auxiliary[name] for batch in batches]) for name in first.auxiliary},
        prepass=None
        if first.prepass is None
        else torch.cat([batch.prepass for batch in batches if batch.prepass is not None]),
    )
