"""The protocols of the swappable parts, and what a part is told when it is built.

A part is made by its ``factory``, called as ``(options, context)``: its class, or a function. Parts that hold
parameters are ``torch.nn.Module``s. The order of the calls for a batch is the order of
``zsad.plugin.specs.PART_KINDS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

from zsad.errors import ZsadError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor, nn

    from zsad.inputs import ImageResize
    from zsad.prompts import Prompts
    from zsad.streams import Injection, VisionRequest
    from zsad.values import Conditioning, Features, Provisional, Sample, Scores, Stage


class TextView(Protocol):
    """What a part may ask of the text side: tokens, embeddings and widths, but never the tower.

    What it returns are copies: nothing here shares memory with frozen weights.
    """

    @property
    def width(self) -> int:
        """Channels D of token embeddings."""

    @property
    def depth(self) -> int:
        """Blocks of the text tower."""

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""

    @property
    def rounds_deep_prompts(self) -> bool:
        """Whether this run rounds deep prompts to float16, as published code does."""

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids [n, context_length] int64."""

    def embed(self, ids: Tensor) -> Tensor:
        """Return the token embeddings [..., D] of ids [...], without position embedding."""

    def end_positions(self, ids: Tensor) -> Tensor:
        """Return [n], where the feature of each sequence of ids [n, L] is read."""

    def sentences(self, texts: Sequence[str], slots: int = 0) -> Sentences:
        """Return the embeddings of texts, with places for learned tokens before their words."""

    def projection(self) -> Tensor | None:
        """Return the matrix [D, C] from the text tower's channels to the joint space, if it has one."""


class JointView(Protocol):
    """What a part may ask of the vision tower's end, without holding its weights."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return tokens [..., D] of a block in the joint space, [..., C]: behind ln_post and projected."""

    def ln_post(self) -> nn.Module:
        """Return a copy of the norm behind the last block, for a part that goes on learning from it."""


@dataclass(frozen=True)
class Sentences:
    """Embedded texts, cut behind the longest one where that changes nothing.

    Attributes:
        embeddings: [n, L, D], without position embedding.
        end: [n], where each text's feature is read.
        slots: The places behind the start token that learned tokens take in place of what stands there.
    """

    embeddings: Tensor
    end: Tensor
    slots: slice


@dataclass(frozen=True)
class BuildContext:
    """What a part may know of the backbone when it is built.

    Attributes:
        vision_width: Channels of the vision tower's blocks; of its last level, where they differ.
        embed_dim: Channels of the joint space, which is that of the image feature.
        depth: Blocks of the vision tower, or levels of an opaque one.
        patch_size: Side of a patch in pixels, on the coarsest level.
        image_size: Side of the square input, or length of its short side, in pixels: a multiple of
            ``patch_size`` but for some opaque towers at their own size.
        taps: Tapped blocks, counted from 1.
        tap_widths: Channels of the tokens at each tap, at its stage; they differ in hierarchical models.
        stage: Stage at which taps are read.
        text_view: The text side, or None for a backbone without one; parts that require ``text`` or
            ``text_features`` read :attr:`text`.
        device: Where parameters and buffers belong.
        seed: Seed of everything random in the part.
        joint_view: The way to the joint space, or None for a tower without one; see :attr:`to_joint`.
        image_resize: How images are brought to the image size.
    """

    vision_width: int
    embed_dim: int
    depth: int
    patch_size: int
    image_size: int
    taps: tuple[int, ...]
    tap_widths: tuple[int, ...]
    stage: Stage
    text_view: TextView | None
    device: torch.device
    seed: int
    joint_view: JointView | None = None
    image_resize: ImageResize = "squash"

    @property
    def to_joint(self) -> JointView:
        """The way from a block's tokens to the joint space, for parts that change tokens before it.

        Raises:
            ZsadError: The tower has none; the part should have required 'text', whose space it is.
        """
        if self.joint_view is None:
            raise ZsadError("a part reads the joint space of a tower without one; it has to require 'text'")
        return self.joint_view

    @property
    def text(self) -> TextView:
        """The text side.

        Raises:
            ZsadError: The backbone has none; the part should have required it.
        """
        if self.text_view is None:
            raise ZsadError("a part reads the text side of a backbone without one; it has to require 'text'")
        return self.text_view


