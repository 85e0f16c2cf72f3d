"""The principal subspace of the references' patches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext, Memory
from zsad.values import Features
from zsad_plugins.subspace_ad.moments import Moments
from zsad_plugins.subspace_ad.options import SubspaceMemoryOptions

Picture = npt.NDArray[np.uint8]


class SubspaceMemory:
    """mu and C [D, r]: mean and the first r principal axes of x = mean over the taps of F_l."""

    def __init__(self, options: SubspaceMemoryOptions, context: BuildContext) -> None:
        if len(set(context.tap_widths)) > 1:
            raise InputError(
                "tokens are averaged over the taps, and those of this tower differ in their channels; "
                "take taps of one width by --set readout.taps=[N]"
            )
        self.explained, self.count = options.explained, options.views
        self.largest, self.seed = options.largest_angle, context.seed

    def views(self, image: Picture) -> Sequence[Picture]:
        """Return an image [H, W, 3] and copies turned by random angles, which its pixels and the seed decide.

        Copies have its size, black corners, and every pixel that of the nearest one.
        """
        digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
        generator = np.random.default_rng([self.seed, int.from_bytes(digest[:8], "little")])
        picture, angles = Image.fromarray(image), generator.uniform(0, self.largest, self.count - 1)
        return [image, *(np.asarray(picture.rotate(float(angle))) for angle in angles)]

    def remember(self, features: Features, masks: Tensor | None) -> Moments:
        """Return the moments of the patches of a batch of normal references."""
        return Moments.of(mean_tokens(features).flatten(0, 1))

    def fit(self, kept: Sequence[Moments]) -> Memory:
        """Return ``mean`` [D] and ``axes`` [D, r] of all references, float32.

        Raises:
            InputError: All their patches are alike.
        """
        moments = reduce(add, kept)
        axes = principal_axes(moments.scatter / (moments.count - 1), self.explained)
        return {"mean": moments.mean.float(), "axes": axes.float()}


def mean_tokens(features: Features) -> Tensor:
    """Return the mean over the token sets: [B, h * w, D].

    Raises:
        InputError: They have several grids.
    """
    assert features.grid  # refuses several
    return torch.stack([entry.tokens for entry in features.patch_sets]).mean(0)


def principal_axes(covariance: Tensor, explained: float) -> Tensor:
    """Return the fewest eigenvectors [D, r] of [D, D] whose eigenvalues make up a share of their sum.

    Raises:
        InputError: There is no variance.
    """
    ascending: tuple[Tensor, Tensor] = torch.linalg.eigh(covariance)
    values, vectors = ascending[0].flip(0).clamp_min(0), ascending[1].flip(1)
    total = values.sum()
    if not total > 0:
        raise InputError(
            "all patches of the reference images are alike, so that they span nothing; "
            "give images that show something"
        )
    rank = int((values.cumsum(0) / total < explained).sum()) + 1
    chosen: Tensor = vectors[:, : min(rank, len(values))]
    return chosen
