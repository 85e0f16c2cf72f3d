"""What plugins hand to the host: frozen descriptions whose callables are import strings.

Nothing here imports torch, so that everything can be listed without loading it. An import string
has the form ``"package.module:attribute"``; a resource string has the form ``"package:file.yaml"``. Both may
be relative to the plugin's package: ``".module:attribute"`` and ``":file.yaml"``.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar, get_args

API_VERSION = 1
"""The plugin interface that this zsad speaks; a plugin module declares it as ``zsad_api``."""

PartKind = Literal[
    "auxiliary",
    "attention_refiner",
    "feature_adapter",
    "reference_store",
    "prompt_learner",
    "prompt_conditioner",
    "scorer",
    "post_processors",
]
"""The swappable pieces of a method, in the order in which data flows through them."""

PART_KINDS: tuple[PartKind, ...] = get_args(PartKind)

GeneratorLevel = Literal["image", "features"]
"""What a generator of synthetic anomalies changes."""

IMPLIED_REQUIRES: dict[str, frozenset[str]] = {
    "prompt_learner": frozenset({"text"}),
    "prompt_conditioner": frozenset({"text_features"}),
}
"""What every part of a kind requires, so that no spec has to say it."""

IMPLIED_PROVIDES: dict[str, frozenset[str]] = {
    "attention_refiner": frozenset({"patch_tokens"}),
    "reference_store": frozenset({"memory"}),
    "prompt_learner": frozenset({"text_features"}),
}
"""What a part of a kind provides where its spec names nothing else."""


ImportString: TypeAlias = str
"""A field of a spec that names something importable, or a file in a package."""


@dataclass(frozen=True)
class PartSpec:
    """One swappable piece of a method.

    Attributes:
        name: ``"<plugin>.<part>"``, lower case, for example ``"acme.sharpen"``.
        kind: Which place in a recipe the part can take.
        factory: Import string of the part's class, or of a function, called as ``(options, context)``.
        summary: One sentence for ``zsad parts``.
        options: Import string of a subclass of ``zsad.plugin.options.Options``, in a module without torch.
        requires: Capabilities that the backbone or an earlier part has to provide. ``"auxiliary:{maps}"``
            stands for the value of the option ``maps``. What all parts of its kind require need not be named.
        provides: Capabilities that later parts can then require, likewise.
        batch_dependent: The result for one image depends on which others share its batch; or the name of an
            option, or of a property of the options, that says so.
        learnable: The part holds learned parameters, stored under its kind as prefix.
        two_phase: The part sees a whole scope (a class) before it answers: ``collect`` / ``finalize``.
        transductive: The part learns from the unlabelled test images of its scope; or a name, likewise.
        companions: Names of parts that have to stand in the recipe beside this one.
        provisional: For a prompt conditioner: what the scorer has to provide when it scores by the unedited
            prompts, of which the conditioner makes use (``zsad.parts.ProvisionalConditioner``).
        abnormal_references: For a reference store: it needs abnormal references with masks beside the normal
            ones, where others take normal ones alone; or a name, likewise.
    """

    name: str
    kind: PartKind
    factory: ImportString
    summary: str
    options: ImportString | None = None
    requires: Set[str] = frozenset()
    provides: Set[str] = frozenset()
    batch_dependent: bool | str = False
    learnable: bool = False
    two_phase: bool = False
    transductive: bool | str = False
    companions: tuple[str, ...] = ()
    provisional: Set[str] = frozenset()
    abnormal_references: bool | str = False

    def __post_init__(self) -> None:
        """Add what the kind implies.

        Raises:
            TypeError: A string stands where a set of words is meant.
        """
        for name in ("requires", "provides", "provisional"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} of '{self.name}' has to be a set of words, not a string")
        requires = frozenset(self.requires) | IMPLIED_REQUIRES.get(self.kind, frozenset())
        provides = frozenset(self.provides) or IMPLIED_PROVIDES.get(self.kind, frozenset())
        object.__setattr__(self, "requires", requires)
        object.__setattr__(self, "provides", provides)


@dataclass(frozen=True)
class RecipeSpec:
    """A method: a named recipe file, and optionally an importer of the authors' checkpoint.

    Attributes:
        name: Method name, for example ``"acme"``; a variant is ``"acme@fast"``.
        resource: Resource string of the YAML file, for example ``"acme_vision:recipe.yaml"``.
        converter: Import string of ``convert(state) -> dict[str, Tensor]``, or None where the method
            has no checkpoint. Where the checkpoint is several files it takes the content of each.
        checkpoint: What the files of the checkpoint are, in the order in which they are named.
        reader: Import string of ``read(path) -> content`` where a file is more than tensors, or None for
            :func:`zsad.backbones.tensors.read_tensors`.
        starter: Place among the methods that newcomers are shown, from 1 on; 0 leaves it out. The last one is
            what they are pointed to.
    """

    name: str
    resource: ImportString
    converter: ImportString | None = None
    checkpoint: tuple[str, ...] = ("checkpoint",)
    reader: ImportString | None = None
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
    factory: ImportString
    summary: str
    card: ImportString | None = None
    default: bool = False


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset layout, the word before ``=`` in ``layout=PATH``.

    Attributes:
        name: For example ``"mvtec"``.
        reader: Import string of ``read(path) -> Dataset``, or of ``read() -> Dataset`` where none is needed.
        summary: One sentence for ``zsad datasets``.
        example: Whether it is there without any data of the user's, for trying things out.
        aliases: Other names under which people know the published dataset that the layout is named after.
        classes: The object classes of that dataset; with them, its images are known for what they are in a
            folder of any name.
    """

    name: str
    reader: ImportString
    summary: str
    example: bool = False
    aliases: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


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
    factory: ImportString
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
        masks: Whether it reads masks; then every anomalous image has to have one.
    """

    name: str
    function: ImportString
    summary: str
    options: ImportString | None = None
    masks: bool = True


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
    factory: ImportString
    summary: str
    options: ImportString | None = None
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
    render: ImportString
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
    app: ImportString


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
    build: ImportString


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

S = TypeVar("S", bound=Spec)


def absolute(spec: S, package: str) -> S:
    """Return a spec whose import strings are those seen from anywhere.

    Args:
        spec: As a plugin wrote it: ``".module:attribute"`` and ``":file"`` are meant from its package.
        package: The plugin's package, or its module where it is no package.
    """
    changed: dict[str, Any] = {}
    for entry in fields(spec):
        value = getattr(spec, entry.name)
        if "ImportString" in str(entry.type) and isinstance(value, str) and value.startswith((".", ":")):
            changed[entry.name] = f"{package}{value}"
    return replace(spec, **changed) if changed else spec
