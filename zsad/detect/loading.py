"""From what a user names to a detector: backbone, adapter, recipe, learned weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector, backbone_facts
from zsad.errors import InputError
from zsad.plugin.host import Host, get_host
from zsad.recipe.resolution import resolve
from zsad.weights.adapter.card import read_adapter_card
from zsad.weights.loading import WeightsSource, load_embedded_weights, load_weights


def load_detector(
    method: str,
    *,
    backbone: str | ClipBackbone | None = None,
    weights: WeightsSource | None = None,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    image_size: int | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    untrained: bool = False,
    host: Host | None = None,
) -> Detector:
    """Load a method on a backbone.

    Args:
        method: Name of a recipe (``zsad methods``).
        backbone: Name (see :func:`zsad.backbones.loading.load_backbone`), a loaded backbone, or None for the
            default.
        weights: File with the learned parts, or a mapping from part key (its kind) to file; by default
            those that the method's plugin ships for the backbone.
        adapter: Folder of an adapter (LoRA) on the backbone. What plugins ship was learned without one and is
            not loaded beside it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        image_size: Side of the square input in pixels.
        overrides: ``part.option=value`` and ``part=name``, as ``--set`` takes them.
        seed: Seed of everything random in the parts.
        untrained: Accept learnable parts without weights, freshly initialised.
        host: Plugin host, by default the process's own.

    Raises:
        InputError: Whatever does not exist or does not fit, named in one sentence.
        ZsadError: The hub cannot be reached.
    """
    host = host or get_host()
    host.recipes.get(method)  # a misspelt method is refused before seconds go into a backbone
    if adapter is not None:
        read_adapter_card(Path(adapter))  # and so is a wrong folder
    loaded = (
        backbone if isinstance(backbone, ClipBackbone) else load_backbone(backbone, device, dtype, host=host)
    )
    if adapter is not None:
        from zsad.weights.adapter.lora import load_adapter  # PEFT takes seconds to import

        loaded = load_adapter(loaded, Path(adapter))
    recipe = resolve(host, method, backbone_facts(loaded), overrides=overrides, image_size=image_size)
    detector = Detector(loaded, recipe, seed=seed)
    learnable = {part.key: detector.parts[part.key] for part in recipe.learnable}
    shipped = None if loaded.adapter else recipe.recipe.weights.get(loaded.arch)
    if weights is not None:
        detector.cards = load_weights(learnable, recipe, weights, loaded.sha256)
    elif learnable and not untrained and shipped is not None:
        detector.cards = load_embedded_weights(learnable, recipe, shipped, loaded.sha256)
    missing = [key for key in learnable if key not in detector.cards]
    if missing and not untrained:
        raise InputError(
            f"method '{method}' needs learned weights for {', '.join(missing)}; pass --weights FILE, or "
            "--untrained to run it with random ones"
        )
    return detector
