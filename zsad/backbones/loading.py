"""Load any backbone by name: one that a plugin registered, or a model of open_clip or timm."""

from __future__ import annotations

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.names import default_backbone, parse_backbone
from zsad.backbones.precision import choose_device, choose_dtype
from zsad.plugin.host import Host, get_host
from zsad.plugin.imports import load_object


def load_backbone(
    name: str | None = None, device: str = "auto", dtype: str = "auto", *, host: Host | None = None
) -> ClipBackbone:
    """Load a backbone.

    Args:
        name: A registered name (``zsad backbones``), ``ARCH:PRETRAINED``, ``ARCH[:PRETRAINED]@FILE``,
            ``ARCH@random:SEED`` (timing only), ``hf-hub:REPOSITORY``, or ``timm:NAME``, ``timm:NAME@FILE``,
            ``timm:NAME@random:SEED`` for a vision tower alone; None for the default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        host: Plugin host, by default the process's own.

    Raises:
        InputError: Unknown name, missing file, or a device that is not there.
        ZsadError: The hub cannot be reached.
    """
    host = host or get_host()
    name = name or default_backbone(host)
    where = choose_device(device)
    precision = choose_dtype(dtype, where)
    if name in host.backbones:
        spec = host.backbones.get(name).spec
        backbone: ClipBackbone = load_object(spec.factory)(where, precision)
        return backbone
    parsed = parse_backbone(name)
    if parsed.library == "timm":
        from zsad.backbones.timm_loading import load_timm  # as long as open_clip

        return load_timm(parsed, where, precision)
    from zsad.backbones.open_clip_loading import load_open_clip  # open_clip takes seconds to import

    return load_open_clip(parsed, where, precision)
