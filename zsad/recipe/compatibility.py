"""Whether the parts of a recipe fit together and the backbone, decided from what they declare."""

from __future__ import annotations

from collections.abc import Sequence

from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.recipe.profiles import SQUARE_INPUT, Readout
from zsad.recipe.resolved import ResolvedPart

BATCH_KINDS = (
    "auxiliary",
    "attention_refiner",
    "feature_adapter",
    "reference_store",
    "prompt_learner",
    "prompt_conditioner",
)
"""Parts whose results are there for one batch only, or for the scorer alone."""


def check_compatibility(
    host: Host, parts: Sequence[ResolvedPart], capabilities: frozenset[str], readout: Readout
) -> None:
    """Check that the backbone or an earlier part provides what each part requires.

    Behind a two-phase part nothing is left of a single batch: tokens and side inputs are gone.

    Raises:
        InputError: Names the part, the requirement, and a part that would meet it.
    """
    _check_provisional(parts)
    _check_memory(parts)
    kinds = {part.kind for part in parts}
    if "prompt_conditioner" in kinds and "prompt_learner" not in kinds:
        raise InputError("this recipe has a prompt_conditioner, but no prompt_learner for it to edit")
    available, of_batch = set(capabilities), set[str]()
    read = {"patch_tokens", f"tokens:{readout.stage}"}
    if "attention_refiner" not in kinds:
        available |= read
        of_batch |= read
    for part in parts:
        for need in sorted(part.requires - available):
            if need in of_batch:
                raise InputError(
                    f"part '{part.spec.name}' ({part.kind}) requires '{need}', of which nothing is kept "
                    "behind a two-phase part; put it before that one"
                )
            raise InputError(
                f"part '{part.spec.name}' ({part.kind}) requires '{need}', which neither the backbone nor an "
                f"earlier part provides{_who_provides(host, need)}"
            )
        available |= part.provides
        if part.kind in BATCH_KINDS:
            of_batch |= part.provides
        if "patch_tokens" in part.provides:
            available |= read
            of_batch |= read
        if part.spec.two_phase:
            available -= of_batch
    for end in ("anomaly_map", "image_score"):
        if end not in available:
            raise InputError(f"no part of this recipe provides '{end}'{_who_provides(host, end)}")


def _check_provisional(parts: Sequence[ResolvedPart]) -> None:
    """Check that the scorer can be asked before a conditioner that wants to know its provisional scores."""
    asking = next((part for part in parts if part.spec.provisional), None)
    scorer = next((part for part in parts if part.kind == "scorer"), None)
    if asking is None or scorer is None:
        return
    said = f"part '{asking.spec.name}' ({asking.kind}) asks the scorer for provisional scores"
    if scorer.spec.two_phase:
        raise InputError(
            f"{said}, and '{scorer.spec.name}' scores whole sets, not batches; choose another scorer"
        )
    if "memory" in scorer.requires:
        raise InputError(
            f"{said}, and '{scorer.spec.name}' compares with references, of which a first look has none; "
            "choose another scorer"
        )
    if needs := sorted(scorer.requires & asking.provides):
        raise InputError(f"{said}, and '{scorer.spec.name}' needs '{needs[0]}' of it before it can score")
    for need in sorted(asking.spec.provisional - scorer.provides):
        raise InputError(f"{said} of which it needs '{need}', and '{scorer.spec.name}' does not provide that")


def _check_memory(parts: Sequence[ResolvedPart]) -> None:
    """Check that what a reference store remembers is read."""
    store = next((part for part in parts if part.kind == "reference_store"), None)
    scorer = next((part for part in parts if part.kind == "scorer"), None)
    if store is not None and scorer is not None and "memory" not in scorer.requires:
        raise InputError(
            f"part '{store.spec.name}' (reference_store) remembers what '{scorer.spec.name}' (scorer) does "
            "not read; add --set reference_store=none, or choose a scorer that requires 'memory'"
        )


def _who_provides(host: Host, need: str) -> str:
    if need == SQUARE_INPUT:
        return "; use --set profile.image_resize=squash"
    names = [
        f"'{name}' ({claim.spec.kind})" for name, claim in host.parts.items() if need in claim.spec.provides
    ]
    return f"; {', '.join(names[:3])} would" if names else ""
