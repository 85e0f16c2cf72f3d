"""``zsad doctor``: what this machine and this installation can do."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsad.cli.output import JsonOption, print_fields, print_json, print_table
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.recipe.profiles import Activation

if TYPE_CHECKING:
    from zsad.backbones.clip import ClipBackbone
    from zsad.backbones.names import BackboneName

PACKAGES = (
    "zsad",
    "torch",
    "open_clip_torch",
    "timm",
    "transformers",
    "peft",
    "numpy",
    "gradio",
    "pluggy",
    "safetensors",
)

AGREEMENT = 1e-4
"""Largest difference from the library's own forward pass, in units of the spread of its features."""


def doctor(
    verify: Annotated[
        str | None,
        typer.Option(
            "--verify",
            metavar="ARCH[:PRETRAINED]@FILE",
            help="Load a backbone (timm:NAME@FILE as well) and compare it with open_clip, or with timm.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Report versions, devices and plugins, or verify a backbone's file."""
    if verify is not None:
        report = _verify(verify)
        print_json(report) if as_json else print_fields(report)
        if report["doubt"]:
            raise ZsadError(f"'{verify}' cannot be verified: {report['doubt']}")
        if not report["agrees"]:
            raise ZsadError(
                f"'{verify}' differs from {report['library']}'s own features by more than {AGREEMENT}"
            )
        return
    versions = {name: _version(name) for name in PACKAGES}
    machine = _machine()
    plugins = [
        {
            "name": record.name,
            "distribution": record.distribution,
            "status": record.status,
            "error": record.error,
        }
        for record in get_host().plugins
    ]
    if as_json:
        print_json({"versions": versions, "machine": machine, "plugins": plugins})
        return
    print_fields(versions | machine)
    print()
    print_table(plugins, ("name", "distribution", "status", "error"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _machine() -> dict[str, Any]:
    import torch

    from zsad.backbones.precision import choose_device, choose_dtype, has_fast_bfloat16

    device = choose_device("auto")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": str(device),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "threads": torch.get_num_threads(),
        "fast_bfloat16": has_fast_bfloat16(device),
        "auto_dtype": str(choose_dtype("auto", device)).removeprefix("torch."),
    }


def _verify(name: str) -> dict[str, Any]:
    from zsad.backbones.names import parse_backbone

    parsed = parse_backbone(name)
    if parsed.file is None and parsed.seed is None:
        raise InputError(
            f"--verify {name}: write ARCH[:PRETRAINED]@/path/to/file, or timm:NAME@/path/to/file"
        )
    return _verify_timm(parsed) if parsed.library == "timm" else _verify_open_clip(parsed)


def _verify_timm(parsed: BackboneName) -> dict[str, Any]:
    import torch

    from zsad.backbones.opaque import OpaqueTower
    from zsad.backbones.timm_loading import create_timm, from_timm
    from zsad.streams import TokenRequest, VisionRequest

    model = create_timm(parsed)
    backbone = from_timm(model, torch.device("cpu"), torch.float32)
    tower = backbone.vision_tower()
    if isinstance(tower, OpaqueTower):
        raise InputError(
            f"--verify {parsed.text}: timm computes this tower itself, so nothing can be compared; verify "
            "a plain vision transformer"
        )
    side = tower.native_image_size
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    module: Any = model.module
    with torch.no_grad():
        theirs = module.forward_features(images)[:, module.num_prefix_tokens :]
        (output,) = tower(images, [VisionRequest((TokenRequest("last", tower.depth, stage="ln_post"),))])
    difference = float((output.token_sets[0].tokens - theirs).abs().max() / theirs.std())
    return _report(parsed, backbone, {"difference_from_timm": difference}, difference)


def _verify_open_clip(parsed: BackboneName) -> dict[str, Any]:
    import torch

    from zsad.backbones.open_clip_loading import create_module, from_open_clip
    from zsad.backbones.open_clip_weights import with_activation

    module, card = create_module(parsed)
    backbone = from_open_clip(module, parsed, card, torch.device("cpu"), torch.float32)
    difference = backbone_difference(module, backbone)
    under = {"difference_from_open_clip": difference}
    if card.doubt is not None:
        # Both are open_clip's own numbers: which of them the weights were trained for, the file does not say.
        other: Activation = "gelu" if backbone.native_profile.activation == "quick_gelu" else "quick_gelu"
        under[f"difference_under_{other}"] = backbone_difference(with_activation(module, other), backbone)
    return _report(parsed, backbone, under, difference)


def _report(
    parsed: BackboneName, backbone: ClipBackbone, differences: dict[str, float], difference: float
) -> dict[str, Any]:
    card, tower, text = backbone.card, backbone.vision_tower(), backbone.text_tower()
    return {
        "backbone": parsed.text,
        "library": parsed.library,
        "sha256": backbone.sha256,
        "trained_on": card.trained_on,
        "image_size": tower.native_image_size,
        "patch_size": tower.patch_size,
        "blocks": tower.depth,
        "width": tower.width,
        "embed_dim": tower.embed_dim,
        "activation": backbone.native_profile.activation,
        "text_blocks": text.depth if text else None,
        **differences,
        "doubt": card.doubt,
        "agrees": card.doubt is None and difference <= AGREEMENT,
    }


def backbone_difference(module: Any, backbone: Any) -> float:
    """Return the largest difference between zsad's and open_clip's features of noise and a sentence.

    In units of the spread of open_clip's features.
    """
    import torch

    from zsad.streams import VisionRequest

    tower, text = backbone.vision_tower(), backbone.text_tower()
    side = tower.native_image_size
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    module.eval()
    with torch.no_grad():
        pairs = [(tower(images, [VisionRequest()])[0].image_feature, module.encode_image(images))]
        if text is not None:
            ids = text.tokenize(["a photo of a damaged object."])
            pairs.append((text(text.embed(ids), text.end_positions(ids)), module.encode_text(ids)))
    return max(float((ours - theirs).abs().max() / theirs.std()) for ours, theirs in pairs)
