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
from zsad.prompts import DeepPrompts, Prompts
from zsad.streams import (
    BlockState,
    Injection,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    tap_requests,
)
from zsad.values import Conditioning, Features, Grid, Sample, Scores, ScoreSet, join_scores

zsad_api = 1

METHODS = ("adaclip", "cops", "filo", "musc", "craneplus")


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the stand-ins' parts."""
    # fmt: off
    yield PartSpec("fake.inject", "attention_refiner", ":Inject", "visual prompts")
    yield PartSpec("fake.dynamic", "prompt_conditioner", ":DynamicDeepPrompts", "deep prompts")
    yield PartSpec("fake.synthesis", "prompt_conditioner", ":Synthesis", "prompts from prototypes",
                   provides={"prototypes"})
    yield PartSpec("fake.weighted", "scorer", ":PrototypeScorer",
                   "scores weighted by the distance to prototypes",
                   requires={"prototypes", "text_features", "tokens:joint"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("fake.boxes", "auxiliary", ":Boxes", "boxes", provides={"auxiliary:boxes"})
    yield PartSpec("fake.aliased", "attention_refiner", ":aliased", "aliased taps")
    yield PartSpec("fake.choose", "prompt_conditioner", ":ChoosePrompts", "prompts by box")
    yield PartSpec("fake.box_filter", "post_processors", ":BoxFilter", "damps the map outside the box",
                   requires={"auxiliary:boxes", "anomaly_map"})
    yield PartSpec("fake.mutual", "scorer", ":MutualScorer", "distance to the other images of the scope",
                   provides={"scores:anomaly"}, two_phase=True, transductive=True)
    yield PartSpec("fake.smooth_scores", "post_processors", ":SmoothScores",
                   "image scores averaged over similar images",
                   requires={"image_score"}, two_phase=True, transductive=True)
    yield PartSpec("fake.similarity", "auxiliary", ":Similarity", "similarities of mean colours",
                   provides={"auxiliary:similarity"})
    yield PartSpec("fake.d_attention", "attention_refiner", ":d_attention",
                   "attention by foreign similarities",
                   requires={"auxiliary:similarity"})
    # fmt: on


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

    needs_prepass = True

    def inject(self, prepass: Features | None) -> Injection:
        assert prepass is not None
        token = widened(prepass.image_feature, self.context.vision_width)
        return Injection(torch.stack([torch.stack([token, -token], 1) * s for s in (1.0, 0.5)]))


class DynamicDeepPrompts(_FromContext):
    """AdaCLIP: deep text prompts that differ per image."""

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        token = widened(features.plain_image_feature, self.context.text.width)[:, None, None]
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

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        entry = features.token_sets[-1]
        tokens = F.normalize(entry.tokens, dim=-1)
        prototype = F.normalize(conditioning.intermediates["prototype"], dim=-1)
        distance = 1 - tokens @ prototype[..., None]
        logits = tokens @ conditioning.text_features.transpose(1, 2) * distance
        scores = Scores((ScoreSet(entry.name, entry.grid.to_maps(logits), "logits"),))
        return scores.with_image_score(distance.flatten(1).amax(1), "fake.weighted")


class Boxes(_FromContext):
    """FiLo: a box per image (left, top, right, bottom as shares), here from the first pixel's colour."""

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        rows = [[0.0, 0.0, 0.5, 1.0] if sample.image[0, 0, 0] < 128 else [0.5, 0.0, 1.0, 1.0]
                for sample in samples]  # fmt: skip
        return {"boxes": torch.tensor(rows, device=images.device)}


def aliased(options: None, context: BuildContext) -> VisionRequest:
    """FiLo: an ordinary tap with the next block's attention added, and the last local stream twice."""
    local = Stream(2, SelfAttention(("vv",)))
    return VisionRequest(
        (
            TokenRequest("local", context.depth, local),
            TokenRequest("ordinary.2", 3, point="attention"),
            TokenRequest("ordinary.last", context.depth),
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
        maps = scores.required_map
        share = (torch.arange(maps.shape[-1], device=maps.device) + 0.5) / maps.shape[-1]
        left, right = features.auxiliary["boxes"][:, 0, None], features.auxiliary["boxes"][:, 2, None]
        inside = (share >= left) & (share < right)
        return replace(scores, map=maps * torch.where(inside, 1.0, 0.7)[:, None])


class MutualScorer(_FromContext):
    """MuSc: a patch's mean distance to its nearest patch in every other image of the scope."""

    def collect(self, features: Features, conditioning: Conditioning) -> tuple[Tensor, Grid]:
        entry = features.token_sets[-1]
        return F.normalize(entry.tokens, dim=-1), entry.grid

    def finalize(self, scope: Sequence[tuple[Tensor, Grid]]) -> Scores:
        tokens, grid = torch.cat([entry for entry, _ in scope]), scope[0][1]
        nearest = torch.einsum("inc,jmc->ijnm", tokens, tokens).amax(-1)
        others = ~torch.eye(len(tokens), dtype=torch.bool)
        distance = torch.stack([(1 - row[keep]).mean(0) for row, keep in zip(nearest, others, strict=True)])
        return Scores((ScoreSet("mutual", grid.to_maps(distance[..., None]), "anomaly"),))


class SmoothScores(_FromContext):
    """RsCIN: image scores averaged over all images, weighted by their similarity."""

    def collect(self, scores: Scores, features: Features) -> tuple[Scores, Tensor]:
        return scores, F.normalize(features.image_feature, dim=-1)

    def finalize(self, scope: Sequence[tuple[Scores, Tensor]]) -> Scores:
        found = torch.cat([feature for _, feature in scope])
        joined = join_scores([scores for scores, _ in scope])
        weights = torch.softmax(found @ found.T, -1)
        return joined.with_image_score(weights @ joined.required_image_score, "fake.smooth_scores")


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
        patches = slice(1, 1 + state.grid.count)  # injected tokens stand behind them
        values = block.v_proj(block.ln_1(state.after_attention))[:, patches]
        weights = torch.softmax(state.auxiliary["similarity"] / self.temperature, -1)
        mixed: Tensor = block.out_proj(weights @ values)
        return mixed


def d_attention(options: None, context: BuildContext) -> VisionRequest:
    """Crane+: read the foreign attention and the local stream of the last block, in this order."""
    foreign = Stream(1, ForeignAttention(0.5), cumulative=False, class_token=False)
    local = Stream(2, SelfAttention(("qq", "kk", "vv")))
    return VisionRequest(
        (TokenRequest("foreign", context.depth, foreign), TokenRequest("local", context.depth, local))
    )
