"""Nearest neighbours by cosine, in chunks of a stated size, and a choice of few keys that lie near all."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError

ROOM = 256 * 2**20
"""Bytes that the similarities of one chunk may take."""


def nearest_distance(queries: Tensor, keys: Tensor, neighbours: int = 1, room: int = ROOM) -> Tensor:
    """Return 1 - cosine to the nearest keys, for every query.

    Args:
        queries: [..., D], of any length but zero.
        keys: [n, D], unit vectors.
        neighbours: How many keys the distance is a mean over.
        room: Bytes that similarities may take at once; they are computed in as many chunks as that needs.

    Returns:
        [...], with one neighbour 0 for a query that points where a key does, 2 for one that points away from
        all.

    Raises:
        InputError: There are fewer keys than neighbours.
    """
    if neighbours > len(keys):
        raise InputError(
            f"the distance is to be a mean over {neighbours} neighbours, and {len(keys)} patches are "
            "remembered; take fewer neighbours, or more references"
        )
    rows = F.normalize(queries.flatten(0, -2), dim=-1)
    values = max(1, room // rows.element_size())
    width = min(len(keys), values)
    height = max(1, values // width)
    best = rows.new_full((len(rows), neighbours), -torch.inf)
    for low in range(0, len(rows), height):
        part = best[low : low + height]
        for first in range(0, len(keys), width):
            similarity = rows[low : low + height] @ keys[first : first + width].to(rows).mT
            part.copy_(_highest(torch.cat([part, _highest(similarity, neighbours)], 1), neighbours))
    return (1 - best).clamp_min(0).mean(1).reshape(queries.shape[:-1])


def _highest(rows: Tensor, count: int) -> Tensor:
    """Return the ``count`` highest values of each row, or all where there are fewer."""
    if count == 1:  # far faster than topk
        return rows.amax(1, keepdim=True)
    return rows.topk(min(count, rows.shape[1]), dim=1).values


def coreset(keys: Tensor, count: int, seed: int) -> Tensor:
    """Return the places [count] of keys that are chosen greedily: each is the one farthest from those before.

    The greedy answer to the k-centre problem, as PatchCore takes it (Roth et al., CVPR 2022), by cosine.

    Args:
        keys: [n, D], unit vectors.
        count: How many, from 1 to n.
        seed: Decides the first one.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(len(keys), (1,), generator=generator))]
    distance = 1 - keys @ keys[chosen[0]]
    while len(chosen) < count:
        distance[chosen[-1]] = -torch.inf  # rounding must not have a key chosen twice
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, 1 - keys @ keys[chosen[-1]])
    return torch.tensor(chosen, device=keys.device)
