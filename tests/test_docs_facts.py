"""Tables and lists of the documents that state facts of the program, beside the program."""

from __future__ import annotations

import ast
import csv
import re
import shutil
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.documents import ROOT, Span, code, documents, prose, spans, table
from tests.test_architecture import LAYERS
from tests.test_docs import zsad_calls
from tests.training.drawing import draw_set
from zsad.backbones.names import parse_backbone
from zsad.cli.main import main
from zsad.errors import InputError, ZsadError
from zsad.plugin.contributions import HOOKS
from zsad.plugin.host import get_host
from zsad.plugin.imports import load_object
from zsad.plugin.specs import PART_KINDS, PartSpec
from zsad.recipe.profiles import DepthValue, Readout, TextProfile, TowerProfile
from zsad.recipe.recipes import VARIABLE, Fidelity, PartChoices, Recipe, load_recipe
from zsad.recipe.training import Training
from zsad.training.opening import ExampleOptions
from zsad.values import Stage
from zsad.weights.adapter.options import LoraOptions

PLUGINS = ROOT / "plugins" / "zsad_plugins"


def column(document: str, header: str, number: int = 0) -> list[str]:
    """Return the code spans of a table's column."""
    return [name for row in table(document, header).rows for name in code(row[number])]


def run(*words: str) -> int:
    try:
        main(list(words))
    except SystemExit as leave:
        return int(leave.code or 0)
    return 0


# Methods


AGREES: dict[Fidelity, str] = {
    "official-code": "the official code",
    "third-party-code": "that code",
    "paper": "the paper",
    "inspired": "(ours",
}
"""How the table of methods in README.md says a fidelity."""


def method_rows() -> list[tuple[str, tuple[str, ...]]]:
    return [(name, row) for row in table("README.md", "method").rows for name in code(row[0])]


def test_every_method_is_in_the_table() -> None:
    named = {name for name, _ in method_rows()}
    known = set(get_host().recipes.names())
    assert named <= known
    assert {name for name in known if "@" not in name} <= named


@pytest.mark.parametrize(("name", "row"), method_rows(), ids=[name for name, _ in method_rows()])
def test_the_table_of_methods_says_what_the_recipes_say(name: str, row: tuple[str, ...]) -> None:
    host, recipe = get_host(), load_recipe(get_host(), name)
    choices = [getattr(recipe.parts, kind) for kind in PartChoices.model_fields]
    used = [
        each for choice in choices if choice for each in (choice if isinstance(choice, tuple) else (choice,))
    ]
    learned = any(host.parts.get(choice.use).spec.learnable for choice in used)
    assert row[2] == ("yes" if learned else "no")
    assert row[3].startswith(AGREES[recipe.fidelity])
    if published := re.search(r"\((\w+) et al\., ([^()]*?) ?(\d{4})", row[1]):
        assert recipe.paper is not None
        assert published[1] in recipe.paper.authors and published[3] in str(recipe.paper)


def test_a_method_that_learns_ships_weights_for_the_default_backbone() -> None:
    lacking = ("aa-clip", "anomalyvfm", "dictas", "inp-former", "nagl")
    said = ", ".join(f"`{name}`" for name in lacking[:-1]) + f" and `{lacking[-1]}`"
    assert f"Every method that learns, but {said}, ships weights for `mini`" in prose(ROOT / "README.md")
    for name, row in method_rows():
        if row[2] == "yes" and name.partition("@")[0] not in lacking:
            shipped = load_recipe(get_host(), name).weights
            assert any(fnmatch("mini", pattern) for pattern in shipped), name


def test_every_method_has_a_readme_that_names_it() -> None:
    for name, claim in get_host().recipes.items():
        folder = PLUGINS / claim.plugin.replace("-", "_")
        assert f"`{name}`" in (folder / "README.md").read_text() or folder.name == name, name


# Plugins


def test_the_table_of_hooks_is_the_host() -> None:
    found = table("docs/architecture.md", "hook")
    assert {code(row[0])[0]: code(row[1])[0] for row in found.rows} == {
        hook: spec.__name__ for hook, spec in HOOKS.items()
    }


def test_every_hook_named_anywhere_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents())
    count = {"ten": 10, "eleven": 11, "twelve": 12, "nine": 9}
    assert {count[word] for word in re.findall(r"\b(nine|ten|eleven|twelve) hooks", text)} == {len(HOOKS)}


def test_the_kinds_of_parts_are_in_their_order() -> None:
    assert tuple(column("docs/architecture.md", "kind")) == PART_KINDS


