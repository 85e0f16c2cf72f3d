"""Load the methods of an evaluation on one backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from zsad.backbones.loading import load_backbone
from zsad.detect.loading import load_detector
from zsad.evaluation.cells import Contestant
from zsad.weights.adapter.card import read_adapter_card
from zsad.weights.loading import WeightsSource


def load_contestants(
    methods: Sequence[str],
    *,
    backbone: str | None,
    weights: Mapping[str, WeightsSource],
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    image_size: int | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    untrained: bool = False,
) -> list[Contestant]:
    """Load methods; the backbone is loaded once.

    Args:
        methods: Names of methods.
        backbone: Name of the backbone.
        weights: Learned weights by method.
        adapter: Folder of an adapter (LoRA) on the backbone, for every method.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        image_size: Side of the square input in pixels.
        overrides: ``--set`` values, for every method.
        seed: Seed of everything random in the parts.
        untrained: Accept learnable parts without weights.

    Raises:
        InputError: Whatever does not exist or does not fit.
    """
    if adapter is not None:
        read_adapter_card(Path(adapter))  # a wrong folder is refused before seconds go into a backbone
    loaded = load_backbone(backbone, device, dtype)
    if adapter is not None:
        from zsad.weights.adapter.lora import load_adapter  # PEFT takes seconds to import

        loaded = load_adapter(loaded, Path(adapter))
    contestants = []
    for method in methods:
        source = weights.get(method)
        detector = load_detector(
            method,
            backbone=loaded,
            weights=source,
            image_size=image_size,
            overrides=overrides,
            seed=seed,
            untrained=untrained,
        )
        contestants.append(Contestant(detector, _weights_name(source, bool(detector.cards))))
    return contestants


def _weights_name(source: WeightsSource | None, learned: bool) -> str:
    if source is None:
        return "embedded" if learned else ""
    if isinstance(source, Mapping):
        return ", ".join(f"{part}={path}" for part, path in source.items())
    return str(source)
