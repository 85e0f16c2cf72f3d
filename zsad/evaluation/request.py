"""What is asked of an evaluation, as data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from zsad.data.corruption import CLEAN, Corruption, parse_corruption
from zsad.detect.references import ReferenceRequest, check_kinds, others, wanted_store
from zsad.detect.request import Conditions, DetectorRequest
from zsad.errors import InputError, nearest
from zsad.evaluation.results import Resolution
from zsad.evaluation.summary import STANDARD_METRICS
from zsad.recipe.prompts import with_sentences

if TYPE_CHECKING:
    from zsad.plugin.host import Host
    from zsad.weights.loading import WeightsSource


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest(Conditions):
    """Methods, datasets, and what they are compared by; defaults are those of ``zsad eval``.

    Attributes:
        methods: Names of methods.
        data: Datasets, ``[NAME:]LAYOUT=PATH[:CLASS,CLASS]``.
        folder: Where the results go.
        weights: Learned weights by method; a method that is not named has those that its plugin ships.
        adapter: Folder of an adapter (LoRA) on the backbone, for every method.
        untrained: Accept learnable parts without weights.
        metrics: Names of the metrics.
        resolution: Where maps and masks are compared.
        batch_size: Images per pass.
        workers: Processes that decode images, or None for one per core but for the one that computes.
        resume: Keep the finished cells of the folder.
        include_contaminated: Let cells whose images were seen in training count in means.
        nouns: What prompts call objects: by dataset, or by ``DATASET:CLASS``.
        normal_prompts: Sentences for the normal state in the place of the methods' own.
        abnormal_prompts: Sentences for the abnormal state.
        corrupt: What is done to the images, ``KIND:STRENGTH``, one after the other; ``none`` stands for
            nothing.
        references: Folders of references for the few-shot methods.
        shots: Where there are no folders, how many references are drawn of the training part of each class.
        memory: File with what they remember, in the place of both.

    Raises:
        InputError: A corruption that does not exist, weights of a method that is not evaluated, overrides
            that only training heeds, or references that are given twice.
    """

    methods: tuple[str, ...]
    data: tuple[str, ...]
    folder: Path
    weights: Mapping[str, WeightsSource] = field(default_factory=dict)
    adapter: Path | None = None
    untrained: bool = False
    metrics: tuple[str, ...] = STANDARD_METRICS
    resolution: Resolution = "image-size"
    batch_size: int = 8
    workers: int | None = None
    resume: bool = False
    include_contaminated: bool = False
    nouns: Mapping[str, str] = field(default_factory=dict)
    normal_prompts: tuple[str, ...] = ()
    abnormal_prompts: tuple[str, ...] = ()
    corrupt: tuple[str, ...] = (CLEAN,)
    references: ReferenceRequest | None = None
    shots: int | None = None
    memory: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution not in get_args(Resolution):
            known = ", ".join(get_args(Resolution))
            raise InputError(f"resolution has to be one of {known}, not '{self.resolution}'")
        self.overrides.refuse_training()
        assert self.corruptions  # refuses what does not exist
        if self.shots is not None and self.shots < 1:
            raise InputError(f"--shots {self.shots}: draw 1 reference or more")
        if self.memory is not None and (self.references is not None or self.shots is not None):
            other = "--shots" if self.references is None else "--reference"
            raise InputError(f"--memory stands in the place of {other}; leave one of them out")
        for name in self.weights:
            if name not in self.methods:
                raise InputError(
                    f"weights are given for '{name}', which is not evaluated{nearest(name, self.methods)}"
                )

    @property
    def corruptions(self) -> tuple[Corruption | None, ...]:
        """What is done to the images, one after the other; None stands for nothing.

        Raises:
            InputError: There is no such corruption.
        """
        return tuple(map(parse_corruption, self.corrupt or (CLEAN,)))

    def check(self, host: Host) -> None:
        """Refuse what can be refused before anything is read.

        Args:
            host: Whose metrics and methods are known.

        Raises:
            InputError: An unknown metric or method, or a folder that holds no adapter.
        """
        for name in self.metrics:
            host.metrics.get(name)
        for request in self.detectors(host):
            request.check(host)
        self._check_references(host)

    def _check_references(self, host: Host) -> None:
        """Refuse few-shot methods without references, and references that no method takes."""
        stores = {request.method: wanted_store(host, request) for request in self.detectors(host)}
        few_shot = {method: store for method, store in stores.items() if store is not None}
        options = {"--reference": self.references, "--shots": self.shots, "--memory": self.memory}
        given = [option for option, value in options.items() if value is not None]
        if given and not few_shot:
            raise InputError(f"{given[0]}: no method here takes references{others(host)}; leave it out")
        if few_shot and not given:
            raise InputError(
                f"method '{next(iter(few_shot))}' needs reference images: give --reference DIR, --shots K to "
                "draw from the training part of --data, or --memory FILE"
            )
        if self.memory is None:
            abnormal = self.references is not None and self.references.abnormal is not None
            needing = {method: store for method, store in few_shot.items() if store.abnormal_references}
            for method, store in (needing or few_shot).items():
                check_kinds(method, store, abnormal=abnormal)

    def detectors(self, host: Host) -> list[DetectorRequest]:
        """Return what is asked of the detectors, one for each method.

        Raises:
            InputError: Sentences are given, and a method takes none.
        """
        return [
            DetectorRequest(
                method=method,
                backbone=self.backbone,
                weights=self.weights.get(method),
                adapter=self.adapter,
                device=self.device,
                dtype=self.dtype,
                image_size=self.image_size,
                overrides=with_sentences(
                    host, method, self.overrides, self.normal_prompts, self.abnormal_prompts
                ),
                seed=self.seed,
                untrained=self.untrained,
            )
            for method in self.methods
        ]

    def with_memory(self, host: Host, request: DetectorRequest) -> DetectorRequest:
        """Return what is asked of a detector with the memory file, if it takes one."""
        if self.memory is None or wanted_store(host, request) is None:
            return request
        return replace(request, memory=self.memory)

    def as_dict(self) -> dict[str, Any]:
        """Return what was asked as plain data, for the record of a run."""
        folders = self.references
        return {
            "methods": list(self.methods),
            "data": list(self.data),
            "backbone": self.backbone,
            "weights": [
                text for method, source in self.weights.items() for text in _weights_texts(method, source)
            ],
            "adapter": None if self.adapter is None else str(self.adapter),
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "seed": self.seed,
            "device": self.device,
            "untrained": self.untrained,
            "overrides": self.overrides.texts,
            "resolution": self.resolution,
            "nouns": dict(self.nouns),
            "normal_prompts": list(self.normal_prompts),
            "abnormal_prompts": list(self.abnormal_prompts),
            "corrupt": [str(each or CLEAN) for each in self.corruptions],
            "reference": None if folders is None else str(folders.normal),
            "reference_abnormal": None if folders is None else _text(folders.abnormal),
            "reference_masks": None if folders is None else _text(folders.masks),
            "shots": folders.shots if folders else self.shots,
            "memory": _text(self.memory),
        }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _weights_texts(method: str, source: WeightsSource) -> list[str]:
    """Return weights as ``--weights`` takes them."""
    if isinstance(source, Mapping):
        return [f"{method}:{part}={file}" for part, file in source.items()]
    return [f"{method}={source}"]
