"""The phrase that a part of an image looks most like, by CLIP, where a backbone reads text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.precision import full_float32
from zsad.backbones.text_view import TowerText
from zsad.data.phrases import read_phrases
from zsad.data.preprocess import input_tensor
from zsad.detect.explanations import Name
from zsad.detect.text_side import encode_prompts
from zsad.detect.tiles import Box
from zsad.inputs import InputForm
from zsad.prompts import Prompts
from zsad.streams import VisionRequest
from zsad.values import ABNORMAL, NORMAL, Sample

FLAWLESS = "a photo of a flawless {}."
DESCRIBED = "a photo of a {} with {phrase}."

TEMPERATURE = 0.01
"""By which CLIP divides cosines before its softmax (Radford et al., ICML 2021)."""

NAMED_FROM = 2.0
"""How many times as likely as anything else a phrase has to be to name a region."""

CONTEXT, LEAST = 1.5, 4
"""Side of a crop: so many times the longer one of the region's, and at least a quarter of the shorter one of
the image."""


class Namer:
    """Compares parts of images with what can go wrong with an object.

    The backbone is asked as it is, at its own size, and not as a method changes it.

    Attributes:
        phrases: What can go wrong with the object.
    """

    def __init__(self, backbone: ClipBackbone, noun: str) -> None:
        """Encode the phrases of an object.

        Args:
            backbone: One with the capability ``text``.
            noun: What prompts call the object; one that is not listed gets the generic phrases.

        Raises:
            InputError: A sentence is longer than the text tower reads.
        """
        self.phrases = read_phrases().of(noun)
        self._tower, self._device = backbone.vision_tower(), backbone.device
        # Squashed to a square, whatever the rule for whole images is: crops of a batch then agree in size.
        self._form = InputForm(self._tower.native_image_size, backbone.mean, backbone.std)
        self._texts = self._encoded(backbone, noun)

    @torch.no_grad()
    @full_float32()
    def _encoded(self, backbone: ClipBackbone, noun: str) -> Tensor:
        """Return the features of the flawless object and of each phrase, [1 + n, C], each of length 1."""
        tower = backbone.text_tower()
        assert tower is not None, "the backbone reads text"
        described = [DESCRIBED.replace("{phrase}", phrase) for phrase in self.phrases]
        found = TowerText(tower).sentences([text.replace("{}", noun) for text in (FLAWLESS, *described)])
        state = torch.tensor([NORMAL] + [ABNORMAL] * len(described), device=found.end.device)
        _, raw = encode_prompts(tower, Prompts(found.embeddings, found.end, state))
        return F.normalize(raw, dim=-1)

    @torch.no_grad()
    @full_float32()
    def names(self, image: npt.NDArray[np.uint8], boxes: Sequence[Box]) -> list[Name]:
        """Return what parts of an image look most like.

        Args:
            image: RGB [H, W, 3].
            boxes: Of its regions.
        """
        if not boxes:
            return []
        samples = [Sample(_crop(image, box)) for box in boxes]
        pixels = input_tensor(samples, self._form, self._tower.patch_size).to(self._device)
        (output,) = self._tower(pixels, [VisionRequest()])
        feature = F.normalize(output.image_feature.to(self._texts.dtype), dim=-1)
        return [self._name(row) for row in (feature @ self._texts.T).cpu()]

    def _name(self, cosines: Tensor) -> Name:
        """Return the best phrase of cosines [1 + n]; the first one is the flawless object's."""
        best = int(cosines[1:].argmax()) + 1
        others = torch.cat([cosines[:best], cosines[best + 1 :]])
        odds = float(((cosines[best] - others.max()).double() / TEMPERATURE).exp())
        named = self.phrases[best - 1] if odds >= NAMED_FROM else None
        return Name(named, float(cosines[best]), odds)


def namer(backbone: ClipBackbone, noun: str) -> Namer | None:
    """Return who names the regions of an object, or None where the backbone reads no text."""
    return Namer(backbone, noun) if "text" in backbone.capabilities else None


def crop_box(box: Box, height: int, width: int) -> Box:
    """Return the part of an image that shows a region with its surroundings: a square where there is room.

    Args:
        box: Of the region.
        height: Of the image.
        width: Of the image.
    """
    left, top, right, bottom = box
    side = max(round(CONTEXT * max(right - left, bottom - top)), min(height, width) // LEAST, 1)
    tall, wide = min(side, height), min(side, width)
    y = min(max((top + bottom - tall) // 2, 0), height - tall)
    x = min(max((left + right - wide) // 2, 0), width - wide)
    return x, y, x + wide, y + tall


def _crop(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    left, top, right, bottom = crop_box(box, *image.shape[:2])
    return np.ascontiguousarray(image[top:bottom, left:right])
