"""Load any backbone by name: one that a plugin registered, or an open_clip model."""

from __future__ import annotations

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.names import parse_backbone
from zsad.backbones.precision import choose_device, choose_dtype
from zsad.host import get_host
from zsad.imports import load_object


def load_backbone(name: str, device: str = "auto", dtype: str = "auto") -> ClipBackbone:
    """Load a backbone.

    Args:
        name: A registered name (``zsad backbones``), ``ARCH:PRETRAINED``, ``ARCH@/path/to/file``,
            ``ARCH@random:SEED`` (timing only) or ``hf-hub:REPOSITORY``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        InputError: Unknown name, missing file, or a device that is not there.
        ZsadError: The hub cannot be reached.
    """
    where = choose_device(device)
    precision = choose_dtype(dtype, where)
    host = get_host()
    if name in host.backbones:
        spec = host.backbones.get(name).spec
        backbone: ClipBackbone = load_object(spec.factory)(where, precision)
        return backbone
    from zsad.backbones.open_clip_loading import load_open_clip  # open_clip takes seconds to import

    return load_open_clip(parse_backbone(name), where, precision)
