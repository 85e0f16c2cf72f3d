"""Where the references of a cell come from: a folder, the training part of its dataset, or a memory file."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.detect.memories import ReferenceFacts, Remembered, memory_of
from zsad.detect.references import ReferenceFile, ReferenceFiles, drawn_files, refuse_tested
from zsad.errors import InputError


@dataclass(frozen=True)
class References:
    """What few-shot methods are given.

    Attributes:
        folders: The references of every class, or None to draw them from the training part of each dataset.
        shots: How many are drawn of a training part.
        seed: Decides which.
    """

    folders: ReferenceFiles | None = None
    shots: int | None = None
    seed: int = 0

    def of(self, dataset: Dataset, class_name: str) -> tuple[ReferenceFile, ...]:
        """Return the references of a class, normal ones first.

        Raises:
            InputError: There are none or too few, or the dataset has no training part.
        """
        if self.folders is not None:
            return self.folders.of(class_name)
        images = [image.image for image in dataset.normal_train_images if image.class_name == class_name]
        if not images:
            layout = f" (layout '{dataset.layout}')" if dataset.layout else ""
            raise InputError(
                f"--shots {self.shots}: dataset '{dataset.name}'{layout} has no normal training images of "
                f"class '{class_name}' to draw from; give --reference DIR with some that are not tested"
            )
        where = f"training part of class '{class_name}' of dataset '{dataset.name}'"
        return drawn_files(images, self.shots, self.seed, where)


@dataclass(frozen=True)
class CellReferences:
    """The references of one method on one class: none, files, or what a memory file held.

    Attributes:
        files: The files that it remembers when the cell runs.
        remembered: What it remembers already.
    """

    files: tuple[ReferenceFile, ...] = ()
    remembered: Remembered | None = None

    @classmethod
    def of(
        cls, detector: Detector, source: References | None, dataset: Dataset, class_name: str
    ) -> CellReferences:
        """Return what a detector is given of a class.

        Args:
            detector: A method that may take references or not.
            source: Where they come from, or None where the detector's memories are taken.
            dataset: The whole dataset, none of whose images may be a reference.
            class_name: The class.

        Raises:
            InputError: There are none, or an image is tested too.
        """
        part = detector.recipe.reference_store
        if part is None:
            return cls()
        if source is None:
            found = cls(remembered=memory_of(detector.memories, class_name, detector.recipe.method))
        else:
            files = source.of(dataset, class_name)
            if not part.abnormal_references:
                files = tuple(file for file in files if file.mask is None)
            found = cls(files)
        refuse_tested(found.facts, (image.image for image in dataset.images))
        return found

    @property
    def facts(self) -> tuple[ReferenceFacts, ...]:
        """What is known of the references, normal ones first."""
        if self.remembered is not None:
            return self.remembered.references
        return tuple(file.facts for file in self.files)

    @property
    def shots(self) -> int:
        """Number of normal references."""
        return sum(facts.mask is None for facts in self.facts)


NO_REFERENCES = CellReferences()
"""Those of a zero-shot method."""
