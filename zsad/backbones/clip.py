"""A backbone, with text or without: frozen towers over shared weights, one view of them per profile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from zsad.backbones.block import Block
from zsad.backbones.card import BackboneCard, TowerName
from zsad.backbones.opaque import OpaqueTower, OpaqueWeights, Tower
from zsad.backbones.text import TextTower, TextWeights
from zsad.backbones.vision import VisionTower
from zsad.backbones.vision_values import VisionWeights
from zsad.recipe.profiles import TextProfile, TowerProfile


class BlockAdapter(Protocol):
    """Layers beside the frozen ones of a backbone's blocks, as :mod:`zsad.weights.adapter` makes them."""

    @property
    def options(self) -> BaseModel:
        """What they are made of."""

    @property
    def towers(self) -> nn.ModuleDict:
        """The adapted blocks; every tower of the backbone shares them."""

    def blocks(self, tower: TowerName) -> tuple[Block, ...] | None:
        """Return the adapted blocks of a tower, or None where it is not adapted."""


class ClipBackbone:
    """Vision and, where there are, text weights, loaded once; towers of any profile are views of them.

    Attributes:
        card: What is known of the weights.
        arch: Architecture name, by which recipes know the backbones they were published on; timm's begin
            with ``timm:``.
        mean: Channel means of the image normalisation.
        std: Channel deviations of the image normalisation.
        native_profile: The vision numerics that the weights were trained with.
        native_text_profile: The text numerics that the weights were trained with, or None.
        device: Where the weights are.
        adapter: The adapter (LoRA) in the towers' blocks, or None.
    """

    def __init__(
        self,
        *,
        card: BackboneCard,
        arch: str,
        vision: VisionWeights | OpaqueWeights,
        text: TextWeights | None,
        tokenizer: Callable[[Sequence[str]], Tensor] | None,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        native_profile: TowerProfile,
        native_text_profile: TextProfile | None,
        digest: Callable[[], str],
        device: torch.device,
        adapter: BlockAdapter | None = None,
    ) -> None:
        self.card = card
        self.arch = arch
        self.mean, self.std = mean, std
        self.native_profile = native_profile
        self.native_text_profile = native_text_profile
        self.device = device
        self.adapter = adapter
        self._vision, self._text, self._tokenizer = vision, text, tokenizer
        self._digest = digest
        self._vision_towers: dict[TowerProfile, Tower] = {}
        self._text_towers: dict[TextProfile, TextTower] = {}

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, independent of the file format they came in; an adapter is no part of it."""
        return self._digest()

    def storages(self) -> frozenset[int]:
        """Return the addresses of the memory that both towers' weights lie in, an adapter's included."""
        towers = [self.vision_tower(), self.text_tower() if self._text is not None else None]
        tensors: list[Tensor] = [
            weight for tower in towers if tower is not None for weight in tower.parameters()
        ]
        if self._text is not None and self._text.projection is not None:
            tensors.append(self._text.projection)
        return frozenset(tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel())

    def blocks(self, tower: TowerName) -> tuple[Block, ...] | None:
        """Return the blocks that the towers of every profile share, or None for a tower that has none.

        Such are the text tower of a backbone without text, and an opaque vision tower.
        """
        weights = self._vision if tower == "vision" else self._text
        return None if weights is None or isinstance(weights, OpaqueWeights) else weights.blocks

    def with_adapter(
        self,
        adapter: BlockAdapter,
        hashes: Mapping[TowerName, str],
        card: BackboneCard,
    ) -> ClipBackbone:
        """Return a backbone with an adapter's blocks over these weights; this one stays as it is.

        Args:
            adapter: Holds the blocks that are adapted.
            hashes: Hash of the adapter by adapted tower, for the profiles.
            card: What is known of weights and adapter.
        """
        vision, text = adapter.blocks("vision"), adapter.blocks("text")
        text_profile, weights = self.native_text_profile, self._vision
        if vision is not None and isinstance(weights, VisionWeights):
            weights = replace(weights, blocks=vision)
        return ClipBackbone(
            card=card,
            arch=self.arch,
            vision=weights,
            text=self._text if text is None or self._text is None else replace(self._text, blocks=text),
            tokenizer=self._tokenizer,
            mean=self.mean,
            std=self.std,
            native_profile=self.native_profile.model_copy(update={"adapter": hashes.get("vision")}),
            native_text_profile=text_profile
            and text_profile.model_copy(update={"adapter": hashes.get("text")}),
            digest=lambda: self.sha256,
            device=self.device,
            adapter=adapter,
        )

    def vision_tower(self, profile: TowerProfile | None = None) -> Tower:
        """Return the tower of a profile, by default the native one; equal profiles share a tower.

        Raises:
            InputError: The weights do not fit the profile's activation or positions.
        """
        profile = profile or self.native_profile
        if profile not in self._vision_towers:
            weights = self._vision
            if isinstance(weights, OpaqueWeights):
                self._vision_towers[profile] = OpaqueTower(weights, profile).eval()
            else:
                self._vision_towers[profile] = VisionTower(weights, profile).eval()
        return self._vision_towers[profile]

    def text_tower(self, profile: TextProfile | None = None) -> TextTower | None:
        """Return the text tower of a profile, or None for a backbone without text."""
        profile = profile or self.native_text_profile
        if self._text is None or self._tokenizer is None or profile is None:
            return None
        if profile not in self._text_towers:
            self._text_towers[profile] = TextTower(self._text, profile, self._tokenizer).eval()
        return self._text_towers[profile]

    @property
    def capabilities(self) -> frozenset[str]:
        """What parts may require of the backbone: ``cls_token``, ``streams``, ``text``, ``causal_text``.

        Image features need no word: every backbone has one, of its class token or of its pool.
        """
        if isinstance(self._vision, OpaqueWeights):
            found = {"cls_token"} if self._vision.leading else set[str]()
        else:
            found = {"streams"} if self._vision.class_embedding is None else {"streams", "cls_token"}
        if self.native_text_profile is not None:
            found.add("text")
            if self.native_text_profile.causal:
                found.add("causal_text")
        return frozenset(found)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of named tensors: names, shapes and float32 values, in name order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu")
        if tensor.is_floating_point():
            tensor = tensor.float()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
