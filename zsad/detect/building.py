"""Building parts, and the checks that each is what its plugin declares."""

from __future__ import annotations

from typing import Any

from torch import nn

from zsad.backbones.chance import seeded
from zsad.backbones.clip import ClipBackbone
from zsad.errors import InputError, ZsadError
from zsad.parts import (
    BuildContext,
    Injector,
    ProvisionalConditioner,
    TwoPhasePostProcessor,
    TwoPhaseScorer,
)
from zsad.plugin.imports import cause, load_object
from zsad.recipe.resolved import ResolvedPart


def build_part(part: ResolvedPart, context: BuildContext) -> Any:
    """Build a part and check that it is of the form that its spec declares.

    Raises:
        InputError: An option does not fit the backbone.
        ZsadError: Its factory raised, or the part is not of the form that its spec declares.
    """
    name = part.spec.name
    try:
        with seeded(context.seed):
            built = load_object(part.spec.factory)(part.options, context)
    except InputError as error:
        raise InputError(f"part '{name}': {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # its author's code
        why = str(error) if isinstance(error, ZsadError) else cause(error)
        raise ZsadError(f"part '{name}' cannot be built: {why}") from error
    if isinstance(built, (TwoPhaseScorer, TwoPhasePostProcessor)) != part.spec.two_phase:
        said = "has collect and finalize" if not part.spec.two_phase else "lacks collect and finalize"
        raise ZsadError(f"part '{name}' {said}, but declares two_phase={part.spec.two_phase}")
    if isinstance(built, ProvisionalConditioner) != bool(part.spec.provisional):
        said = "lacks condition(prompts, features, provisional)" if part.spec.provisional else "has condition"
        raise ZsadError(f"part '{name}' {said}, but declares provisional={sorted(part.spec.provisional)}")
    if hasattr(built, "inject") and not isinstance(built, Injector):
        raise ZsadError(f"part '{name}' injects, but lacks needs_prepass or request()")
    if part.kind == "reference_store" and not (hasattr(built, "remember") and hasattr(built, "fit")):
        raise ZsadError(f"part '{name}' is a reference_store, but lacks remember or fit")
    if part.spec.learnable and not isinstance(built, nn.Module):
        raise ZsadError(f"part '{name}' is declared learnable, but is no torch module")
    return built


def check_owns_its_tensors(part: ResolvedPart, module: nn.Module, backbone: ClipBackbone) -> None:
    """Check that a part holds no tensor of a tower, which training would then move with it.

    Raises:
        ZsadError: A parameter or buffer shares its memory with a frozen weight.
    """
    frozen = backbone.storages()
    held = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in held:
        if tensor.numel() and tensor.untyped_storage().data_ptr() in frozen:
            raise ZsadError(
                f"part '{part.spec.name}' holds frozen weights of the backbone as its own '{name}'; "
                "let it keep context.text, which is no module, or copies"
            )
