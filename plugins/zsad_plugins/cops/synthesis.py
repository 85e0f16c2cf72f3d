"""Conditional prompt synthesis: an image's prototypes and sampled class tokens in a learner's prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.prompts import DeepPrompts, Prompts
from zsad.values import ABNORMAL, NORMAL, Features
from zsad_plugins.cops.networks import INITIAL_DEVIATION, ClassDecoder, PrototypeExtractor, initialise
from zsad_plugins.cops.options import SynthesisOptions
from zsad_plugins.cops.tokens import tap_mean


class PromptSynthesis(nn.Module):
    """Completes prompts with what an image shows.

    P = extractor(queries, F); b_s = decoder(z_s), s = 1 ... S. Every prompt becomes S prompts: its state
    tokens plus the prototypes of one state, its class tokens plus b_s.

    Attributes:
        queries: [2, P, C], normal first.
        noise: z, [S, C] for every image alike or [B, S, C]; see :meth:`use_noise`. It is not
            stored with the weights.
        project: From the joint space to token embeddings; the identity where they are equally wide.
    """

    def __init__(self, options: SynthesisOptions, context: BuildContext) -> None:
        super().__init__()
        joint, width = context.embed_dim, context.text.width
        self.swap, self.detach = options.swap, options.detach
        self.class_tokens = options.class_tokens
        self.queries = nn.Parameter(torch.randn(2, options.prototypes, joint) * INITIAL_DEVIATION)
        self.extractor = PrototypeExtractor(joint, options.heads)
        self.decoder = ClassDecoder(joint)
        self.project = nn.Identity() if joint == width else nn.Linear(joint, width, bias=False)
        initialise(self.project)
        generator = torch.Generator().manual_seed(options.noise_seed)
        noise = torch.randn(options.samples, joint, generator=generator)
        self.register_buffer("noise", noise, persistent=False)
        self.noise: Tensor

    def use_noise(self, noise: Tensor) -> None:
        """Take other draws: [S, C] for every image alike, or [B, S, C] for batches of B images.

        Raises:
            ValueError: Of another shape.
        """
        if noise.ndim not in (2, 3) or noise.shape[-1] != self.queries.shape[-1]:
            raise ValueError(f"noise has to be [S, C] or [B, S, C], not {list(noise.shape)}")
        self.noise = noise.to(self.queries)

    def prototypes(self, features: Features) -> Tensor:
        """Return the prototypes of both states, [B, 2, P, C], normal first."""
        patches = tap_mean(features)
        queries = self.queries.flatten(0, 1)
        found: Tensor = self.extractor(queries, patches.to(queries.dtype))
        return found.reshape(-1, *self.queries.shape).to(patches.dtype)

    def forward(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return n * S prompts per image, a prompt's samples side by side, and the prototypes [B, P, C].

        Raises:
            InputError: The prompts have no learned context, or too short a one.
        """
        return self.synthesised(prompts, features, self.decoder(self.noise))

    def synthesised(
        self, prompts: Prompts, features: Features, biases: Tensor
    ) -> tuple[Prompts, dict[str, Tensor]]:
        """Do what :meth:`forward` says with class biases b: [S, C] for every image alike, or [B, S, C]."""
        state_slot, class_slot = self._slots(prompts)
        prototypes = self.prototypes(features)
        completed = self._completed(prompts, prototypes, self.project(biases), state_slot, class_slot)
        return completed, {
            "prototypes.normal": prototypes[:, NORMAL],
            "prototypes.abnormal": prototypes[:, ABNORMAL],
        }

    def _completed(
        self, prompts: Prompts, prototypes: Tensor, biases: Tensor, state_slot: slice, class_slot: slice
    ) -> Prompts:
        given = prototypes.detach() if self.detach else prototypes
        states = self.project(given.to(self.queries.dtype))[:, self._source(prompts.state)]
        count = biases.shape[-2]
        dtype = torch.promote_types(prompts.embeddings.dtype, states.dtype)
        # [B, n, S, L, D]
        embeddings = prompts.embeddings[:, :, None].to(dtype).repeat(1, 1, count, 1, 1)
        embeddings[..., state_slot, :] += states[:, :, None].to(dtype)
        embeddings[..., class_slot, :] += biases.unsqueeze(-3).unsqueeze(-2).to(dtype)
        return replace(
            prompts,
            embeddings=embeddings.flatten(1, 2),
            end=prompts.end.repeat_interleave(count, -1),
            state=prompts.state.repeat_interleave(count, -1),
            deep=prompts.deep and _repeated(prompts.deep, count),
            weights=None if prompts.weights is None else prompts.weights.repeat_interleave(count, -1),
        )

    def _source(self, state: Tensor) -> Tensor:
        """Return which state's prototypes each prompt gets, [n]."""
        return (NORMAL + ABNORMAL) - state if self.swap else state

    def _slots(self, prompts: Prompts) -> tuple[slice, slice]:
        """Return the places of state and class tokens: as the learner names them, else its last context."""
        count, slots = self.queries.shape[1], prompts.slots
        if "state" in slots and "class" in slots:
            state, class_slot = slots["state"], slots["class"]
            if state.stop - state.start < count:
                raise InputError(
                    f"cops.synthesis adds {count} prototypes, and the prompt learner has "
                    f"{state.stop - state.start} state tokens; set the one or the other"
                )
            return slice(state.start, state.start + count), class_slot
        if "context" not in slots:
            raise InputError(
                "cops.synthesis adds to learned context tokens, and this prompt learner has no slot "
                "'context'; use --set prompt_learner=cops.prompts"
            )
        context, need = slots["context"], count + self.class_tokens
        if context.stop - context.start < need:
            raise InputError(
                f"cops.synthesis needs {need} context tokens ({count} prototypes, {self.class_tokens} class "
                f"tokens), and the prompt learner has {context.stop - context.start}; give it more, or set "
                "prompt_conditioner.prototypes"
            )
        middle = context.stop - self.class_tokens
        return slice(middle - count, middle), slice(middle, context.stop)


def _repeated(deep: DeepPrompts, count: int) -> DeepPrompts:
    """Return deep prompts for ``count`` samples of each prompt; what all prompts share stays one."""
    tokens = tuple(
        entry.repeat_interleave(count, -3) if entry.ndim > 2 and entry.shape[-3] > 1 else entry
        for entry in deep.tokens
    )
    return replace(deep, tokens=tokens)
