"""What is asked of a training, as data, and what is told while it goes on. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zsad.detect.request import Conditions, DetectorRequest
from zsad.errors import InputError
from zsad.files import cache_folder
from zsad.weights.adapter.options import LoraOptions, lora_options

if TYPE_CHECKING:
    from zsad.plugin.host import Host
    from zsad.training.cache.key import StoredPrecision
    from zsad.training.trainer import Precision
    from zsad.weights.loading import WeightsSource


def default_cache() -> Path:
    """Return where caches of features are kept: ``features`` in the folder of what can be made again."""
    return cache_folder() / "features"


@dataclass(frozen=True, kw_only=True)
class TrainingRequest(Conditions):
    """A method, what it learns from, and how; defaults are those of ``zsad train``.

    Attributes:
        method: Name of the method.
        data: Datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``.
        folder: Where the run keeps its files.
        weights: Learned weights to begin with, or None for fresh ones.
        epochs: Passes over the data in the first stage, or None for the plan's.
        learning_rate: In the first stage, or None for the plan's.
        batch_size: Images per step, or None for the plan's.
        adapter: ``lora`` for an adapter of the backbone's towers.
        generator: Name of a generator of anomalies, or None.
        copies: Examples that it makes of each normal image.
        precision: Of the parts that learn.
        resume: Go on from the folder's checkpoint.
        cache: Folder of the caches of features, or None to encode every image anew in every epoch.
        cache_dtype: Precision of the cache.
        half: Store the learned weights in float16.
        workers: Processes that read images, or None for one per core but for the one that computes.

    Raises:
        InputError: Something is asked for twice, a seed is out of range, or there are options of an adapter
            and none is learned.
    """

    method: str
    data: tuple[str, ...]
    folder: Path
    weights: WeightsSource | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    adapter: Literal["lora"] | None = None
    generator: str | None = None
    copies: int = 1
    precision: Precision = "float32"
    resume: bool = False
    cache: Path | None = field(default_factory=default_cache)
    cache_dtype: StoredPrecision = "exact"
    half: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adapter is None and (stray := self.overrides.of("adapter")):
            raise InputError(f"--set {stray.texts[0]}: there is no adapter; add --adapter lora")
        self.lora()
        self.detector()

    def lora(self) -> LoraOptions | None:
        """Return what the adapter is made of, or None.

        Raises:
            InputError: An unknown option, or a value that it cannot take.
        """
        return None if self.adapter is None else lora_options(self.overrides.options("adapter"))

    def detector(self, device: str | None = None) -> DetectorRequest:
        """Return what is asked of the detector that learns.

        Args:
            device: Of this process, where it is another one than was asked for.

        Raises:
            InputError: A field and the overrides say the same thing.
        """
        settings = self.overrides.of("recipe", "training")
        plan = {"--epochs": ("epochs", self.epochs), "--lr": ("learning_rate", self.learning_rate),
                "--batch-size": ("batch_size", self.batch_size)}  # fmt: skip
        for option, (name, value) in plan.items():
            if value is not None:
                settings = settings.with_value(f"training.{name}", value, option)
        return DetectorRequest(
            method=self.method,
            backbone=self.backbone,
            weights=self.weights,
            device=device or self.device,
            dtype=self.dtype,
            image_size=self.image_size,
            overrides=settings,
            seed=self.seed,
            untrained=True,
        )

    def check(self, host: Host) -> None:
        """Refuse what can be refused before anything is read.

        Args:
            host: Whose methods are known.

        Raises:
            InputError: An unknown method.
        """
        self.detector().check(host)
