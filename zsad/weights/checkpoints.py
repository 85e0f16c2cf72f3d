"""Import authors' checkpoints: only tensors are read, never arbitrary objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from zsad.backbones.card import TrainedOn
from zsad.backbones.tensors import read_tensors
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.recipe.profiles import TowerProfile
from zsad.recipe.recipes import Recipe, load_recipe
from zsad.recipe.resolved import ResolvedPart
from zsad.weights.card import WeightsCard, file_sha256
from zsad.weights.loading import save_weights


def convert_checkpoint(
    host: Host,
    method: str,
    source: Path | Sequence[Path],
    target: Path,
    trained_on: tuple[str, ...] | None = None,
) -> WeightsCard:
    """Convert an authors' checkpoint to safetensors with a card.

    Args:
        host: Plugin host.
        method: Method that the checkpoint belongs to.
        source: The authors' file, or files in the order of the method's ``checkpoint``.
        target: File to write.
        trained_on: Names of the datasets it was learned on, or None where that is not known.

    Raises:
        InputError: Unknown method, one without checkpoints, or a checkpoint of another method.
        ZsadError: The target cannot be written.
    """
    spec = host.recipes.get(method).spec
    if spec.converter is None:
        raise InputError(f"method '{method}' has no checkpoint to convert: it learns nothing")
    if target.suffix != ".safetensors":
        raise InputError(f"the output {target} has to end in .safetensors")
    sources = [source] if isinstance(source, Path) else list(source)
    if len(sources) != len(spec.checkpoint):
        raise InputError(
            f"the checkpoint of '{method}' is {len(spec.checkpoint)} file"
            f"{'s' * (len(spec.checkpoint) > 1)} ({', '.join(spec.checkpoint)}, in this order), and "
            f"{len(sources)} {'was' if len(sources) == 1 else 'were'} given"
        )
    read = read_tensors if spec.reader is None else load_object(spec.reader)
    contents = [read(path) for path in sources]
    try:
        tensors = load_object(spec.converter)(*contents)
    except InputError as error:
        names = " and ".join(map(str, sources))
        raise InputError(
            f"{names} {'is' if len(sources) == 1 else 'are'} not a checkpoint of {method}: {error}"
        ) from error
    recipe = load_recipe(host, method)
    parts = _parts_of(host, recipe, tensors)
    official = recipe.official
    card = WeightsCard(
        method=method,
        parts=parts,
        profile=TowerProfile(**dict(official.vision)).binding() if official else {},
        text_activation=official.text.activation if official and official.text else None,
        origin="authors",
        trained_on=None if trained_on is None else tuple(TrainedOn(dataset=name) for name in trained_on),
        source=", ".join(f"{path.name} sha256:{file_sha256(path)}" for path in sources),
    )
    save_weights(target, tensors, card)
    return card


def _parts_of(host: Host, recipe: Recipe, tensors: Iterable[str]) -> dict[str, str]:
    """Return the names of the parts that tensors belong to, by key.

    Raises:
        ZsadError: The importer made a tensor of no part that the recipe names.
    """
    specs = [host.parts.get(choice.use).spec for choice in recipe.parts.chosen()]
    names = {ResolvedPart(spec.kind, spec, None).key: spec.name for spec in specs}
    keys = sorted({name.partition(".")[0] for name in tensors})
    if strange := next((key for key in keys if key not in names), None):
        raise ZsadError(
            f"the importer of '{recipe.name}' made weights of '{strange}', which is no part of its recipe "
            f"(there are: {', '.join(names)})"
        )
    return {key: names[key] for key in keys}