def test_capability_words() -> None:
    specs: list[PartSpec] = [claim.spec for _, claim in get_host().parts.items()]
    used = {word for spec in specs for word in spec.requires | spec.provides}
    told = {word.replace("NAME", "*") for word in column("docs/architecture.md", "word")} - {"prototypes"}
    users = {word: {s.name.split(".")[0] for s in specs if word in s.requires | s.provides} for word in used}
    shared = {word for word in used if len(users[word] - {"standard"}) > 1}
    assert {word for word in shared if not any(fnmatch(word, known) for known in told)} == set()
    from_the_core = {"cls_token", "text", "causal_text"} | {f"tokens:{stage}" for stage in get_args(Stage)}
    assert {
        known for known in told if not any(fnmatch(word, known) for word in used | from_the_core)
    } == set()


def test_layouts() -> None:
    layouts = set(get_host().datasets.names())
    written = {re.split("[=:]", name)[0] for name in column("README.md", "SPEC")}
    assert written == layouts
    assert set(column("plugins/zsad_plugins/datasets/README.md", "layout")) == layouts


def test_generators() -> None:
    generators = set(get_host().generators.names())
    assert set(column("plugins/zsad_plugins/generators/README.md", "generator")) == generators
    training = prose(ROOT / "docs/training.md")
    assert {name for name in generators if f"`{name}`" not in training} == set()


@pytest.mark.parametrize("form", column("README.md", "backbone"))
def test_forms_of_backbone_names(form: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "assets" / "tiny-clip.json", tmp_path / "config.json")
    (tmp_path / "file").write_text("")
    written = form.replace("/path/to/file", str(tmp_path / "file")).replace(
        "config.json", f"{tmp_path}/config.json"
    )
    if written in get_host().backbones:
        return
    parsed = parse_backbone(written)
    assert parsed.text == written
    name, at, _ = form.partition("@")
    given = 0 if "hf-hub:" in form else (":" in name.removeprefix("timm:")) + bool(at)
    assert (parsed.pretrained, parsed.file, parsed.seed).count(None) == 3 - given


def test_registered_backbones_are_in_the_table() -> None:
    assert set(get_host().backbones.names()) <= set(column("README.md", "backbone"))


# The tree


def test_where_things_are() -> None:
    places = [place.rstrip("/") for place in column("docs/architecture.md", "place")]
    assert [place for place in places if not any(ROOT.glob(place.replace("<method>", "*")))] == []
    ours = {place.removeprefix("zsad/").removesuffix(".py") for place in places if place.startswith("zsad/")}
    assert {name for name in ours if "/" not in name} == set(LAYERS)
    order = [place.removeprefix("zsad/").removesuffix(".py") for place in places]
    assert [name for name in order if name in LAYERS] == list(LAYERS)


def test_every_plugin_is_a_method_or_has_its_place() -> None:
    methods = {claim.plugin.replace("-", "_") for _, claim in get_host().recipes.items()}
    places = {
        Path(place).name for place in column("docs/architecture.md", "place") if "zsad_plugins/" in place
    }
    folders = {path.parent.name for path in PLUGINS.glob("*/__init__.py")}
    assert folders - methods == places - {"<method>"}
    assert {
        record.name.replace("-", "_") for record in get_host().plugins if record.distribution == "zsad"
    } == folders


def test_tabs_of_the_demo() -> None:
    source = (ROOT / "demo" / "zsad_demo" / "app.py").read_text(encoding="utf-8")
    tabs = re.findall(r'gr\.Tab\("(\w+)"\)', source)
    assert [row[0] for row in table("README.md", "tab").rows] == [tab for tab in tabs if tab != "References"]


# Depths and fidelities


def text_of(document: str) -> str:
    return prose(ROOT / document).replace("\n", " ")


def test_two_spellings_of_a_depth() -> None:
    told = re.findall(
        r"differ by their type: (.+?) are shares, (.+?) are blocks", text_of("docs/architecture.md")
    )
    shares, numbers = ([ast.literal_eval(each) for each in code(part)] for part in told[0])
    depth: TypeAdapter[Any] = TypeAdapter(DepthValue)
    assert [depth.validate_python(share).block for share in shares] == [None] * 4
    assert [depth.validate_python(number).block for number in numbers] == numbers == [1, 6]


def test_fidelities() -> None:
    told = re.findall(
        r"`fidelity` says what the numbers agree with: (.+?)\.\s", text_of("docs/architecture.md")
    )
    assert set(code(told[0])) == {*get_args(Fidelity), "composed"}


# Files of a run


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    parts = draw_set(folder / "parts", normal=2, anomalous=2)
    assert (
        run("eval", "--method", "clip-baseline", "--data", f"folder={parts}", "--out", str(folder / "RUN"))
        == 0
    )
    return folder / "RUN"


