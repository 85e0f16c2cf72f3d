"""The labelled memory: keys of images and of their normal and anomalous regions, which vote by similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet, TokenSet
from zsad_plugins.mrad.options import MemoryOptions

STARTING = 2
"""Keys of a memory that was never filled: a random one for each state."""


@dataclass(frozen=True)
class Keys:
    """Unit vectors and the states of what they stand for.

    Attributes:
        vectors: [n, D].
        anomalous: [n] bool.
    """

    vectors: Tensor
    anomalous: Tensor


class Memory(nn.Module):
    """P = softmax(q K^T) V, without a temperature: for every patch, and for the image.

    Attributes:
        image_keys: [n, C], unit image features.
        image_anomalous: [n] bool, V as a flag.
        patch_keys: [m, D], unit means over the cells of one state of one image.
        patch_anomalous: [m] bool.
    """

    def __init__(self, options: MemoryOptions, context: BuildContext) -> None:
        super().__init__()
        self.limit = options.limit
        joint = context.stage == "joint"
        self.widths = {
            "image": context.embed_dim,
            "patch": context.embed_dim if joint else context.vision_width,
        }
        for name, width in self.widths.items():
            self.register_buffer(f"{name}_keys", F.normalize(torch.randn(STARTING, width), dim=-1))
            self.register_buffer(f"{name}_anomalous", torch.tensor([False, True]))

    def keys(self, name: str) -> Keys:
        """Return the keys of ``image`` or ``patch``."""
        return Keys(self.get_buffer(f"{name}_keys"), self.get_buffer(f"{name}_anomalous"))

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of probabilities and the image's probability of the abnormal state."""
        entry = patches_of(features)
        patches = self.vote("patch", F.normalize(entry.tokens, dim=-1))
        image = self.vote("image", F.normalize(features.image_feature, dim=-1))
        sets = (ScoreSet(entry.name, entry.grid.to_maps(patches), "probabilities"),)
        return Scores(sets).with_image_score(image[:, 1], "mrad: image memory")

    def vote(self, name: str, queries: Tensor) -> Tensor:
        """Return the probabilities [..., 2] of unit queries [..., D]."""
        keys = self.keys(name)
        weights = torch.softmax(self.similarities(name, queries, keys.vectors.to(queries)), dim=-1)
        return weights @ torch.stack([~keys.anomalous, keys.anomalous], dim=-1).to(weights)

    def similarities(self, name: str, queries: Tensor, keys: Tensor) -> Tensor:
        """Return [..., n] for unit queries [..., D] and keys [n, D]."""
        return queries @ keys.mT

    def remember(self, features: Features, masks: Tensor, anomalous: Tensor) -> tuple[Keys, Keys]:
        """Return the keys of a batch's images, and of their regions: the anomalous one first.

        A cell counts where the mask, sampled in its middle, is all of one state; others are left out.
        """
        entry = patches_of(features)
        size = (entry.grid.height, entry.grid.width)
        cells = F.interpolate(masks[:, None].float(), size, mode="bilinear", align_corners=False)
        vectors, states = [], []
        for tokens, cell in zip(entry.tokens, cells.flatten(1), strict=True):
            for state in (True, False):
                chosen = cell == float(state)
                if chosen.any():
                    vectors.append(F.normalize(tokens[chosen].mean(0), dim=-1))
                    states.append(state)
        regions = torch.stack(vectors) if vectors else entry.tokens.new_empty(0, self.widths["patch"])
        images = F.normalize(features.image_feature, dim=-1)
        flags = torch.tensor(states, dtype=torch.bool, device=regions.device)
        return Keys(images, anomalous.bool()), Keys(regions, flags)

    def fill(self, kept: Sequence[tuple[Keys, Keys]]) -> None:
        """Replace the memory.

        Raises:
            InputError: One of the states has no key.
        """
        for place, name in enumerate(("image", "patch")):
            vectors = torch.cat([pair[place].vectors for pair in kept])
            anomalous = torch.cat([pair[place].anomalous for pair in kept])
            for state, word in ((False, "normal"), (True, "anomalous")):
                if not (anomalous == state).any():
                    raise InputError(
                        f"--data: there is no {word} {'image' if name == 'image' else 'region of an image'} "
                        "to remember; a memory needs both states"
                    )
            chosen = spaced(anomalous, self.limit)
            self.make_room({f"{name}_{what}": len(chosen) for what in ("keys", "anomalous")})
            self.get_buffer(f"{name}_keys").copy_(vectors[chosen])
            self.get_buffer(f"{name}_anomalous").copy_(anomalous[chosen])

    def make_room(self, lengths: Mapping[str, int]) -> None:
        """Give the buffers of these names other lengths; their values follow."""
        for name, length in lengths.items():
            former = self.get_buffer(name)
            if len(former) != length:
                setattr(self, name, former.new_zeros(length, *former.shape[1:]))


def patches_of(features: Features) -> TokenSet:
    """Return the one token set of patches.

    Raises:
        InputError: There are several.
    """
    found = features.patch_sets
    if len(found) != 1:
        raise InputError(
            f"MRAD's memory holds the patches of one tap, and {len(found)} token sets are read; set "
            "readout.taps to one"
        )
    return found[0]


def spaced(anomalous: Tensor, limit: int | None) -> Tensor:
    """Return the places [k] of the keys that are kept, in order: all, or ``limit`` that are evenly spaced.

    Args:
        anomalous: [n] bool.
        limit: Of both states together; each keeps its share, and one key at least.
    """
    count = len(anomalous)
    if limit is None or count <= limit:
        return torch.arange(count, device=anomalous.device)
    found = []
    for own in (anomalous.logical_not().nonzero()[:, 0], anomalous.nonzero()[:, 0]):
        share = min(max(1, round(limit * len(own) / count)), limit - 1)
        steps = torch.linspace(0, len(own) - 1, share, dtype=torch.float64, device=own.device)
        found.append(own[steps.round().long()])
    return torch.cat(found).sort().values