class Auxiliary(Protocol):
    """Computes side inputs from the samples, with a preprocessing of its own.

    Terms of refined streams read them as ``BlockState.auxiliary``, later parts as ``Features.auxiliary``.
    """

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return named tensors with B first, from raw samples and the backbone's input [B, 3, H, W]."""


class AttentionRefiner(Protocol):
    """Says, once and for all, what a method wants from the pass: refined streams, taps, windows.

    A refiner that does nothing else may be its :class:`zsad.streams.VisionRequest` itself.
    """

    def request(self) -> VisionRequest:
        """Return what to read; equal streams and terms of several methods are computed once."""


@runtime_checkable
class Injector(Protocol):
    """A refiner that changes the pass: by tokens of its own, by edits of blocks, or both."""

    needs_prepass: bool
    """Whether the core runs a plain pass first, whose image feature later parts find in
    ``Features.prepass``. It costs as much as the pass itself."""

    def request(self) -> VisionRequest:
        """Return what to read of the changed pass."""

    def inject(self, prepass: Features | None) -> Injection:
        """Return what is brought into the pass of a batch.

        Args:
            prepass: Holds the plain pass's image feature; None unless ``needs_prepass``.
        """


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


@runtime_checkable
class ProvisionalConditioner(Protocol):
    """A conditioner that looks at the scores which the prompts give as they are, before it edits them.

    Its spec's ``provisional`` names what the scorer has to provide for that. The scorer, which is asked
    twice, finds the first answer in ``Conditioning.provisional`` when it is asked for the second.
    """

    def condition(
        self, prompts: Prompts, features: Features, provisional: Provisional
    ) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return what a :class:`PromptConditioner` returns, given the provisional text side and scores."""


class Scorer(Protocol):
    """Compares features with text, or with what is remembered of references.

    One that requires ``memory`` finds it in ``Conditioning.memory``. Images whose classes have memories of
    their own come to it class by class.
    """

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
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
class LabelledMemory(Protocol[Kept]):
    """A learnable part that is filled by one pass over annotated images, where others descend gradients.

    What it remembers are its buffers, with a first axis of any length; a weights file holds them.
    """

    def remember(self, features: Features, masks: Tensor, anomalous: Tensor) -> Kept:
        """Return what has to be kept of a batch.

        Args:
            features: Behind the feature adapter.
            masks: [B, S, S] bool at the image size.
            anomalous: [B] bool.
        """

    def fill(self, kept: Sequence[Kept]) -> None:
        """Replace the memory by what was kept of all batches, in their order.

        Raises:
            InputError: There is nothing to remember of one of the states.
        """

    def make_room(self, lengths: Mapping[str, int]) -> None:
        """Give the buffers of these names other lengths; their values follow."""


Memory: TypeAlias = "Mapping[str, Tensor]"
"""What a reference store keeps of the references of one class: named tensors of any shape."""


class ReferenceStore(Protocol[Kept]):
    """Says what is remembered of a few reference images of a class. It keeps nothing itself.

    The references of a class come in an order that depends on what they hold and on nothing else, the normal
    ones before the abnormal ones. What is learned, or does not depend on references, belongs to the part and
    not to the memory.
    """

    def remember(self, features: Features, masks: Tensor | None) -> Kept:
        """Return what has to be kept of a batch of references.

        Args:
            features: Behind the feature adapter.
            masks: [B, H, W] bool at ``features.input_size`` for abnormal references, None for normal ones.
                Only a store whose spec says ``abnormal_references`` gets masks.
        """

    def fit(self, kept: Sequence[Kept]) -> Memory:
        """Return the memory of a class, from what was kept of all its batches, in their order.

        Raises:
            InputError: These references do not make a memory.
        """


@runtime_checkable
class ReferenceViews(Protocol):
    """A reference store that looks at every normal reference in several views, for example turned ones.

    Abnormal references, whose masks would have to follow, are taken as they are.
    """

    def views(self, image: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[np.uint8]]:
        """Return the views of an image [H, W, 3], RGB of any size; the image itself only if it is named."""


@runtime_checkable
class TwoPhaseScorer(Protocol[Kept]):
    """A scorer that sees a whole scope (a class) before it answers. It keeps no state of its own."""

    def collect(self, features: Features, conditioning: Conditioning) -> Kept:
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
