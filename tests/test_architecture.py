"""How the tree hangs together: who imports whom, what the core may name, how long a file may be."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
import pytest

from zsad.plugin.host import get_host

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "zsad"

LAYERS = (
    "errors", "files", "claim", "inputs", "values", "prompts", "streams", "parts", "plugin", "recipe",
    "backbones", "metrics", "data", "weights", "detect", "detectors", "evaluation", "training", "cli",
)  # fmt: skip
"""The modules and packages of the core; each may import those before it."""

FOR_PLUGINS = {
    "errors", "files", "inputs", "values", "prompts", "streams", "parts", "plugin", "recipe", "backbones",
    "metrics", "data",
}  # fmt: skip
"""What any plugin may import of the core. Of ``detect`` and ``training`` see ``BESIDES``."""

BESIDES = {
    "zsad.weights.state": "the reader of checkpoints",
    "zsad.detect.smoothing": "the Gaussian of the maps",
    "zsad.training.step": "what a loss is called with",
    "zsad.training.losses": "the losses' arithmetic",
    "zsad.training.generators": "what a generator is called with",
}
"""Further modules that plugins may import, and what for."""

LONGEST = 400

LOADERS = {"dinov2": "backbones"}
"""Models that a loader is named after, and where: it holds that model's names and arithmetic, as the loader
of open_clip holds open_clip's. Nothing registers it; plugins ask for it."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import between the project's modules, those under ``TYPE_CHECKING`` as well."""
    return grimp.build_graph("zsad", "zsad_plugins", "zsad_prompts", "zsad_demo", cache_dir=None)


def imports(graph: grimp.ImportGraph, package: str) -> Iterator[tuple[str, str, str]]:
    """Yield importer, imported and the place of every import that a package makes within the project."""
    for module in sorted(graph.modules):
        if module.split(".")[0] == package:
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                details = graph.get_import_details(importer=module, imported=imported)
                yield module, imported, f"{module}:{details[0]['line_number']} imports {imported}"


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_the_layers_are_the_tree() -> None:
    modules = {path.stem for path in CORE.glob("*.py")} - {"__init__", "__main__"}
    assert modules | {path.parent.name for path in CORE.glob("*/__init__.py")} == set(LAYERS)


def test_the_core_imports_only_downwards(graph: grimp.ImportGraph) -> None:
    rank = {name: number for number, name in enumerate(LAYERS)}
    upwards = [
        place
        for importer, imported, place in imports(graph, "zsad")
        if rank.get(layer(imported), -1) > rank.get(layer(importer), len(LAYERS))
    ]
    assert upwards == []


def test_the_core_imports_no_plugin_and_only_its_command_the_demo(graph: grimp.ImportGraph) -> None:
    foreign = [
        place
        for importer, imported, place in imports(graph, "zsad")
        if not imported.startswith("zsad.") and imported != "zsad" and importer != "zsad.cli.demo"
    ]
    assert foreign == []


@pytest.mark.parametrize("package", ["zsad", "zsad_plugins", "zsad_prompts", "zsad_demo"])
def test_no_modules_import_one_another_in_a_circle(graph: grimp.ImportGraph, package: str) -> None:
    edges = defaultdict(set)
    for importer, imported, _ in imports(graph, package):
        # The root offers what the packages hold, imported on use, and they read its version.
        if imported.split(".")[0] == package != imported:
            edges[importer].add(imported)
    assert list(circles(edges)) == []


def circles(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the circles: what is left once all is gone that imports nothing or that nothing imports."""
    left = {module: set(imported) for module, imported in edges.items()}
    while left:
        imported = {name for names in left.values() for name in names}
        kept = {module for module, names in left.items() if names & left.keys() and module in imported}
        if kept == left.keys():
            yield sorted(left)
            return
        left = {module: left[module] & kept for module in kept}


def test_circles_are_seen() -> None:
    assert list(circles({"a": {"b"}, "b": {"c"}, "d": {"a"}})) == []
    assert list(circles({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}})) == [["a", "b", "c"]]


def test_plugins_import_what_the_core_offers_them(graph: grimp.ImportGraph) -> None:
    beyond = [
        place
        for _, imported, place in imports(graph, "zsad_plugins")
        if imported.startswith("zsad.") and layer(imported) not in FOR_PLUGINS and imported not in BESIDES
    ]
    assert beyond == []


def test_plugins_know_no_demo_and_prompts_nothing(graph: grimp.ImportGraph) -> None:
    assert [place for _, imported, place in imports(graph, "zsad_plugins") if "zsad_demo" in imported] == []
    assert list(imports(graph, "zsad_prompts")) == []


def own_names() -> set[str]:
    """Names that only plugins may use: of methods, backbones and drawn images."""
    host = get_host()
    content = {"zsad_recipes", "zsad_backbones"}
    plugins = {record.name for record in host.plugins if content & set(record.hooks)}
    claims = [claim for _, claim in (*host.recipes.items(), *host.backbones.items())]
    return {claim.spec.name.split("@")[0] for claim in claims} | plugins | {"procedural"}


def pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of whole words, however they are hyphenated: ``aprilgan`` is also ``APRIL-GAN``."""
    spelt = ("[-_]?".join(map(re.escape, re.sub("[-_]", "", name))) for name in sorted(names))
    return re.compile(rf"\b(?:{'|'.join(spelt)})\b", re.IGNORECASE)


def core_files() -> list[Path]:
    return [path for path in sorted(CORE.rglob("*")) if path.suffix in {".py", ".j2", ".yaml", ".json"}]


def mentions(names: re.Pattern[str], files: Iterable[Path]) -> list[str]:
    found = [f"{file.relative_to(ROOT)}: its name" for file in files if names.search(file.stem)]
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if names.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_the_core_names_no_method_no_embedded_backbone_and_no_drawn_image() -> None:
    assert {"procedural"} < own_names() and len(own_names()) > 10
    assert mentions(pattern(own_names()), core_files()) == []


def test_the_core_names_no_dataset_that_a_plugin_draws() -> None:
    host = get_host()
    examples = {claim.spec.name for _, claim in host.datasets.items() if claim.spec.example}
    assert examples
    # Some are ordinary words, so that only their quoted form is a name.
    quoted = re.compile(rf"""(["'`])(?:{"|".join(map(re.escape, sorted(examples)))})\1""")
    assert mentions(quoted, core_files()) == []


@pytest.mark.parametrize(("model", "package"), LOADERS.items())
def test_a_loaded_model_is_named_where_it_is_loaded_only(model: str, package: str) -> None:
    elsewhere = [path for path in core_files() if path.relative_to(CORE).parts[0] != package]
    assert mentions(pattern({model}), elsewhere) == []


def test_names_are_found_however_they_are_spelt() -> None:
    assert pattern({"aprilgan"}).search("as APRIL-GAN does") and pattern({"two-part"}).search("two_part's")
    assert not pattern({"mini"}).search("minimum, minimises")


def test_files_of_the_core_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in CORE.rglob("*.py")}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST} == {}


def test_every_package_says_what_it_holds() -> None:
    silent = []
    for path in CORE.rglob("__init__.py"):
        source = path.read_text(encoding="utf-8").lstrip()
        if not source.startswith('"""'):
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []
