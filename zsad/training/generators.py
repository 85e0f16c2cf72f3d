"""Generators of synthetic anomalies: what they are called with, and how a plugin's one is made.

They are named by ``zsad train --generator`` and described by ``zsad generators``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.plugin.specs import GeneratorLevel
from zsad.recipe.resolved import validated_options

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel
    from torch import Tensor

    from zsad.values import Features

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Generator(Protocol):
    """Makes one normal image anomalous; picklable, because worker processes call it.

    A generator that depends on more than its options (files, drawing code) says so by a string attribute
    ``fingerprint``, which then counts in the key of the examples.
    """

    def __call__(self, image: Image, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return an anomalous copy and what is anomalous in it.

        Args:
            image: RGB [H, W, 3] of any size; it is not changed.
            random: The only source of randomness, so that a seed decides the result.

        Returns:
            RGB [H, W, 3] and mask [H, W]. A mask that marks nothing stands for the image as it was: a
            generator may fail to find a place.
        """


class FeatureGenerator(Protocol):
    """Makes the features of some of a batch's normal images anomalous."""

    def __call__(self, features: Features, random: torch.Generator) -> tuple[Features, Tensor]:
        """Return anomalous features and what is anomalous in them.

        Args:
            features: Of B normal images; they are not changed.
            random: The only source of randomness.

        Returns:
            The features, and the masks [B, h, w] bool on their patch grid; an empty one stands for an image
            that stayed normal.

        Raises:
            InputError: The features have nothing that this generator could change.
        """


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator made with its options.

    Attributes:
        name: ``distribution:name``.
        version: Version of that distribution.
        level: Whether it changes images or features.
        options: The validated options, or None for a generator without any.
        make: A ``Generator`` or a ``FeatureGenerator``, as ``level`` says.
    """

    name: str
    version: str
    level: GeneratorLevel
    options: BaseModel | None
    make: Any

    @cached_property
    def key(self) -> str:
        """Hash of everything that decides what it makes, apart from seeds and images."""
        options = self.options.model_dump(mode="json") if self.options else {}
        told = [self.name, self.version, options, getattr(self.make, "fingerprint", "")]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def load_generator(host: Host, name: str, options: Mapping[str, Any]) -> LoadedGenerator:
    """Make a generator.

    Args:
        host: Whose generators are known.
        name: Its name, or ``distribution:name``.
        options: Its options as plain data; the others keep their defaults.

    Raises:
        InputError: Unknown name or option, or a wrong value.
        ZsadError: Its plugin cannot be imported.
    """
    claim = host.generators.get(name)
    spec = claim.spec
    validated = validated_options(f"generator '{name}'", spec.options, dict(options))
    version = host.plugin(f"{claim.distribution}:{claim.plugin}").version
    make = load_object(spec.factory)(validated)
    return LoadedGenerator(claim.qualified, version, spec.level, validated, make)
