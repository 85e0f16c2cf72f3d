"""The grammar of backbone names, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from zsad.errors import InputError, nearest
from zsad.plugin.host import Host

FORMS = (
    "ARCH:PRETRAINED, ARCH[:PRETRAINED]@/path/to/file, ARCH@random:SEED, hf-hub:REPOSITORY, or for vision "
    "alone timm:NAME[.TAG][@/path/to/file or @random:SEED]"
)

TIMM = "timm:"
"""How the names of timm's models begin here; without it some of them are also names of open_clip's."""


def default_backbone(host: Host) -> str:
    """Return the name of the backbone that is meant where none is named: the one that its plugin marks.

    Raises:
        InputError: No plugin marks one, or it is disabled.
    """
    for name, claim in host.backbones.items():
        if claim.spec.default:
            return name
    raise InputError(f"no plugin offers a backbone to fall back on; name one: {FORMS}")


@dataclass(frozen=True)
class BackboneName:
    """A parsed backbone name.

    Attributes:
        text: As written.
        arch: open_clip architecture, ``hf-hub:...``, or a path to a model-config JSON; or timm's model behind
            ``timm:``, without a tag.
        pretrained: The library's tag, or None. Beside a file, it says which weights the file holds.
        file: Local weights, or None.
        seed: Seed of random weights, or None.
        library: Which one loads it.
    """

    text: str
    arch: str
    pretrained: str | None = None
    file: Path | None = None
    seed: int | None = None
    library: Literal["open_clip", "timm"] = "open_clip"

    @property
    def config(self) -> Path | None:
        """The model-config file, where ARCH is a path to one."""
        return Path(self.arch) if self.arch.endswith(".json") else None

    @property
    def short(self) -> str:
        """The architecture's name, without folders."""
        return Path(self.arch).stem if self.config else self.arch


@cache
def open_clip_archs() -> tuple[str, ...]:
    """Return the architecture names that open_clip knows, read from its files without importing it."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        return ()
    folder = Path(spec.submodule_search_locations[0]) / "model_configs"
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def parse_backbone(text: str) -> BackboneName:
    """Parse a name of one of the ``FORMS``. What timm has is not looked up: it takes seconds to import.

    Raises:
        InputError: Not of that form, an architecture that open_clip has not, or a missing file.
    """
    if text.startswith(TIMM):
        return _parse_timm(text)
    if text.startswith("hf-hub:"):
        return BackboneName(text, text)
    named, at, source = text.partition("@")
    arch, tag = named, ""
    if not named.endswith(".json"):
        arch, _, tag = named.partition(":")
        arch = arch.replace("/", "-")
    _check_arch(arch, text)
    if not at:
        if not tag:
            raise InputError(
                f"backbone '{text}' names no weights; write {FORMS}, for example {arch}:openai, "
                f"or {arch}@random:0 to time it"
            )
        return BackboneName(text, arch, pretrained=tag)
    return _with_source(text, arch, tag, source)


def _parse_timm(text: str) -> BackboneName:
    named, at, source = text.partition("@")
    arch, _, tag = named.partition(".")
    if arch == TIMM:
        raise InputError(
            f"backbone '{text}' names no model; write {TIMM}vit_small_patch14_dinov2, for example"
        )
    if not at:
        return BackboneName(text, arch, pretrained=tag or None, library="timm")
    return replace(_with_source(text, arch, tag, source), library="timm")


def _with_source(text: str, arch: str, tag: str, source: str) -> BackboneName:
    """Return a name whose weights are those of a file, or random."""
    if source.startswith("random:"):
        seed = source.removeprefix("random:")
        if tag:
            raise InputError(f"backbone '{text}': random weights are of no tag; write {arch}@{source}")
        if not seed.isdecimal():
            raise InputError(f"backbone '{text}': the seed after 'random:' has to be a whole number")
        if int(seed) >= 2**63:
            raise InputError(f"backbone '{text}': the seed after 'random:' has to be below 2^63")
        return BackboneName(text, arch, seed=int(seed))
    if not source.strip():
        raise InputError(f"backbone '{text}' names no file after '@'; write {text.rstrip()}/path/to/file")
    file = Path(source).expanduser()
    if not file.is_file():
        raise InputError(f"backbone '{text}': there is no weights file {file}")
    return BackboneName(text, arch, pretrained=tag or None, file=file)


def _check_arch(arch: str, text: str) -> None:
    if not arch.endswith(".json"):
        if arch not in open_clip_archs():
            raise InputError(
                f"unknown backbone '{text}'{nearest(arch, open_clip_archs())} (a backbone is {FORMS}, or a "
                "name that 'zsad backbones' lists)"
            )
        return
    try:
        config = json.loads(Path(arch).read_text())
    except OSError as error:
        raise InputError(f"cannot read the model config {arch}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the model config {arch} is not valid JSON: {error}") from error
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config if isinstance(config, dict) else ())
    if missing:
        raise InputError(f"the model config {arch} is not in open_clip's form: it lacks {sorted(missing)}")
