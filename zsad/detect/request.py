"""What is asked of a detector, as data that every command and every caller fills in once. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zsad.errors import InputError
from zsad.recipe.settings import NO_SETTINGS, Settings
from zsad.weights.adapter.card import read_adapter_card

if TYPE_CHECKING:
    from zsad.plugin.host import Host
    from zsad.weights.loading import WeightsSource

LARGEST_SEED = 2**63 - 1
"""The largest seed that torch's generators take."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What methods run under, whatever is done with them.

    Attributes:
        backbone: Name of the backbone, or None for the one that its plugin marks as the default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``; of the frozen towers.
        image_size: Side of the square input, or its short side, in pixels, or None for the method's own.
        overrides: What ``--set`` says.
        seed: Seed of everything random.

    Raises:
        InputError: The backbone has an empty name, the seed is out of range, or the image size is among the
            overrides too.
    """

    backbone: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    image_size: int | None = None
    overrides: Settings = NO_SETTINGS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.backbone is not None and not self.backbone.strip():
            raise InputError("--backbone is empty; name one ('zsad backbones' lists them), or leave it out")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"--seed {self.seed}: give a whole number from 0 to {LARGEST_SEED}")
        if self.image_size is not None:
            if isinstance(self.image_size, bool) or not isinstance(self.image_size, int):
                raise InputError(f"the image size is a whole number of pixels, not {self.image_size!r}")
            if self.image_size < 1:
                raise InputError(f"--image-size {self.image_size}: give a side of 1 pixel or more")
            self.overrides.refuse_beside("--image-size", "image_size")


@dataclass(frozen=True, kw_only=True)
class DetectorRequest(Conditions):
    """A method, and what it runs under.

    Attributes:
        method: Name of the method (``zsad methods``), or ``distribution:name``.
        weights: File with the learned parts, or a mapping from part key (``ResolvedPart.key``, for most the
            kind) to file; by default those that the method's plugin ships for the backbone.
        adapter: Folder of an adapter (LoRA) on the backbone. What plugins ship was learned without one and is
            not loaded beside it.
        untrained: Accept learnable parts without weights, freshly initialised.
        memory: File with what is remembered of references, for a few-shot method.
    """

    method: str
    weights: WeightsSource | None = None
    adapter: Path | None = None
    untrained: bool = False
    memory: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # What a recipe says of training is the detector's, and whoever trains it reads it there.
        self.overrides.of("generator", "examples", "adapter").refuse_training()

    def check(self, host: Host) -> None:
        """Refuse what can be refused before seconds go into a backbone.

        Args:
            host: Whose methods are known.

        Raises:
            InputError: An unknown method, or a folder that holds no adapter.
        """
        host.recipes.get(self.method)
        if self.adapter is not None:
            read_adapter_card(self.adapter)