def test_files_of_a_run(evaluated: Path) -> None:
    told = [name.replace("KEY", "*").rstrip("/") for name in column("docs/evaluation.md", "file")]
    files = [path.relative_to(evaluated).as_posix() for path in evaluated.rglob("*")]
    known = [file for file in files if file != "cells" and not re.match(r"cells/[0-9a-f]+/", file)]
    assert [file for file in known if not any(fnmatch(file, name) for name in told)] == []
    assert [name for name in told if not any(fnmatch(file, name) for file in known)] == []


def test_columns_of_the_table(evaluated: Path) -> None:
    with (evaluated / "summary.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == column("docs/evaluation.md", "columns")
    assert rows[-1][header.index("class")] == "mean"


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = {int(row[0]): row[1] for row in table("docs/evaluation.md", "code").rows}
    assert (told[0], told[130]) == ("done", "interrupted") and set(told) == {
        0,
        ZsadError.exit_code,
        InputError.exit_code,
        130,
    }
    assert "wrong usage" in told[run("predict", str(tmp_path / "none.png"), "--method", "clip-baseline")]
    assert run("metrics") == 0


# Options


@cache
def places() -> dict[str, list[type[BaseModel]]]:
    """Return the sections of ``--set`` that are no parts, and the models whose fields they set."""
    return {
        "profile": [TowerProfile, TextProfile],
        "readout": [Readout],
        "training": [Training],
        "examples": [ExampleOptions],
        "adapter": [LoraOptions],
        "generator": [
            load_object(c.spec.options) for _, c in get_host().generators.items() if c.spec.options
        ],
    }


def models(kind: str, name: str | None = None) -> list[type[BaseModel]]:
    """Return the options' models of the parts of a kind, or of those of them with this name."""
    specs = [claim.spec for _, claim in get_host().parts.items() if claim.spec.kind == kind]
    chosen = [spec for spec in specs if name is None or spec.name.split(".")[1] == name]
    assert chosen, f"there is no part '{name}' of kind {kind}"
    return [load_object(spec.options) for spec in chosen if spec.options]


LISTS = ("post_processors", "auxiliary")

SECTIONS = (*PART_KINDS, "profile", "readout", "training", "examples", "adapter", "generator")

SETTING = re.compile(rf"(?:{'|'.join(SECTIONS)})(?:\.[\w@-]+)+(?:=.*)?")


def settings() -> list[Span]:
    """Return every ``section.option`` or ``section.option=value`` that a code span or a block sets."""
    found = []
    for document in documents():
        for span in spans(document):
            for word in [span.text, *re.findall(r"--set (\S+)", span.text)]:
                if SETTING.fullmatch(word.strip("'")):
                    found.append(Span(span.place, document, word.strip("'")))
    for call in zsad_calls():
        for flag, word in zip(call.words, call.words[1:], strict=False):
            if flag == "--set" and SETTING.fullmatch(word):
                found.append(Span(call.place, call.document, word))
    return found


def test_there_are_settings() -> None:
    assert len(settings()) > 40


@pytest.mark.parametrize("span", settings(), ids=lambda span: f"{span.place} {span.text}")
def test_a_setting_exists(span: Span) -> None:
    path, _, value = span.text.partition("=")
    section, *rest = path.split(".")
    if section == "training":
        return check_training(rest, yaml.safe_load(value) if value else None)
    if section in LISTS:
        found, rest = models(section, rest[0]), rest[1:]
    else:
        found = places().get(section) or models(section)
    (option, *_) = rest or [None]
    if option in (None, "NAME"):
        return
    takers = [model for model in found if option in model.model_fields]
    assert takers, f"nothing in {section} has the option '{option}'"
    if value and not re.fullmatch(r"[A-Z]+|\.\.\.", value):
        assert any(accepts(model, option, yaml.safe_load(value)) for model in takers), f"'{value}' is refused"


def check_training(path: list[str], value: Any) -> None:
    if path == ["NAME"]:
        return
    assert path[0] in Training.model_fields
    if path[0] == "losses" and len(path) > 1:
        spec = get_host().losses.get(path[1]).spec
        if path[2:3] == ["options"]:
            assert path[3] in load_object(spec.options).model_fields
        elif len(path) > 2:
            assert path[2] == "weight"
    elif len(path) == 1 and value is not None:
        assert accepts(Training, path[0], value)


def accepts(model: type[BaseModel], option: str, value: object) -> bool:
    field = model.model_fields[option]
    try:
        TypeAdapter(field.annotation).validate_python(value)
    except ValidationError:
        # A validator of the whole field may take more forms, such as 'none'.
        return bool(field.metadata) or value in ("none", "native", "official")
    return True


def test_fields_that_differ_between_backbones() -> None:
    told = re.findall(r"It may change (.+?), and has to name", text_of("docs/architecture.md"))
    assert set(code(told[0])) == set(VARIABLE) <= set(Recipe.model_fields)
