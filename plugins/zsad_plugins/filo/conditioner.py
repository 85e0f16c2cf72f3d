"""Context shifted by the image, and the prompts of the position that the boxes give (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.prompts import Prompts
from zsad.values import ABNORMAL, NORMAL, Features
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.filo.options import ConditionerOptions
from zsad_plugins.filo.places import CELLS, cell, centre


class ShiftNet(nn.Module):
    """W2 ReLU(W1 a + b1) + b2, from an image feature to a shift of the context (CoCoOp's meta net)."""

    def __init__(self, joint: int, hidden: int, text_width: int) -> None:
        super().__init__()
        self.linear1 = PreciseLinear(joint, hidden)
        self.linear2 = PreciseLinear(hidden, text_width)

    def forward(self, feature: Tensor) -> Tensor:
        """Return [B, D] for normalised features [B, C]."""
        shift: Tensor = self.linear2(F.relu(self.linear1(feature)))
        return shift


class ShiftedContext(nn.Module):
    """Adds an image's shift to every context token, and keeps the abnormal prompts of its position.

    Attributes:
        normal: The net of the normal prompts.
        abnormal: The net of the abnormal ones.
    """

    def __init__(self, options: ConditionerOptions, context: BuildContext) -> None:
        super().__init__()
        self.options = options
        joint, hidden = context.embed_dim, max(1, context.embed_dim // options.reduction)
        self.normal = ShiftNet(joint, hidden, context.text.width)
        self.abnormal = ShiftNet(joint, hidden, context.text.width)

    def shifts(self, features: Features) -> Tensor:
        """Return the shifts of normal and abnormal contexts, [B, 2, D]."""
        image = features.image_feature.detach() if self.options.detach else features.image_feature
        feature = F.normalize(image, dim=-1)
        return torch.stack([self.normal(feature), self.abnormal(feature)], dim=1)

    def shifted(self, prompts: Prompts, features: Features) -> Prompts:
        """Return prompts [B, n, L, D] with their context shifted."""
        embeddings = prompts.embeddings.clone()
        shift = self.shifts(features)[:, prompts.state].to(embeddings.dtype)
        embeddings[:, :, prompts.slots["context"]] += shift[:, :, None]
        return replace(prompts, embeddings=embeddings)

    def places(self, features: Features) -> list[int | None]:
        """Return the cell of each image's best box, counted row by row, or None for all nine."""
        found: list[int | None] = []
        for table in features.auxiliary["filo.boxes"].cpu():
            point = centre(table, self.options.scores)
            if point is None and self.options.without_box == "all":
                found.append(None)
                continue
            height, width = features.whole_size
            found.append(cell(point or (width / 2, height / 2), (height, width), self.options.cells))
        return found

    def forward(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return shifted prompts; only those of the images' own positions, where each has one."""
        return self.shifted(chosen(prompts, self.places(features)), features), {}


def chosen(prompts: Prompts, places: list[int | None]) -> Prompts:
    """Leave out the abnormal prompts of other positions.

    Where every image has a position they are not even encoded; otherwise weights leave them out.

    Args:
        prompts: [B, n, L, D]; abnormal ones go through the nine positions state by state.
        places: Position of each image, or None.
    """
    if all(place is None for place in places):
        return prompts
    device = prompts.state.device
    abnormal = (prompts.state == ABNORMAL).nonzero().flatten().view(-1, CELLS)
    if None in places:
        weights = torch.ones(len(places), len(prompts.state), device=device)
        for row, place in enumerate(places):
            if place is not None:
                weights[row, abnormal.flatten()] = 0
                weights[row, abnormal[:, place]] = 1
        return replace(prompts, weights=weights)
    normal = (prompts.state == NORMAL).nonzero().flatten().expand(len(places), -1)
    own = abnormal.T[torch.tensor(places, device=device)]
    rows = torch.cat([normal, own], dim=1)
    images = torch.arange(len(places), device=device)[:, None]
    return replace(
        prompts,
        embeddings=prompts.embeddings[images, rows],
        end=prompts.end.expand(len(places), -1)[images, rows],
        state=prompts.state[rows[0]],
    )
