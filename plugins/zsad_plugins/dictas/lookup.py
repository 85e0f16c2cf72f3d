"""The look-up: every patch as a sparse mixture of what a few good parts show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext, Memory
from zsad.values import Conditioning, Features, Grid, Scores, ScoreSet, TokenSet
from zsad_plugins.dictas.generators import Generator, ValueGenerator
from zsad_plugins.dictas.options import LookupOptions, Rule
from zsad_plugins.dictas.sparsemax import sparsemax
from zsad_plugins.mrad.neighbours import box_means
from zsad_plugins.standard.scorers import image_probability

ROOM = 256 * 2**20
"""Bytes that the weights of one chunk of queries may take."""

TEXT_TEMPERATURE = 0.01
"""Divisor of the cosines of image and text: CLIP's own."""


class Dictionary:
    """Remembers the tokens of the references as they are, [n, D] per token set, and their grids, [k, 2]."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def remember(self, features: Features, masks: Tensor | None) -> Memory:
        """Return the tokens of a batch and the height and width of their grids, by token set."""
        sets = features.patch_sets
        grids = {grid_of(entry.name): [[entry.grid.height, entry.grid.width]] for entry in sets}
        return {entry.name: entry.tokens.flatten(0, 1) for entry in sets} | {
            name: torch.tensor(size * len(features)) for name, size in grids.items()
        }

    def fit(self, kept: Sequence[Memory]) -> Memory:
        """Return the tokens of all references."""
        return {name: torch.cat([batch[name] for batch in kept]) for name in kept[0]}


def grid_of(name: str) -> str:
    """Return the name under which the grids of a token set are remembered."""
    return f"{name}.grid"


def neighbourhoods(memory: Memory, name: str, side: int) -> Tensor:
    """Return the remembered tokens [n, D] of a token set, averaged over neighbourhoods of their images."""
    grids = [Grid(*size) for size in memory[grid_of(name)].tolist()]
    images = torch.split(memory[name], [grid.count for grid in grids])
    averaged = [box_means(image[None], grid, (side,))[0] for image, grid in zip(images, grids, strict=True)]
    return torch.cat(averaged)


def lookup_weights(queries: Tensor, keys: Tensor, rule: Rule) -> Tensor:
    """Return the weights [..., n] of every entry for queries [..., D] and keys [n, D]."""
    similarity = queries @ keys.mT * keys.shape[-1] ** -0.5
    if rule == "softmax":
        return torch.softmax(similarity, dim=-1)
    if rule == "maximum":
        return F.one_hot(similarity.argmax(-1), len(keys)).to(similarity)
    return sparsemax(similarity)


def look_up(queries: Tensor, keys: Tensor, values: Tensor, rule: Rule, room: int = ROOM) -> Tensor:
    """Return the mixtures of values [n, D] that queries [B, N, D] find: [B, N, D].

    Args:
        queries: [B, N, D].
        keys: [n, D].
        values: [n, D].
        rule: How similarities become weights.
        room: Bytes that weights may take at once.
    """
    rows = queries.flatten(0, 1)
    height = max(1, room // (rows.element_size() * len(keys)))
    found = [lookup_weights(part, keys, rule) @ values for part in torch.split(rows, height)]
    return torch.cat(found).view_as(queries)


@dataclass(frozen=True)
class Found:
    """What one token set finds at one size of neighbourhoods.

    Attributes:
        name: Of token set and side.
        grid: Where the tokens lie.
        tokens: [B, N, D], x, averaged over neighbourhoods.
        queries: [B, N, D], the query generator's answer.
        keys: [k * N, D].
        retrieved: [B, N, D], R.
    """

    name: str
    grid: Grid
    tokens: Tensor
    queries: Tensor
    keys: Tensor
    retrieved: Tensor

    @property
    def distance(self) -> Tensor:
        """[B, N], (1 - cos(x, R)) / 2."""
        return (1 - F.cosine_similarity(self.tokens, self.retrieved, dim=-1)) / 2


class Lookup(nn.Module):
    """s = (1 - cos(x, R)) / 2, R = w V(r), w = sparsemax(G_q(x) G_k(r)^T / sqrt(D)), x = V(f).

    f are the tokens of an image and r those of all references, both averaged over neighbourhoods. The three
    generators serve all token sets.
    """

    def __init__(self, options: LookupOptions, context: BuildContext) -> None:
        """Build the generators.

        Raises:
            InputError: The taps differ in their channels, or the heads do not divide them.
        """
        super().__init__()
        self.sides, self.rule = options.sides, options.rule
        if len(set(context.tap_widths)) != 1:
            raise InputError(
                "dictas.lookup has generators that serve all taps, and those of this backbone differ in "
                f"channels ({', '.join(map(str, context.tap_widths))}); read one by --set readout.taps=[N]"
            )
        width = context.tap_widths[0]
        if width % options.heads:
            raise InputError(f"scorer.heads: {options.heads} heads do not divide {width} channels")
        self.query, self.key = Generator(width, options.heads), Generator(width, options.heads)
        self.value = ValueGenerator(width, options.heads)

    def values(self, entry: TokenSet) -> Tensor:
        """Return V(f) of a token set, [B, N, D]: what is compared lives where retrieved values do."""
        return self.value(entry.tokens)  # type: ignore[no-any-return]

    def found(self, features: Features, memory: Memory) -> Iterator[Found]:
        """Yield what each token set finds at each size, sizes inside."""
        for entry in features.patch_sets:
            values = self.values(entry)
            for side in self.sides:
                known = neighbourhoods(memory, entry.name, side).to(values)[None]
                x = box_means(values, entry.grid, (side,))
                queries, (keys,), (mixed,) = self.query(x), self.key(known), self.value(known)
                retrieved = look_up(queries, keys, mixed, self.rule)
                yield Found(f"{entry.name}.r{side}", entry.grid, x, queries, keys, retrieved)

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of distances per token set and size, and with a text side the text's image score.

        Raises:
            InputError: It is asked while learning, where there are no references.
        """
        if conditioning.memory is None:
            raise InputError(
                "dictas learns from pairs of a normal image and an anomalous copy, and zsad train has single "
                "images; import the authors' checkpoint by 'zsad convert dictas'"
            )
        sets = tuple(
            ScoreSet(each.name, each.grid.to_maps(each.distance[..., None]), "anomaly")
            for each in self.found(features, conditioning.memory)
        )
        scores = Scores(sets)
        if not conditioning.text_features.shape[1]:
            return scores
        probability = image_probability(features, conditioning.text_features, TEXT_TEMPERATURE)
        return scores.with_image_score(probability, "dictas.lookup: image feature against text")
