"""What plugins hand to the host: frozen descriptions whose callables are import strings.

Nothing here imports torch, so that everything can be listed without loading it. An import string
has the form ``"package.module:attribute"``; a resource string has the form ``"package:file.yaml"``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

API_VERSION = 1
"""The plugin interface that this zsad speaks; a plugin module declares it as ``zsad_api``."""

PartKind = Literal[
    "auxiliary",
    "attention_refiner",
    "feature_adapter",
    "prompt_learner",
    "prompt_conditioner",
    "scorer",
    "post_processors",
    "reference_store",
]
"""The swappable pieces of a method, in the order in which data flows through them."""

PART_KINDS: tuple[PartKind, ...] = get_args(PartKind)

GeneratorLevel = Literal["image", "features"]
"""What a generator of synthetic anomalies changes."""


@dataclass(frozen=True)
class PartSpec:
    """One swappable piece of a method.

    Attributes:
        name: ``"<plugin>.<part>"``, lower case, for example ``"acme.sharpen"``.
        kind: Which place in a recipe the part can take.
        factory: Import string of ``build(options, context) -> part``.
        summary: One sentence for ``zsad parts``.
        options: Import string of a pydantic model, in a module that does not import torch.
        requires: Capabilities that the backbone or an earlier part has to provide.
        provides: Capabilities that later parts can then require.
        batch_dependent: The result for one image depends on which others share its batch.
        learnable: The part holds learned parameters, stored under its kind as prefix.
        two_phase: The part sees a whole scope (a class) before it answers: ``collect`` / ``finalize``.
        transductive: The part learns from the unlabelled test images of its scope.
        companions: Names of parts that have to stand in the recipe beside this one.
    """

    name: str
    kind: PartKind
    factory: str
    summary: str
    options: str | None = None
    requires: frozenset[str] = field(default_factory=frozenset)
    provides: frozenset[str] = field(default_factory=frozenset)
    batch_dependent: bool = False
    learnable: bool = False
    two_phase: bool = False
    transductive: bool = False
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecipeSpec:
    """A method: a named recipe file, and optionally an importer of the authors' checkpoint.

    Attributes:
        name: Method name, for example ``"acme"``; a variant is ``"acme@fast"``.
        resource: Resource string of the YAML file, for example ``"acme_vision:recipe.yaml"``.
        converter: Import string of ``convert(state) -> dict[str, Tensor]``, or None where the method
            has no checkpoint.
        starter: Place among the methods that newcomers are shown, from 1 on; 0 leaves it out. The last one is
            what they are pointed to.
    """

    name: str
    resource: str
    converter: str | None = None
    starter: int = 0


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone with a name of its own (open_clip names need no spec).

    Attributes:
        name: For example ``"tiny"``.
        factory: Import string of ``load(device, dtype) -> ClipBackbone``.
        summary: One sentence for ``zsad backbones``.
        card: Resource string of a model card in Markdown, or None.
        default: Whether commands use it where no backbone is named; the first one so marked is.
    """

    name: str
    factory: str
    summary: str
    card: str | None = None
    default: bool = False


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset layout, the word before ``=`` in ``layout=PATH``.

    Attributes:
        name: For example ``"mvtec"``.
        reader: Import string of ``read(path) -> Dataset``, or of ``read() -> Dataset`` where none is needed.
        summary: One sentence for ``zsad datasets``.
        example: Whether it is there without any data of the user's, for trying things out.
    """

    name: str
    reader: str
    summary: str
    example: bool = False


@dataclass(frozen=True)
class MetricSpec:
    """A metric with a mergeable state.

    Attributes:
        name: Column name in ``summary.csv``, for example ``"pixel_auroc"``.
        factory: Import string of ``build() -> Metric``.
        summary: One sentence for ``zsad metrics``.
        uses_test_labels: The figure is tuned on test labels (F1-max), which its name has to say.
    """

    name: str
    factory: str
    summary: str
    uses_test_labels: bool = False


@dataclass(frozen=True)
class LossSpec:
    """A term of what training minimises.

    Attributes:
        name: For example ``"dice"``; a recipe's ``training.losses`` names it.
        function: Import string of ``loss(step, options) -> Tensor``: [B], averaged with the images' weights,
            or a scalar.
        summary: One sentence for ``zsad losses``.
        options: Import string of a pydantic model in a module without torch.
    """

    name: str
    function: str
    summary: str
    options: str | None = None


@dataclass(frozen=True)
class GeneratorSpec:
    """A generator of synthetic anomalies for training on normal images.

    Attributes:
        name: For example ``"draem"``.
        factory: Import string of ``build(options)``, which returns a ``zsad.training.generators.Generator``,
            or a ``FeatureGenerator`` where the level is ``features``.
        summary: One sentence for ``zsad generators``.
        options: Import string of a pydantic model in a module without torch.
        level: Whether it changes images, or what a detector's frozen towers say of them.
    """

    name: str
    factory: str
    summary: str
    options: str | None = None
    level: GeneratorLevel = "image"


@dataclass(frozen=True)
class ReporterSpec:
    """A rendering of a finished evaluation folder.

    Attributes:
        name: For example ``"html"``.
        render: Import string of ``render(run_dir) -> Path``.
        summary: One sentence for listings.
    """

    name: str
    render: str
    summary: str


@dataclass(frozen=True)
class CommandSpec:
    """A command group added to ``zsad``.

    Attributes:
        name: The word after ``zsad``.
        help: One sentence shown by ``zsad --help``, which imports nothing.
        app: Import string of a ``typer.Typer`` (a group) or a function (one command), imported when it runs.
    """

    name: str
    help: str
    app: str


@dataclass(frozen=True)
class DemoTabSpec:
    """A tab of the Gradio demo.

    Attributes:
        name: The tab's title.
        help: One sentence shown where the tab fails to build.
        build: Import string of ``build(context) -> None``, called inside ``gr.Tab``.
    """

    name: str
    help: str
    build: str


Spec = (
    PartSpec
    | RecipeSpec
    | BackboneSpec
    | DatasetSpec
    | MetricSpec
    | LossSpec
    | GeneratorSpec
    | ReporterSpec
    | CommandSpec
    | DemoTabSpec
)
