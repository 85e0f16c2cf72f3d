"""The protocols of the swappable parts, and what a part is told when it is built.

A part is made by its ``factory``: ``build(options, context)``. Parts that hold parameters are
``torch.nn.Module``s. The order of the calls for a batch is the order of ``zsad.plugin.specs.PART_KINDS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zsad.backbones.text import TextTower
    from zsad.streams import InjectedTokens, VisionRequest
    from zsad.values import Conditioning, Features, Prompts, Sample, Scores, Stage


@dataclass(frozen=True)
class BuildContext:
    """What a part may know of the backbone when it is built.

    Attributes:
        vision_width: Channels of the vision tower's blocks.
        embed_dim: Channels of the joint space.
        depth: Blocks of the vision tower.
        patch_size: Side of a patch in pixels.
        image_size: Side of the square input in pixels.
        taps: Tapped blocks, counted from 1.
        stage: Stage at which taps are read.
        text: The text tower, or None for a backbone without one.
        device: Where parameters and buffers belong.
        seed: Seed of everything random in the part.
    """

    vision_width: int
    embed_dim: int
    depth: int
    patch_size: int
    image_size: int
    taps: tuple[int, ...]
    stage: Stage
    text: TextTower | None
    device: torch.device
    seed: int


class Auxiliary(Protocol):
    """Computes side inputs from the samples, with a preprocessing of its own.

    Terms of refined streams read them as ``BlockState.auxiliary``, later parts as ``Features.auxiliary``.
    """

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return named tensors with B first, from raw samples and the backbone's input [B, 3, S, S]."""


class AttentionRefiner(Protocol):
    """Says, once and for all, what a method wants from the pass: refined streams, taps, windows."""

    def request(self) -> VisionRequest:
        """Return what to read; equal streams and terms of several methods are computed once."""


@runtime_checkable
class Injector(Protocol):
    """A refiner that puts tokens of its own into the pass, given features of a pass without them.

    To implement ``inject`` is to declare a prepass: the core runs a plain pass first, and later parts
    find its image feature in ``Features.prepass``.
    """

    def request(self) -> VisionRequest:
        """Return what to read of the pass with the injected tokens."""

    def inject(self, prepass: Features) -> InjectedTokens:
        """Return the tokens for this batch; ``prepass`` holds the plain pass's image feature."""


class FeatureAdapter(Protocol):
    """Maps token sets and the image feature before they meet text."""

    def __call__(self, features: Features) -> Features:
        """Return features with the same number of images."""


class PromptLearner(Protocol):
    """Yields the token sequences of a class."""

    class_agnostic: bool
    """The prompts are the same for every class noun, so that they are encoded once, for the noun ``""``."""

    def __call__(self, class_name: str) -> Prompts:
        """Return prompts with embeddings [n, L, D]; asked once per class until parameters change."""


class PromptConditioner(Protocol):
    """Edits prompts for each image."""

    def __call__(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return prompts with embeddings [B, n, L, D], and named intermediates for later parts.

        ``prompts`` arrives with embeddings [B, n, L, D], each image with those of its own class.
        """


class Scorer(Protocol):
    """Compares features with text."""

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return score sets or a map, and an image score where the method has one at this stage."""


class PostProcessor(Protocol):
    """One step from score sets to the anomaly map and the image score.

    Behind a two-phase part ``features`` are those of the whole scope, without token sets and side inputs.
    """

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores after this step."""


Kept = TypeVar("Kept")
"""What a two-phase part keeps of a batch."""


@runtime_checkable
class TwoPhaseScorer(Protocol[Kept]):
    """A scorer that sees a whole scope (a class) before it answers. It keeps no state of its own."""

    def collect(self, features: Features, conditioning: Conditioning | None) -> Kept:
        """Return what has to be kept of a batch, whose images are all of one class."""

    def finalize(self, scope: Sequence[Kept]) -> Scores:
        """Return the scores of all images of the scope, in the order in which they were collected."""


@runtime_checkable
class TwoPhasePostProcessor(Protocol[Kept]):
    """A post-processor that sees a whole scope (a class) before it answers."""

    def collect(self, scores: Scores, features: Features) -> Kept:
        """Return what has to be kept of a batch, whose images are all of one class."""

    def finalize(self, scope: Sequence[Kept]) -> Scores:
        """Return the scores of all images of the scope, in the order in which they were collected."""
