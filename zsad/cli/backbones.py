"""``zsad backbones``: what methods can run on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zsad.backbones.names import FORMS, TIMM, default_backbone, open_clip_archs, parse_backbone
from zsad.cli.groups import list_group
from zsad.cli.output import JsonOption, print_fields, print_json, print_message, print_table
from zsad.errors import InputError, nearest
from zsad.plugin.host import get_host
from zsad.plugin.imports import read_resource

app = list_group()


@app.command("list")
def list_backbones(as_json: JsonOption = False) -> None:
    """List registered backbones and the architectures that open_clip knows."""
    host = get_host()
    marked = default_backbone(host) if any(c.spec.default for _, c in host.backbones.items()) else None
    registered: list[dict[str, Any]] = [
        {"name": name, "source": claim.distribution, "default": name == marked, "summary": claim.spec.summary}
        for name, claim in host.backbones.items()
    ]
    archs: list[dict[str, Any]] = [
        {"name": arch, "source": "open_clip", "default": False, "summary": "architecture"}
        for arch in open_clip_archs()
    ]
    if as_json:
        print_json(registered + archs)
        return
    rows = [row | {"default": "yes" if row["default"] else None} for row in registered + archs]
    print_table(rows, ("name", "source", "default", "summary"))
    print_message(
        f"a backbone is one of these names, or {FORMS}; 'zsad backbones info ARCH' or 'info timm:NAME' lists "
        "the weights that there are"
    )


@app.command("info")
def info(
    name: Annotated[
        str, typer.Argument(help="A registered name, an open_clip architecture, or timm:NAME[.TAG].")
    ],
    as_json: JsonOption = False,
) -> None:
    """Describe a backbone; for a model of open_clip or timm, its shape and its pretrained weights."""
    host = get_host()
    if name in host.backbones:
        claim = host.backbones.get(name)
        card = read_resource(claim.spec.card) if claim.spec.card else None
        fields = {"name": name, "source": claim.distribution, "summary": claim.spec.summary, "card": card}
    elif name.startswith(TIMM):
        fields = _timm(name)
    else:
        fields = _arch(name)
    if as_json:
        print_json(fields)
        return
    card = fields.pop("card", None)
    print_fields(fields)
    if card:
        print(f"\n{card.rstrip()}")


def _arch(name: str) -> dict[str, Any]:
    known = (*get_host().backbones.names(), *open_clip_archs())
    if name not in known:
        raise InputError(f"unknown backbone '{name}'{nearest(name, known)}")
    import open_clip

    config = open_clip.get_model_config(name)
    vision = config["vision_cfg"]
    return {
        "name": name,
        "source": "open_clip",
        "image_size": vision.get("image_size"),
        "patch_size": vision.get("patch_size"),
        "width": vision.get("width"),
        "blocks": vision.get("layers"),
        "embed_dim": config["embed_dim"],
        "pretrained": open_clip.list_pretrained_tags_by_model(name),
    }


def _timm(name: str) -> dict[str, Any]:
    import torch

    from zsad.backbones.card import BackboneCard
    from zsad.backbones.opaque import OpaqueTower
    from zsad.backbones.timm_loading import TimmModel, from_timm
    from zsad.backbones.timm_models import plan_of, tags_of
    from zsad.backbones.timm_training import trained_on

    plan = plan_of(parse_backbone(name))
    # Its shapes alone: no weight is loaded to describe a model.
    model = TimmModel(plan.empty(), plan, BackboneCard(name, "nothing"))
    backbone = from_timm(model, torch.device("meta"), torch.float32)
    tower, config = backbone.vision_tower(), plan.config
    opaque = isinstance(tower, OpaqueTower)
    return {
        "name": name,
        "source": "timm",
        "tower": "opaque: taps alone" if opaque else "open: refined streams, injected tokens, adapters",
        "image_size": tower.native_image_size,
        "patch_size": tower.patch_size,
        "width": tower.width,
        "blocks": tower.depth,
        "embed_dim": tower.embed_dim,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "trained_on": trained_on(config.tag or ""),
        "licence": config.license or "not stated",
        "pretrained": tags_of(plan.arch),
    }
