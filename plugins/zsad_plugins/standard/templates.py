"""Fixed prompts: state words in photo templates."""

from __future__ import annotations

from functools import cache

import torch
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.plugin.imports import read_resource
from zsad.prompts import Prompts, Reduction
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.standard.options import TemplatesOptions


class StateWords(BaseModel):
    """A file of state words and templates, with its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    normal: tuple[str, ...]
    abnormal: tuple[str, ...]
    templates: tuple[str, ...]

    def sentences(self, states: tuple[str, ...], class_name: str) -> list[str]:
        """Return every state of the object in every template, template by template."""
        return [
            template.replace("{}", state.replace("{}", class_name))
            for template in self.templates
            for state in states
        ]


@cache
def read_words(resource: str) -> StateWords:
    """Read state words from a resource.

    Raises:
        InputError: Not a file of state words.
    """
    try:
        return StateWords.model_validate(yaml.safe_load(read_resource(resource)))
    except (yaml.YAMLError, ValidationError) as error:
        raise InputError(f"{resource} is not a file of state words: {str(error).splitlines()[0]}") from error


class TemplatePrompts:
    """A prompt learner that learns nothing: sentences made of words."""

    class_agnostic = False

    def __init__(self, options: TemplatesOptions, context: BuildContext) -> None:
        self.options, self.text = options, context.text
        self.words = read_words(options.words)

    def sentences(self, class_name: str) -> tuple[list[str], list[str]]:
        """Return the normal and the abnormal sentences about an object."""
        own = self.options.normal_prompts, self.options.abnormal_prompts
        states = self.words.normal, self.words.abnormal
        normal, abnormal = (
            [sentence.replace("{}", class_name) for sentence in given]
            or self.words.sentences(kept, class_name)
            for given, kept in zip(own, states, strict=True)
        )
        return normal, abnormal

    def __call__(self, class_name: str) -> Prompts:
        """Return the tokenised sentences, normal ones first."""
        normal, abnormal = self.sentences(class_name)
        found = self.text.sentences([*normal, *abnormal])
        state = [NORMAL] * len(normal) + [ABNORMAL] * len(abnormal)
        return Prompts(
            found.embeddings,
            found.end,
            torch.tensor(state, device=found.end.device),
            reduction=Reduction(normalize_each=self.options.normalize_each),
        )
