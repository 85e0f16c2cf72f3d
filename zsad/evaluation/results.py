"""The results of an evaluation as types; ``formats.py`` reads and writes their files. No torch here."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, Strict

from zsad.detect.memories import ReferenceFacts
from zsad.detect.provenance import Provenance, WeightsInfo
from zsad.detect.record import Record

FORMAT: Final = 2
"""Whoever adds, renames or removes a field counts it up, as ``formats.py`` says."""

Resolution = Literal["image-size", "native"]
"""Where maps and masks are compared: at the detector's square, as papers do, or at the masks' own size."""

FAILED = "failed: "
"""How the reason of a figure begins whose metric gave no number, which is no matter of the data."""

CaseKind = Literal["best", "worst", "false alarm"]
"""Why an image is worth a look: a defect found best or worst, a normal image with the highest score."""

Item = TypeVar("Item")
Items = Annotated[tuple[Item, ...], Strict(False)]
"""A JSON file knows lists only."""

ClassName = Annotated[str, Field(validation_alias="class", serialization_alias="class")]
"""``class`` in files, which is no name in Python."""


class NamedWeights(WeightsInfo):
    """Learned parameters, with the name under which they are reported.

    Attributes:
        name: What the user named as weights, ``embedded`` for those that a plugin ships, or empty.
    """

    name: str


class CellDataset(Record):
    """The dataset of a cell.

    Attributes:
        name: Its name.
        manifest_hash: Hash of the files and labels of the cell's class.
    """

    name: str
    manifest_hash: str


class CellFacts(Provenance):
    """What a cell is and what stands behind its figures; known before it runs.

    Attributes:
        key: Hash of everything that decides its figures.
        weights: The learned parameters.
        dataset: The dataset.
        class_name: The class; ``class`` in files.
        contaminated_by: Whose training saw images of the class, or empty.
        corruption: What was done to the images, or None.
        shots: Normal reference images.
        seed: Seed of everything random.
        references: The reference images of a few-shot method.
    """

    key: str
    weights: NamedWeights
    dataset: CellDataset
    class_name: ClassName
    contaminated_by: str
    corruption: str | None
    shots: int
    seed: int
    references: Items[ReferenceFacts] = ()


class FailedImage(Record):
    """An image that could not be read.

    Attributes:
        image: The file.
        error: Why, in one sentence.
    """

    image: str
    error: str


class Figures(Record):
    """What a cell measured.

    Attributes:
        n_normal: Normal images that were read.
        n_anomalous: Anomalous images that were read.
        n_failed: Images that could not be read.
        failed: Which those are.
        metrics: Value of each metric by name, 0..1, or None where it is undefined.
        undefined: Why, by name of the metric: ``undefined: ...``, or ``failed: ...`` of a metric that failed.
        thresholds: Where a figure is that of one threshold: the score or map value from which on things count
            as anomalous, by name of the metric. It was tuned on the labels.
        error: Why the method gave no answer for the class, in one sentence, or None.
        resolution: Where maps and masks were compared.
        transductive_batch: Images that a method saw together which learns from the test images, or None.
        mask_rule: How masks were resized, or None where they were not.
    """

    n_normal: int
    n_anomalous: int
    n_failed: int
    failed: Items[FailedImage]
    metrics: dict[str, float | None]
    undefined: dict[str, str]
    thresholds: dict[str, float]
    error: str | None
    resolution: Resolution
    transductive_batch: int | None
    mask_rule: str | None

    @property
    def failed_metrics(self) -> dict[str, str]:
        """Why a metric gave no number, by its name; such a cell is computed again on resume."""
        return {
            name: reason.removeprefix(FAILED)
            for name, reason in self.undefined.items()
            if reason.startswith(FAILED)
        }


class Timings(Record):
    """What a cell took.

    Attributes:
        encode_seconds: Of the passes, which several methods may share.
        methods_on_the_pass: How many did.
        score_seconds: Of the method itself.
        wall_seconds: From the first image to the figures.
    """

    encode_seconds: float
    methods_on_the_pass: int
    score_seconds: float
    wall_seconds: float


class CasePictures(Record):
    """Pictures of a case, as paths below the folder of the cells.

    Attributes:
        image: The image.
        truth: Its mask.
        map: The anomaly map in colours of a fixed scale.
        overlay: The map over the image.
    """

    image: str
    truth: str
    map: str
    overlay: str


class CaseResult(Record):
    """An image that is worth a look.

    Attributes:
        kind: Why.
        image: The file.
        defect_type: As the dataset names it, or None.
        score: Image score; higher is more anomalous.
        masked: Whether the dataset has a mask of it.
        pictures: What a report shows.
    """

    kind: CaseKind
    image: str
    defect_type: str | None
    score: float
    masked: bool
    pictures: CasePictures


class CellResult(Figures, CellFacts):
    """A finished cell: ``cells/KEY.json``.

    Attributes:
        timings: What it took.
        cases: Images that are worth a look, kind by kind, the most telling first.
        format: Of the file.
    """

    timings: Timings
    cases: Items[CaseResult]
    format: Literal[2] = FORMAT

    @classmethod
    def of(
        cls, facts: CellFacts, figures: Figures, timings: Timings, cases: tuple[CaseResult, ...]
    ) -> CellResult:
        """Join what is known before a cell runs and what came out."""
        return cls(**dict(facts), **dict(figures), timings=timings, cases=cases)

    def renewed(self, facts: CellFacts) -> CellResult:
        """Return the same figures with what is known now to stand behind them."""
        return self.model_copy(update=dict(facts))


class ImageRow(Record):
    """A row of ``per_image.parquet``.

    Attributes:
        cell: Key of the cell.
        method: Name of the method.
        backbone: Name of the backbone.
        dataset: Name of the dataset.
        class_name: The class; ``class`` in files.
        place: Place of the image in its class.
        image: The file.
        anomalous: Whether the dataset says so.
        defect_type: As the dataset names it, or None.
        score: Image score; None where the image could not be read.
        map_maximum: Highest value of the map, or None.
        pixel_auroc: Within the one image; None without both kinds of pixels.
        error: Why the image could not be read, or None.
    """

    cell: str
    method: str
    backbone: str
    dataset: str
    class_name: ClassName
    place: int
    image: str
    anomalous: bool
    defect_type: str | None
    score: float | None = None
    map_maximum: float | None = None
    pixel_auroc: float | None = None
    error: str | None = None


class MethodInfo(Record):
    """A method of a run.

    Attributes:
        recipe: The resolved recipe, as plain data.
        recipe_hash: Its hash.
        setting: The three axes of the setting.
        backbone: Name of the backbone.
        backbone_sha256: Hash of its weights.
        backbone_trained_on: What they were trained on, in words.
        weights: What the user named as weights, ``embedded`` for those that a plugin ships, or empty.
        weights_sha256: Hash of the learned parameters.
    """

    recipe: dict[str, Any]
    recipe_hash: str
    setting: str
    backbone: str
    backbone_sha256: str
    backbone_trained_on: str
    weights: str
    weights_sha256: str


class DatasetInfo(Record):
    """A dataset of a run.

    Attributes:
        manifest_hash: Hash of its files and labels.
        images: How many.
        classes: Their names.
    """

    manifest_hash: str
    images: int
    classes: Items[str]


class PluginInfo(Record):
    """A plugin that was installed.

    Attributes:
        name: ``distribution:name``.
        version: Of the distribution.
        status: ``active``, or why it took no part.
    """

    name: str
    version: str
    status: str


class Environment(Record):
    """What of a machine and an installation can change numbers.

    Attributes:
        python: Version.
        platform: Operating system and architecture.
        packages: Version of each package that computes.
        threads: Of torch on the CPU.
        cuda: Version of CUDA, or None without a GPU.
        gpus: Names of the GPUs.
        command: What was typed.
        plugins: All that were found.
    """

    python: str
    platform: str
    packages: dict[str, str]
    threads: int
    cuda: str | None
    gpus: Items[str]
    command: str
    plugins: Items[PluginInfo]


class RunInfo(Record):
    """What was evaluated, and with what: ``run.json``.

    Attributes:
        started: When, in UTC.
        options: What the user asked for.
        former: What was asked for before, where cells of other requests are in the folder too.
        metrics: Names of the metrics.
        include_contaminated: Whether cells whose images were seen in training count in means.
        cells: Keys of all cells, those of former requests into the folder included, in order.
        passes: Images passed through a vision tower.
        methods: The methods by name.
        datasets: The datasets by name.
        environment: The machine and the installation.
        complete: Whether all cells are finished.
        finished: When, in UTC, or None while it runs.
        format: Of the file.
    """

    started: str
    options: dict[str, Any]
    former: Items[dict[str, Any]]
    metrics: Items[str]
    include_contaminated: bool
    cells: Items[str]
    passes: int
    methods: dict[str, MethodInfo]
    datasets: dict[str, DatasetInfo]
    environment: Environment
    complete: bool
    finished: str | None = None
    format: Literal[2] = FORMAT
