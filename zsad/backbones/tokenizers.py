"""The tokenizer that an open_clip model was trained with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import open_clip
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from zsad.backbones.hub import hub_errors
from zsad.backbones.names import BackboneName

Tokenizer = Callable[[Sequence[str]], Tensor]


def tokenizer_of(name: BackboneName, context_length: int) -> Tokenizer:
    """Return a model's tokenizer: CLIP's own, which comes with open_clip, or one that is fetched late."""
    if name.arch.startswith("hf-hub:"):
        return LateTokenizer(name.arch, name.text, lambda: open_clip.get_tokenizer(name.arch))
    text = _text_config(name)
    source = text.get("hf_tokenizer_name")
    if not source:
        return (  # type: ignore[no-any-return]
            open_clip.SimpleTokenizer(context_length=context_length)
            if name.config
            else open_clip.get_tokenizer(name.arch)
        )
    folder = _local_folder(name, source)
    if folder is None and name.config is None:
        return LateTokenizer(source, name.text, lambda: open_clip.get_tokenizer(name.arch))
    where, options = str(folder or source), text.get("tokenizer_kwargs", {})
    mode = text.get("tokenizer_mode")
    return LateTokenizer(
        where, name.text, lambda: HFTokenizer(where, context_length, tokenizer_mode=mode, **options)
    )


class LateTokenizer:
    """A tokenizer that is fetched for the first text: methods without text work without it.

    Args:
        source: Repository or folder that it comes from.
        model: The model that needs it, as the user wrote it.
        load: Returns the tokenizer.
    """

    def __init__(self, source: str, model: str, load: Callable[[], Tokenizer]) -> None:
        self._source, self._model, self._load = source, model, load

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return token ids [n, context_length].

        Raises:
            ZsadError: The hub cannot be reached, or there is no tokenizer where it was said to be.
        """
        return self._tokenizer(texts)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        mend = (
            "put its files beside the weights of ARCH@/path/to/file, or name their folder as "
            "text_cfg.hf_tokenizer_name in a copy of the model's config (--backbone COPY.json@...)"
        )
        with hub_errors(f"tokenizer {self._source} of {self._model}", mend):
            return self._load()


def _text_config(name: BackboneName) -> dict[str, Any]:
    config = json.loads(name.config.read_text()) if name.config else open_clip.get_model_config(name.arch)
    return dict(config["text_cfg"])


def _local_folder(name: BackboneName, source: str) -> Path | None:
    """Return the folder, beside the weights or named by the config, that holds a tokenizer's files."""
    folders = [name.file.parent] if name.file else []
    folders += [name.config.parent / source] if name.config else []
    return next((folder for folder in folders if (folder / "tokenizer_config.json").is_file()), None)
