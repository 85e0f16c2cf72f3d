"""Whether training saw what is measured: by content first, by the names of published datasets else.

A folder's name is no identity: one set lies in folders of many names, and many sets lie in folders called
``data``. Weights that know their images' content are asked for that. A name that people gave stands for a
published dataset if a layout is named after it; that one is known by its aliases, or by layout and classes.
"""

from __future__ import annotations

from zsad.backbones.card import TrainedOn
from zsad.data.dataset import Dataset
from zsad.plugin.host import get_host
from zsad.plugin.specs import DatasetSpec


def saw(entry: TrainedOn, part: Dataset, source: Dataset) -> bool:
    """Return whether weights saw images of a class in training, whatever it is called now.

    Args:
        entry: A dataset that the weights were learned on.
        part: The dataset restricted to the class.
        source: The dataset as it was given.

    Raises:
        InputError: A file cannot be read.
    """
    if entry.images is not None and not part.content_marks.isdisjoint(entry.images):
        return True
    if entry.classes is not None and part.classes[0] not in entry.classes:
        return False
    # Training may have seen the class alone or the whole dataset.
    if entry.manifest in (part.manifest_hash, source.manifest_hash):
        return True
    published = _published(entry.dataset)
    if published is not None and _is(source, part.classes[0], published):
        return True
    return entry.images is None and _squeezed(entry.dataset) == _squeezed(source.name)


def _published(name: str) -> DatasetSpec | None:
    """Return the layout that is named after the published dataset of a name, if there is one."""
    for _, claim in get_host().datasets.items():
        if claim.spec.aliases and _squeezed(name) in _names(claim.spec):
            return claim.spec
    return None


def _is(source: Dataset, class_name: str, published: DatasetSpec) -> bool:
    """Return whether a class is one of a published dataset: by name, or by its own and what is around it."""
    names, known = _names(published), set(map(_squeezed, published.classes))
    if _squeezed(source.name) in names:
        return True
    if _squeezed(class_name) not in known:
        return False
    there = known.intersection(map(_squeezed, source.classes))
    below = not names.isdisjoint(map(_squeezed, source.root.parts))
    return below or source.layout == published.name or 2 * len(there) >= len(known)


def _names(spec: DatasetSpec) -> set[str]:
    return set(map(_squeezed, (spec.name, *spec.aliases)))


def _squeezed(name: str) -> str:
    """Return a name without what people write now one way and now the other."""
    return "".join(filter(str.isalnum, name.casefold())) or name
