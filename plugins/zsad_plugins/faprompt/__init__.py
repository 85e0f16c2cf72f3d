"""FAPrompt: compound abnormality prompts, shifted by what a first look at the image found (ICCV 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield prompts, prior and scorer."""
    # fmt: off
    yield PartSpec("faprompt.prompts", "prompt_learner", ".prompts:CompoundPrompts",
                   "one normal prompt and ten abnormal ones that go on from the same learned context",
                   options=".options:PromptOptions", requires={"causal_text"}, learnable=True)
    yield PartSpec("faprompt.prior", "prompt_conditioner", ".prior:AbnormalityPrior",
                   "shifts abnormal prompts by features of patches that they find anomalous unshifted",
                   options=".options:PriorOptions", requires={"tokens:joint"},
                   provisional={"scores:logits"}, learnable=True)
    yield PartSpec("faprompt.two_looks", "scorer", ".two_looks:TwoLooks",
                   "cosine logits by the unshifted and by the shifted prompts; the image score mixes both",
                   options=".options:ScorerOptions", requires={"tokens:joint", "text_features", "cls_token"},
                   provides={"scores:logits", "image_score"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the losses of both looks, of the prompts and of their shift."""
    # fmt: off
    yield LossSpec("faprompt-first-maps", ".losses:first_maps",
                   "focal and dice loss of the maps by the unshifted prompts")
    yield LossSpec("faprompt-maps", ".losses:maps", "focal and dice loss of the maps by the shifted prompts")
    yield LossSpec("faprompt-image", ".losses:image", "cross entropy of the image feature with the prompts",
                   options=".options:ImageLossOptions", masks=False)
    yield LossSpec("faprompt-score", ".losses:score", "binary focal loss of the image score",
                   options=".options:ScoreLossOptions", masks=False)
    yield LossSpec("faprompt-pairs", ".losses:pairs", "cosines between the features of the abnormal prompts",
                   masks=False)
    yield LossSpec("faprompt-shift", ".losses:shift", "squares of the prompts' shift on normal images",
                   masks=False)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec("faprompt", ":recipe.yaml", ".convert:convert")
