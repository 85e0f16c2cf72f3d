"""Residual mining and anomaly feature learning: proxies of anomalies, from references to an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.dictas.generators import PreciseNorm
from zsad_plugins.nagl.options import ProxyOptions
from zsad_plugins.nagl.references import only_set, places, sine
from zsad_plugins.standard.nearest import ROOM, nearest_distance


def residuals(tokens: Tensor, normal: Tensor, *, cosine: bool, room: int = ROOM) -> Tensor:
    """Return tokens minus the normal token that each is most similar to.

    Args:
        tokens: [..., D].
        normal: [n, D].
        cosine: Whether similarity is the cosine, or the product of the tokens as they are.
        room: Bytes that similarities may take at once.

    Returns:
        [..., D].
    """
    rows = tokens.flatten(0, -2)
    keys = F.normalize(normal, dim=-1) if cosine else normal  # the length of a query decides nothing
    height = max(1, room // (rows.element_size() * len(keys)))
    places = torch.cat([(part @ keys.mT).argmax(-1) for part in torch.split(rows, height)])
    return (rows - normal[places]).view_as(tokens)


class Attention(nn.Module):
    """Out(softmax(q k^T / sqrt(d)) v) with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (PreciseLinear(width, width) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return [B, P, D] for queries [B, P, D] and keys and values [B, n, D]."""
        projected = (self.q_proj(queries), self.k_proj(keys), self.v_proj(values))
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projected)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class ProxyAttention(nn.Module):
    """y = LN(p + cross attention of p); then LN(y + self attention of y)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross, self.own = Attention(width, heads), Attention(width, heads)
        self.cross_norm, self.own_norm = PreciseNorm(width), PreciseNorm(width)

    def forward(self, proxies: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return [B, P, D] for proxies [B, P, D] and keys and values [B, n, D]."""
        y = self.cross_norm(proxies + self.cross(proxies, keys, values))
        return self.own_norm(y + self.own(y, y, y))  # type: ignore[no-any-return]


class Proxies(nn.Module):
    """s_n = max over normal tokens of (1 + cos) / 2, s_a = mean over an image's proxies of (1 + cos) / 2.

    Learned proxies attend to the residuals of the abnormal references' tokens, which makes residual proxies,
    and those to the image's own tokens by its residuals.

    Attributes:
        proxies: [P, D], learned.
        mining: The attention to references.
        learning: The attention to the image.
    """

    def __init__(self, options: ProxyOptions, context: BuildContext) -> None:
        """Build the attentions.

        Raises:
            InputError: The heads, or the four quarters of the position embedding, do not divide the channels.
        """
        super().__init__()
        width, heads = context.tap_widths[0], options.heads
        if width % heads or width % 4:
            raise InputError(f"scorer.heads: {heads} and 4 have to divide the {width} channels of tokens")
        self.cosine = options.match == "cosine"
        self.proxies = nn.Parameter(torch.randn(options.proxies, width))
        self.mining, self.learning = ProxyAttention(width, heads), ProxyAttention(width, heads)

    def residual_proxies(self, abnormal: Tensor, where: Tensor, normal: Tensor) -> Tensor:
        """Return [P, D], what the references' anomalies are like beside what is normal.

        Args:
            abnormal: [m, D], tokens inside the masks.
            where: [m, 2], their places.
            normal: [n, D].
        """
        keys = abnormal + sine(where, abnormal.shape[-1])
        values = residuals(abnormal, normal, cosine=self.cosine)
        return self.mining(self.proxies.to(keys)[None], keys[None], values[None])[0]  # type: ignore[no-any-return]

    def anomaly_proxies(self, tokens: Tensor, where: Tensor, normal: Tensor, proxies: Tensor) -> Tensor:
        """Return [B, P, D], the same for images with tokens [B, N, D] at places [N, 2]."""
        keys = residuals(tokens, normal, cosine=self.cosine) + sine(where, tokens.shape[-1])
        return self.learning(proxies.expand(len(tokens), -1, -1), keys, tokens)  # type: ignore[no-any-return]

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return s_n and s_a, [B, 2, h, w], as the probabilities of the two states.

        Raises:
            InputError: It is asked while learning, where there are no references, or there are several taps.
        """
        if conditioning.memory is None:
            raise InputError(
                "nagl learns from images with a normal and an abnormal reference each, and zsad train has "
                "single images; run it with --untrained"
            )
        entry, memory = only_set(features), conditioning.memory
        tokens, normal = entry.tokens, memory["normal"].to(entry.tokens)
        like_normal = 1 - nearest_distance(tokens, F.normalize(normal, dim=-1)) / 2
        like_abnormal = 1 - like_normal
        if "abnormal" in memory:
            abnormal, where = memory["abnormal"].to(tokens), memory["places"].to(tokens)
            mined = self.residual_proxies(abnormal, where, normal)
            grid_places = places(entry.grid, tokens.device).to(tokens)
            proxies = self.anomaly_proxies(tokens, grid_places, normal, mined)
            like_abnormal = similarity(tokens, proxies).mean(-1)
        values = torch.stack([like_normal, like_abnormal], dim=-1)
        return Scores((ScoreSet(entry.name, entry.grid.to_maps(values), "probabilities"),))


def similarity(tokens: Tensor, proxies: Tensor) -> Tensor:
    """Return (1 + cos) / 2 of tokens [B, N, D] and proxies [B, P, D]: [B, N, P]."""
    return (1 + F.normalize(tokens, dim=-1) @ F.normalize(proxies, dim=-1).mT) / 2
