"""Reference images in folders: which there are, by class, and which are drawn. No torch here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zsad.data.contents import contents
from zsad.data.folders import pair_masks, require_masks
from zsad.data.left_out import LeftOut
from zsad.data.names import printable
from zsad.data.walk import Found, find_images
from zsad.detect.memories import EVERY_CLASS, ReferenceFacts, class_among, needs_references
from zsad.errors import InputError, ZsadError, nearest
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.recipes import Recipe, load_recipe, recipe_dict, validate_recipe
from zsad.recipe.resolved import ResolvedPart, resolved_part

if TYPE_CHECKING:
    from zsad.detect.request import DetectorRequest
    from zsad.plugin.host import Host


@dataclass(frozen=True)
class ReferenceRequest:
    """Where reference images lie, and how many of them are taken.

    A folder that holds an image itself is one set for every class, with all that lies below. One that holds
    folders alone has a set for each class, which the folder's name says.

    Attributes:
        normal: Folder of normal images, or one image.
        abnormal: Folder of abnormal ones, or None.
        masks: Folder of their masks, found by stem.
        shots: How many are drawn of each class and kind, or None for all.
        seed: Decides which.

    Raises:
        InputError: Fewer than one shot, or abnormal images without masks.
    """

    normal: Path
    abnormal: Path | None = None
    masks: Path | None = None
    shots: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise InputError(f"--shots {self.shots}: draw 1 reference or more, or leave it out to take all")
        if (self.abnormal is None) != (self.masks is None):
            given, other = ("--reference-abnormal", "--reference-masks")[:: 1 if self.abnormal else -1]
            raise InputError(f"{given} needs {other} beside it: an abnormal reference counts by its mask")

    @classmethod
    def of(
        cls,
        normal: str | Path,
        abnormal: str | Path | None,
        masks: str | Path | None,
        shots: int | None,
        seed: int,
    ) -> ReferenceRequest:
        """Return the request for folders that may be named by text."""
        return cls(
            Path(normal),
            None if abnormal is None else Path(abnormal),
            None if masks is None else Path(masks),
            shots,
            seed,
        )


def reference_request(
    normal: str | Path | None,
    abnormal: str | Path | None,
    masks: str | Path | None,
    shots: int | None,
    seed: int,
) -> ReferenceRequest | None:
    """Return what is said of folders of references, or None where none is named.

    Raises:
        InputError: What needs ``--reference`` is given without it, or does not go together.
    """
    if normal is None:
        beside = {"--reference-abnormal": abnormal, "--reference-masks": masks, "--shots": shots}
        for option, given in beside.items():
            if given is not None:
                raise InputError(f"{option} needs --reference DIR beside it")
        return None
    return ReferenceRequest.of(normal, abnormal, masks, shots, seed)


@dataclass(frozen=True)
class ReferenceFile:
    """A reference image as a file.

    Attributes:
        image: The file.
        facts: What is known of it.
        mask: The file of its mask, for an abnormal one.
    """

    image: Path
    facts: ReferenceFacts
    mask: Path | None = None


@dataclass(frozen=True)
class ReferenceFiles:
    """The drawn references of every class.

    Attributes:
        classes: By the name of their folder, or under ``EVERY_CLASS``; normal ones first.
        left_out: What else lies there, with the reasons.
        copies: Images that hold what another one of their class holds, and do not count.
    """

    classes: Mapping[str, tuple[ReferenceFile, ...]]
    left_out: tuple[LeftOut, ...] = ()
    copies: tuple[Path, ...] = ()

    def named(self, class_name: str) -> str:
        """Return the name by which a class goes here.

        Raises:
            InputError: There are none.
        """
        found = class_among(self.classes, class_name)
        if found is None:
            known = ", ".join(sorted(self.classes))
            raise InputError(
                f"--reference: there is no folder of class '{class_name}'{nearest(class_name, self.classes)} "
                f"(there are {known}); name the class of one, or give a folder that holds the images itself"
            )
        return found

    def of(self, class_name: str) -> tuple[ReferenceFile, ...]:
        """Return the references of a class.

        Raises:
            InputError: There are none.
        """
        return self.classes[self.named(class_name)]


def wanted_store(host: Host, request: DetectorRequest) -> ResolvedPart | None:
    """Return the reference store of a method as it is asked for, without loading anything.

    Raises:
        InputError: An unknown part or option.
    """
    data = apply_overrides(recipe_dict(host, request.method), request.overrides)
    choice = validate_recipe(data, request.method).parts.reference_store
    return None if choice is None else resolved_part(host, choice)


def check_takes_references(host: Host, request: DetectorRequest, references: ReferenceRequest | None) -> None:
    """Check that a method that is given references takes some, and that one that needs them has them.

    It is decided from the recipe, before any weight is loaded.

    Args:
        host: Knows methods.
        request: What is asked of the detector; ``--set`` may exchange its store.
        references: Where references lie, if any are given beside the request's memory.

    Raises:
        InputError: It is not so, or references are given twice.
    """
    if references is not None and request.memory is not None:
        raise InputError("--memory stands in the place of --reference; leave one of them out")
    method, store = request.method, wanted_store(host, request)
    given = "--reference" if references is not None else "--memory" if request.memory is not None else ""
    if given and store is None:
        raise InputError(f"method '{method}' takes no reference images{others(host)}; leave {given} out")
    if store is not None and not given:
        raise InputError(needs_references(method))
    if store is not None and references is not None:
        check_kinds(method, store, abnormal=references.abnormal is not None)


def few_shot_methods(host: Host) -> dict[str, Recipe]:
    """Return the recipes of the methods that take references, by name."""
    found = {}
    for name in sorted(host.recipes.names()):
        try:
            recipe = load_recipe(host, name)
        except ZsadError:  # a third party's broken recipe must not hide the other methods
            continue
        if recipe.parts.reference_store is not None:
            found[name] = recipe
    return found


def others(host: Host) -> str:
    """Return which methods take references, for a sentence on one that does not."""
    names = ", ".join(few_shot_methods(host))
    return f" (those that do: {names})" if names else ""


def check_kinds(method: str, store: ResolvedPart, *, abnormal: bool) -> None:
    """Check that abnormal references are given where a store needs them, and only there.

    Raises:
        InputError: They are not, or are and have no effect.
    """
    if abnormal and not store.abnormal_references:
        raise InputError(
            f"method '{method}' remembers normal references alone; leave --reference-abnormal out"
        )
    if store.abnormal_references and not abnormal:
        raise InputError(
            f"method '{method}' needs abnormal reference images too: give --reference-abnormal DIR and "
            "--reference-masks DIR (in Python, detector.remember(images, abnormal=..., masks=...))"
        )


def find_references(request: ReferenceRequest) -> ReferenceFiles:
    """Return the references that are asked for.

    Which are drawn depends on the seed and on what the files hold, neither on their names nor on their order,
    and more shots of one seed are the fewer ones and others.

    Raises:
        InputError: A folder cannot be read or holds no image, images and masks do not fit together, there are
            fewer images than shots, or an image is among both kinds.
    """
    normal = find_images([request.normal])
    left_out = [*normal.left_out]
    classes = _by_class(request.normal, normal)
    masks: dict[Path, Path] = {}
    others: dict[str, list[Path]] = {}
    if request.abnormal is not None and request.masks is not None:
        abnormal = find_images([request.abnormal])
        found = find_images([request.masks])
        left_out += [*abnormal.left_out, *found.left_out]
        masks = pair_masks(abnormal.images, found.images, (request.abnormal, request.masks))
        require_masks(abnormal.images, masks, request.masks)
        others = _by_class(request.abnormal, abnormal)
        _check_same_classes(request, classes, others)
    held = _hashes([*normal.images, *masks, *masks.values()])
    copies: list[Path] = []
    drawn = {}
    for name, images in classes.items():
        kinds = [(images, request.normal), (others.get(name, []), request.abnormal)]
        chosen: list[ReferenceFile] = []
        for files, folder in kinds:
            distinct = _distinct(files, held, masks, copies)
            if folder is not None:
                chosen += _drawn(distinct, request.shots, request.seed, f"'{folder / name}'")
        _check_disjoint(chosen)
        drawn[name] = tuple(chosen)
    return ReferenceFiles(drawn, tuple(dict.fromkeys(left_out)), tuple(copies))


def _by_class(folder: Path, found: Found) -> dict[str, list[Path]]:
    """Return the images by the name of the folder right below, or all together."""
    places = [path.relative_to(folder).parts if path != folder else () for path in found.images]
    if any(len(parts) < 2 for parts in places):
        return {EVERY_CLASS: [*found.images]}
    classes: dict[str, list[Path]] = {}
    for path, parts in zip(found.images, places, strict=True):
        classes.setdefault(printable(parts[0]), []).append(path)
    return classes


def _check_same_classes(request: ReferenceRequest, normal: Iterable[str], abnormal: Iterable[str]) -> None:
    differing = sorted(set(normal) ^ set(abnormal))
    if differing:
        raise InputError(
            f"--reference '{request.normal}' and --reference-abnormal '{request.abnormal}' differ in their "
            f"classes: only one of them has {_named(differing[0])}; give both the same folders, or none"
        )


def _named(class_name: str) -> str:
    return f"a folder '{class_name}'" if class_name else "images of every class"


def _distinct(
    files: Sequence[Path], held: Mapping[Path, str], masks: Mapping[Path, Path], copies: list[Path]
) -> list[ReferenceFile]:
    """Return one file of each content; the others go to ``copies``."""
    found: dict[str, ReferenceFile] = {}
    for path in files:
        mask = masks.get(path)
        facts = ReferenceFacts(
            name=printable(str(path)), content=held[path], mask=None if mask is None else held[mask]
        )
        if facts.content in found:
            copies.append(path)
        else:
            found[facts.content] = ReferenceFile(path, facts, mask)
    return list(found.values())


def drawn_files(
    images: Sequence[Path], shots: int | None, seed: int, where: str
) -> tuple[ReferenceFile, ...]:
    """Return normal references that are drawn of some images, as :func:`find_references` draws them.

    Args:
        images: The images; copies count once.
        shots: How many, or None for all.
        seed: Decides which.
        where: What the images are, for the message.

    Raises:
        InputError: There are fewer, or one cannot be read.
    """
    return tuple(_drawn(_distinct(images, _hashes(images), {}, []), shots, seed, f"the {where}"))


def _hashes(paths: Iterable[Path]) -> dict[Path, str]:
    return {path: found.partition(":")[2] for path, found in contents(paths).items()}


def _drawn(files: Sequence[ReferenceFile], shots: int | None, seed: int, where: str) -> list[ReferenceFile]:
    """Return the files whose hash together with the seed is smallest."""
    wanted = len(files) if shots is None else shots
    if wanted > len(files):
        raise InputError(f"--shots {wanted}: {where} has {len(files)} different images; draw fewer")
    return sorted(files, key=lambda file: _lot(seed, file.facts.content))[:wanted]


def _lot(seed: int, content: str) -> str:
    return hashlib.sha256(f"{seed} {content}".encode()).hexdigest()


def _check_disjoint(files: Sequence[ReferenceFile]) -> None:
    by_content: dict[str, ReferenceFile] = {}
    for file in files:
        other = by_content.setdefault(file.facts.content, file)
        if other is not file:
            raise InputError(
                f"the abnormal reference '{file.image}' holds what the normal one "
                f"'{other.image}' holds; "
                "take it out of one of the folders"
            )


def refuse_tested(references: Iterable[ReferenceFacts], images: Iterable[Path]) -> None:
    """Check that no image that is scored is a reference too.

    Args:
        references: What memories are made of.
        images: What is scored; one that cannot be read is left to whoever reads it.

    Raises:
        InputError: One is: names both files.
    """
    known = {facts.content: facts.name for facts in references}
    if not known:
        return
    readable = [path for path in images if path.is_file() and os.access(path, os.R_OK)]
    for path, held in contents(readable).items():
        if (name := known.get(held.partition(":")[2])) is not None:
            raise InputError(
                f"'{path}' is among the references too ('{name}'), and an image that is compared with itself "
                "looks normal whatever it shows; take it out of one of them"
            )
