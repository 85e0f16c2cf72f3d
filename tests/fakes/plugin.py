"""Tiny stand-ins for AdaCLIP, CoPS, FiLo, MuSc and Crane+: every mechanism of the core, few numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec
from zsad.streams import (
    BlockState,
    InjectedTokens,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    tap_requests,
)
from zsad.values import (
    Conditioning,
    DeepPrompts,
    Features,
    Grid,
    Prompts,
    Sample,
    Scores,
    ScoreSet,
    join_scores,
)

zsad_api = 1

METHODS = ("adaclip", "cops", "filo", "musc", "craneplus")


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the stand-ins' parts."""
    here = "tests.fakes.plugin"
    text, patches = frozenset({"text_features"}), frozenset({"patch_tokens"})
    yield PartSpec("fake.inject", "attention_refiner", f"{here}:Inject", "visual prompts", provides=patches)
    yield PartSpec(
        "fake.dynamic", "prompt_conditioner", f"{here}:DynamicDeepPrompts", "deep prompts", requires=text
    )
    yield PartSpec(
        "fake.synthesis",
        "prompt_conditioner",
        f"{here}:Synthesis",
        "prompts from prototypes",
        requires=text,
        provides=frozenset({"prototypes"}),
    )
    yield PartSpec(
        "fake.weighted",
        "scorer",
        f"{here}:PrototypeScorer",
        "scores weighted by the distance to prototypes",
        requires=frozenset({"prototypes", "text_features", "tokens:joint"}),
        provides=frozenset({"scores:logits", "image_score"}),
    )
    yield PartSpec(
        "fake.boxes", "auxiliary", f"{here}:Boxes", "boxes", provides=frozenset({"auxiliary:boxes"})
    )
    yield PartSpec("fake.aliased", "attention_refiner", f"{here}:Aliased", "aliased taps", provides=patches)
    yield PartSpec(
        "fake.choose", "prompt_conditioner", f"{here}:ChoosePrompts", "prompts by box", requires=text
    )
    yield PartSpec(
        "fake.box_filter",
        "post_processors",
        f"{here}:BoxFilter",
        "damps the map outside the box",
        requires=frozenset({"auxiliary:boxes", "anomaly_map"}),
    )
    yield PartSpec(
        "fake.mutual",
        "scorer",
        f"{here}:MutualScorer",
        "distance to the other images of the scope",
        provides=frozenset({"scores:anomaly"}),
        two_phase=True,
        transductive=True,
    )
    yield PartSpec(
        "fake.smooth_scores",
        "post_processors",
        f"{here}:SmoothScores",
        "image scores averaged over similar images",
        requires=frozenset({"image_score"}),
        two_phase=True,
        transductive=True,
    )
    yield PartSpec(
        "fake.similarity",
        "auxiliary",
        f"{here}:Similarity",
        "s",
        provides=frozenset({"auxiliary:similarity"}),
    )
    yield PartSpec(
        "fake.d_attention",
        "attention_refiner",
        f"{here}:build_d_attention",
        "attention by foreign similarities",
        requires=frozenset({"auxiliary:similarity"}),
        provides=patches,
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield one recipe per stand-in."""
    for name in METHODS:
        yield RecipeSpec(f"fake-{name}", f"tests.fakes:{name}.yaml")


class _FromContext:
    """A part without options that keeps what it was told of the backbone."""

    def __init__(self, options: None, context: BuildContext) -> None:
        self.context = context


def widened(feature: Tensor, width: int) -> Tensor:
    """Repeat [..., C] to [..., width]: stands for a learned projection."""
    return torch.cat([feature] * (width // feature.shape[-1]), dim=-1)


class Inject(_FromContext):
    """AdaCLIP: visual prompts from the image feature of a pass without them."""

    def request(self) -> VisionRequest:
        return VisionRequest(tap_requests(self.context.taps, self.context.stage))

    def inject(self, prepass: Features) -> InjectedTokens:
        token = widened(prepass.image_feature, self.context.vision_width)
        return InjectedTokens(torch.stack([torch.stack([token, -token], 1) * s for s in (1.0, 0.5)]))


class DynamicDeepPrompts(_FromContext):
    """AdaCLIP: deep text prompts that differ per image."""

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        assert self.context.text is not None
        assert features.prepass is not None
        token = widened(features.prepass, self.context.text.width)[:, None, None]
        return replace(prompts, deep=DeepPrompts((token, 2 * token))), {}


class Synthesis(_FromContext):
    """CoPS: a prototype per image, put into the prompts and handed on to the scorer."""

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        prototype = features.token_sets[-1].tokens.mean(1)
        embeddings = prompts.embeddings.clone()
        embeddings[:, :, 1] += widened(prototype, embeddings.shape[-1])[:, None]
        return replace(prompts, embeddings=embeddings), {"prototype": prototype}


class PrototypeScorer(_FromContext):
    """CoPS: logits scaled by the distance to the prototype."""

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        assert conditioning is not None
        entry = features.token_sets[-1]
        assert isinstance(entry.layout, Grid)
        tokens = F.normalize(entry.tokens, dim=-1)
        prototype = F.normalize(conditioning.intermediates["prototype"], dim=-1)
        distance = 1 - tokens @ prototype[..., None]
        logits = tokens @ conditioning.text_features.transpose(1, 2) * distance
        values = logits.transpose(1, 2).reshape(len(features), 2, entry.layout.height, entry.layout.width)
        scores = Scores((ScoreSet(entry.name, values, "logits"),))
        return scores.with_image_score(distance.flatten(1).amax(1), "fake.weighted")


class Boxes(_FromContext):
    """FiLo: a box per image (left, top, right, bottom as shares), here from the first pixel's colour."""

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        rows = [[0.0, 0.0, 0.5, 1.0] if sample.image[0, 0, 0] < 128 else [0.5, 0.0, 1.0, 1.0]
                for sample in samples]  # fmt: skip
        return {"boxes": torch.tensor(rows, device=images.device)}


class Aliased(_FromContext):
    """FiLo: an ordinary tap with the next block's attention added, and the last local stream twice."""

    def request(self) -> VisionRequest:
        local = Stream(2, SelfAttention(("vv",)))
        last = self.context.depth
        return VisionRequest(
            (
                TokenRequest("local", last, local),
                TokenRequest("ordinary.2", 3, point="attention"),
                TokenRequest("ordinary.last", last),
            )
        )


class ChoosePrompts(_FromContext):
    """FiLo: of the abnormal prompts only the one that the box's position asks for."""

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        abnormal = (prompts.state == 1).nonzero().flatten()
        weights = (prompts.state == 0).float().expand(len(features), -1).clone()
        place = (features.auxiliary["boxes"][:, 0] >= 0.5).long()
        weights[torch.arange(len(features)), abnormal[place]] = 1.0
        return replace(prompts, weights=weights), {}


class BoxFilter(_FromContext):
    """FiLo: 0.7 of the map outside the box."""

    def __call__(self, scores: Scores, features: Features) -> Scores:
        assert scores.map is not None
        share = (torch.arange(scores.map.shape[-1], device=scores.map.device) + 0.5) / scores.map.shape[-1]
        left, right = features.auxiliary["boxes"][:, 0, None], features.auxiliary["boxes"][:, 2, None]
        inside = (share >= left) & (share < right)
        return replace(scores, map=scores.map * torch.where(inside, 1.0, 0.7)[:, None])


class MutualScorer(_FromContext):
    """MuSc: a patch's mean distance to its nearest patch in every other image of the scope."""

    def collect(self, features: Features, conditioning: Conditioning | None) -> tuple[Tensor, Grid]:
        entry = features.token_sets[-1]
        assert isinstance(entry.layout, Grid)
        return F.normalize(entry.tokens, dim=-1), entry.layout

    def finalize(self, scope: Sequence[tuple[Tensor, Grid]]) -> Scores:
        tokens, grid = torch.cat([entry for entry, _ in scope]), scope[0][1]
        nearest = torch.einsum("inc,jmc->ijnm", tokens, tokens).amax(-1)
        others = ~torch.eye(len(tokens), dtype=torch.bool)
        distance = torch.stack([(1 - row[keep]).mean(0) for row, keep in zip(nearest, others, strict=True)])
        return Scores((ScoreSet("mutual", distance.reshape(-1, 1, grid.height, grid.width), "anomaly"),))


class SmoothScores(_FromContext):
    """RsCIN: image scores averaged over all images, weighted by their similarity."""

    def collect(self, scores: Scores, features: Features) -> tuple[Scores, Tensor]:
        return scores, F.normalize(features.image_feature, dim=-1)

    def finalize(self, scope: Sequence[tuple[Scores, Tensor]]) -> Scores:
        found = torch.cat([feature for _, feature in scope])
        joined = join_scores([scores for scores, _ in scope])
        assert joined.image_score is not None
        weights = torch.softmax(found @ found.T, -1)
        return joined.with_image_score(weights @ joined.image_score, "fake.smooth_scores")


class Similarity(_FromContext):
    """Crane+: similarities [B, N, N] of another model's patches, here of mean colours."""

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        colours = F.avg_pool2d(images, self.context.patch_size).flatten(2).transpose(1, 2)
        return {"similarity": -torch.cdist(colours, colours)}


@dataclass(frozen=True)
class ForeignAttention:
    """Crane+'s D-attention: foreign similarities on this block's values, after its own attention."""

    temperature: float

    def __call__(self, state: BlockState) -> Tensor:
        block = state.block
        patches = state.grid.height * state.grid.width  # injected tokens stand behind them
        values = block.v_proj(block.ln_1(state.after_attention))[:, 1 : 1 + patches]
        weights = torch.softmax(state.auxiliary["similarity"] / self.temperature, -1)
        mixed: Tensor = block.out_proj(weights @ values)
        return mixed


@dataclass(frozen=True)
class DAttention:
    """Reads the foreign attention and the local stream of the last block, in this order."""

    last: int

    def request(self) -> VisionRequest:
        foreign = Stream(1, ForeignAttention(0.5), cumulative=False, class_token=False)
        local = Stream(2, SelfAttention(("qq", "kk", "vv")))
        return VisionRequest(
            (TokenRequest("foreign", self.last, foreign), TokenRequest("local", self.last, local))
        )


def build_d_attention(options: None, context: BuildContext) -> DAttention:
    """Build the refiner for the tower's depth."""
    return DAttention(context.depth)
