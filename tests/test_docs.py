"""What the documents say can be done can be done: commands, code, options, names, files, links."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from benchmarks.gpu import make_parser
from tests.documents import ROOT, Block, Call, Span, blocks, calls, documents, links, spans
from tests.training.drawing import draw_set
from zsad.cli.groups import LazyCommand, ListGroup
from zsad.cli.main import COMMANDS, app, main
from zsad.plugin.host import get_host
from zsad.recipe.recipes import PartChoices, Recipe
from zsad.recipe.training import Training

PACKAGES = {"zsad_plugins": "plugins", "zsad_prompts": "prompts", "zsad_demo": "demo"}
"""Import packages that do not lie in the root, and the folders that hold them."""

PLACEHOLDER = re.compile(r"\b[A-Z][A-Z0-9_]+\b|\.\.\.")
"""What stands for a word of the reader's."""

FOREIGN = {
    "divide_num": "of MuSc's published code",
    "gradio_client": "a package",
    "meta_json": "an array in the parity kit's files",
    "my_plugin": "an example",
    "zero_shot": "what was not chosen",
}
"""Names in documents that are not the project's."""

VARIABLES = {
    "features": "Features",
    "state": "BlockState",
    "detector": "Detector",
    "tower": "VisionTower",
    "conditioning": "Conditioning",
    "scores": "Scores",
}
"""What variables in code spans are instances of."""


def ids(item: object) -> str:
    return str(item) if isinstance(item, Call) else getattr(item, "place", str(item))


# Commands


@cache
def root() -> Any:
    return typer.main.get_command(app)


def context(command: Any) -> Any:
    return command.context_class(command, info_name=command.name)


def loaded(command: Any) -> Any:
    return command.load() if isinstance(command, LazyCommand) else command


def resolve(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Follow the words after ``zsad`` to a command; return it and the words that it parses."""
    command, left = root(), list(words)
    while hasattr(command, "commands"):
        if isinstance(command, ListGroup) and (not left or left[0].startswith("-")):
            left = ["list", *left]
        if not left or left[0].startswith("-"):
            break  # an option of the group itself
        name = left.pop(0)
        found = command.get_command(context(command), name)
        assert found is not None, f"there is no command '{name}'"
        command = loaded(found)
    return command, left


def every_command(command: Any) -> Iterator[Any]:
    yield command
    if hasattr(command, "commands"):
        for name in command.list_commands(context(command)):
            yield from every_command(loaded(command.get_command(context(command), name)))


@cache
def options() -> frozenset[str]:
    """Return every long option of every command."""
    parameters = [parameter for command in every_command(root()) for parameter in command.params]
    found = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
    return frozenset({"--help"} | {option for option in found if option.startswith("--")})


def zsad_calls() -> list[Call]:
    """Return the calls of ``zsad``, also the one that a launcher starts."""
    found = []
    for call in calls():
        words = call.words[call.words.index("-m") + 1 :] if call.words[0] == "accelerate" else call.words
        if words[0] == "zsad":
            found.append(Call(call.place, call.document, words, call.whole))
    return found


def test_the_documents_have_commands() -> None:
    whole = [call for call in zsad_calls() if call.whole]
    assert len(whole) > 30 and len(zsad_calls()) - len(whole) > 30


@pytest.mark.parametrize("call", zsad_calls(), ids=ids)
def test_a_command_and_its_options_exist(call: Call) -> None:
    command, words = resolve(call.words[1:])
    parsed, left, _ = command.make_parser(context(command)).parse_args(list(words))
    assert left == [], f"'{left[0]}' is one argument too many"
    for parameter in command.params:
        given = parsed.get(parameter.name)
        if given and not PLACEHOLDER.search(str(given)):
            parameter.process_value(context(command), given)
        assert given or not (call.whole and parameter.required), f"{parameter.name} is left out"
    methods = parsed.get("method") or []
    for method in methods if isinstance(methods, (list, tuple)) else [methods]:
        get_host().recipes.get(method)


@pytest.mark.parametrize("call", [call for call in calls() if call.words[:2] == ("python", "-m")], ids=ids)
def test_a_module_that_is_run_exists(call: Call) -> None:
    module, words = call.words[2], call.words[3:]
    assert importlib.util.find_spec(module) is not None
    if module == "pytest":
        assert [word for word in words if word.startswith("tests") and not (ROOT / word).exists()] == []
    if module == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = {extra for word in words for extra in re.findall(r"\[(\w+)\]", word)}
        assert named <= set(extras)
    if module.startswith("tools."):
        source = Path(importlib.util.find_spec(module).origin or "")  # type: ignore[union-attr]
        main_file = source.parent / "__main__.py" if source.stem == "__init__" else source
        text = main_file.read_text(encoding="utf-8")
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in text] == []


def option_spans() -> list[Span]:
    found = [span for document in documents() for span in spans(document)]
    return [span for span in found if re.search(r"(^|\s)--[a-z]", span.text)]


@pytest.mark.parametrize("span", option_spans(), ids=lambda span: f"{span.place} {span.text}")
def test_an_option_in_a_sentence_exists(span: Span) -> None:
    others = [call for call in calls() if call.document == span.document and call.words[0] != "zsad"]
    theirs = {word for call in others for word in call.words}  # beside the program that takes them
    if span.document.parent.name == "benchmarks":
        theirs |= {option for action in make_parser()._actions for option in action.option_strings}
    assert set(re.findall(r"(?<!\S)--[a-z][\w-]*", span.text)) <= options() | theirs


def test_what_does_not_exist_is_seen() -> None:
    def parse(*words: str) -> Any:
        command, left = resolve(words)
        return command, command.make_parser(context(command)).parse_args(left)[0]

    with pytest.raises(AssertionError, match="no command 'nothing'"):
        parse("datasets", "nothing")
    with pytest.raises(typer.TyperException, match="--nothing"):
        parse("predict", "part.png", "--nothing")
    command, parsed = parse("predict", "part.png", "--image-size", "0")
    (size,) = [parameter for parameter in command.params if parameter.name == "image_size"]
    with pytest.raises(typer.TyperException, match="greater than or equal to 1"):
        size.process_value(context(command), parsed["image_size"])


def test_every_command_is_documented() -> None:
    named = {call.words[1] for call in zsad_calls() if call.document.name != "CHANGELOG.md"}
    assert set(COMMANDS) - named == set()


# Running them


NOT_RUN: tuple[tuple[Callable[[str], object], str], ...] = (
    (
        lambda text: re.search(r"zsad (demo|quickstart|bench|parts grid)", text),
        "serves or takes minutes; has tests of its own",
    ),
    (lambda text: re.search(r"--backbone \S+(:|@random)", text), "a model that is downloaded or large"),
    (
        lambda text: re.search(r"hf://|OWNER/NAME|ARCH@FILE|CHECKPOINT\.pth", text),
        "a hub or an authors' checkpoint",
    ),
    (lambda text: re.search(r"--data procedural|--method filo", text), "minutes to hours of training"),
    (lambda text: "/manifest.csv" in text or "runs/mini" in text, "real test sets"),
)
"""Commands that are only parsed, and why."""

ANSWERS = {
    "METHOD": "anomalyclip", "NAME": {"methods": "anomalyclip", "backbones": "mini", "generators": "draem"},
    "LAYOUT": "folder", "SPEC": "folder=PARTS", "...": "folder=PARTS",
}  # fmt: skip
"""What a reader may put for a placeholder; what else is named lies in the folder of ``place``."""


LISTINGS = {name for name, (target, _) in COMMANDS.items() if target == f"zsad.cli.{name}:app"} - {"bench"}
"""Commands whose bare name lists something."""


def runs(call: Call) -> bool:
    """Whether a call is run: all whole ones that need no network and no data, and listings in sentences."""
    text = " ".join(call.words)
    listing = rf"zsad (--help|({'|'.join(LISTINGS)})( info \S+)?|datasets check SPEC)( --json)?"
    return (call.whole or bool(re.fullmatch(listing, text))) and not any(why(text) for why, _ in NOT_RUN)


def learns(call: Call) -> bool:
    """Whether a call trains, or uses what an earlier one has learned."""
    return call.words[1] == "train" or any(word.startswith("run/") for word in call.words)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and folders that the documents' commands name."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("PARTS", "COLONDB", "CLINICDB", "data/parts"):
        draw_set(folder / name, normal=1, anomalous=1)
    for name in ("mvtec", "visa"):
        drawn = draw_set(folder / "drawn" / name, normal=2, anomalous=1)
        bottle = folder / "data" / name / "bottle"
        for old, new in (("good", "test/good"), ("bad", "test/bad"), ("masks/bad", "ground_truth/bad")):
            (bottle / new).parent.mkdir(parents=True, exist_ok=True)
            (drawn / old).rename(bottle / new)
    for name in ("GOOD", "FOLDER", "data/good"):
        (draw_set(folder / "drawn" / name, normal=2, anomalous=0, seed=3) / "good").rename(folder / name)
    for name, state, seed in (("good", "good", 1), ("parts", "bad", 2)):
        (draw_set(folder / "drawn" / name, seed=seed) / state).rename(folder / name)
    flawed = draw_set(folder / "drawn" / "flawed", normal=1, anomalous=2, seed=4)
    for old, name in (("bad", "bad"), ("masks/bad", "masks")):
        (flawed / old).rename(folder / name)
    for name, good, bad in (("good", 20, 0), ("new", 5, 5)):
        drawn = draw_set(folder / "drawn" / "line" / name, good, bad, seed=good)
        (folder / "line" / name).mkdir(parents=True)
        for path in [path for state in ("good", "bad") for path in (drawn / state).glob("*.png")]:
            path.rename(folder / "line" / name / path.name)
    image = next((folder / "PARTS" / "bad").glob("*.png"))
    for name in ("PHOTO.jpg", "part.png"):
        (folder / name).write_bytes(image.read_bytes())
    return folder


def asked(call: Call, place: Path) -> list[str]:
    """Return a call's words with the reader's own in the place of placeholders."""
    words = []
    for word in call.words[1:]:
        answer: Any = ANSWERS.get(word, word)
        answer = answer[call.words[1]] if isinstance(answer, dict) else answer
        answer = re.sub(r"=(/data/)", f"={place}/data/", answer)
        words.append(re.sub(r"^(\w+)=PATH$", rf"\1={place}/data/\1", answer))
    return words


NEW = count()


def run_all(found: list[Call], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(place)
    for call in found:
        capsys.readouterr()
        own = {"OUT": f"OUT-{next(NEW)}"}  # readers name a new folder each time
        try:
            main([own.get(word, word) for word in asked(call, place)])
        except SystemExit as leave:
            raise AssertionError(f"{call}\nleaves with {leave.code}\n{capsys.readouterr().err}") from leave
        assert capsys.readouterr().out.strip(), f"{call} prints nothing"


def test_short_commands_run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    found = {call.words: call for call in zsad_calls() if runs(call) and not learns(call)}
    commands = {"predict", "remember", "calibrate", "eval", "--help"}
    assert commands | LISTINGS == {call.words[1] for call in found.values()}
    run_all(list(found.values()), place, monkeypatch, capsys)


def test_three_commands_lead_from_good_parts_to_verdicts(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What README.md shows a line, on twenty good parts and ten new ones."""
    found = [call for call in zsad_calls() if call.whole and any("line/" in word for word in call.words)]
    readme = [call for call in found if call.document.name == "README.md"]
    assert [call.words[1] for call in readme] == ["calibrate", "predict", "predict"]
    begun, out = time.monotonic(), place / "zsad-predictions" / "predictions.json"
    run_all(readme[:2], place, monkeypatch, capsys)
    report, calibration = json.loads(out.read_text()), json.loads((place / "calibration.json").read_text())
    assert len(calibration["good_parts"]) == 20 and len(report["images"]) == 10
    for entry in report["images"]:
        passed = entry["score"] < calibration["image"]["threshold"]
        assert entry["decision"] == ("normal" if passed else "anomalous")
        assert (entry["confidence"] < 0.5) == passed and Path(place / entry["overlay"]).is_file()
    run_all(readme[2:], place, monkeypatch, capsys)
    (entry,) = json.loads(out.read_text())["images"]
    assert entry["explanation"].startswith(f"{entry['decision']} (confidence ")
    assert time.monotonic() - begun < 300


@pytest.mark.acceptance
def test_commands_that_learn_run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for call in [call for call in zsad_calls() if runs(call) and learns(call)]:
        if call.words[1] == "train":  # every example begins a run of its own
            shutil.rmtree(place / call.words[call.words.index("--out") + 1], ignore_errors=True)
        run_all([call], place, monkeypatch, capsys)


def test_python_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zsad import load

    monkeypatch.chdir(place)
    assert len(blocks("python")) >= 2
    for block in blocks("python"):
        names = {
            "detector": load("musc"),
            "batches": [[str(path)] for path in sorted(Path("FOLDER").iterdir())],
        }
        exec(compile(block.text, block.place, "exec"), names)


# Files in code blocks


@pytest.mark.parametrize("block", blocks("toml"), ids=ids)
def test_toml_is_an_entry_point_of_ours(block: Block) -> None:
    from zsad.plugin.host import GROUP

    ((_, groups),) = tomllib.loads(block.text).items()
    assert list(groups["entry-points"]) == [GROUP]


@pytest.mark.parametrize("block", blocks("yaml"), ids=ids)
def test_yaml_is_part_of_a_recipe(block: Block) -> None:
    written = yaml.safe_load(block.text)
    assert set(written) <= {*Recipe.model_fields, "extends", "on_backbone"}
    layers = [written, *written.get("on_backbone", {}).values()]
    assert all(set(layer) <= {*Recipe.model_fields, "on_backbone"} for layer in layers)
    for layer in layers:
        Training.model_validate(layer.get("training") or {})
        parts = layer.get("parts", {})
        PartChoices.model_validate({"scorer": "standard.cosine"} | parts) if "scorer" in parts else None
    for part in re.findall(r"\b[a-z]+\.[a-z_]+\b", re.sub(r"\S+\.\*\S*|#.*|\w+\.yaml", "", block.text)):
        get_host().parts.get(part)


# Names


@cache
def sources() -> dict[Path, str]:
    """Return the project's own code and data, by file."""
    folders = [
        ROOT / name for name in ("zsad", "plugins", "prompts", "demo", "tests", "tools", "benchmarks", ".ci")
    ]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [
        path
        for path in files
        if path.suffix in {".py", ".yaml", ".sh", ".json", ".j2", ""} and "__pycache__" not in path.parts
    ]
    return {path: path.read_text(encoding="utf-8") for path in [*kept, ROOT / "pyproject.toml"]}


@cache
def words() -> frozenset[str]:
    mine = Path(__file__)
    return frozenset(
        word for path, text in sources().items() if path != mine for word in re.findall(r"\w+", text)
    )


@cache
def members() -> dict[str, set[str]]:
    """Return the attributes of every class of the project, by its name."""
    found: dict[str, set[str]] = {}
    for path, text in sources().items():
        if path.suffix != ".py" or "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                names = found.setdefault(node.name, set())
                names |= {each.name for each in ast.walk(node) if isinstance(each, ast.FunctionDef)}
                names |= {
                    each.target.id
                    for each in node.body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                }
                names |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return found


def code_spans() -> list[Span]:
    """Return the code spans of every document but the history."""
    return [span for path in documents() if path.name != "CHANGELOG.md" for span in spans(path)]


def test_identifiers_are_known() -> None:
    unknown = []
    for span in code_spans():
        for name in re.findall(r"(?<![\w./-])[A-Za-z]\w+_\w+|\b[A-Z][a-z]+[A-Z]\w+", span.text):
            if name not in words() and name not in FOREIGN and not PLACEHOLDER.fullmatch(name):
                unknown.append(f"{span.place}: {name}")
    assert unknown == []


def test_attributes_exist() -> None:
    unknown = []
    for span in code_spans():
        for owner, name in re.findall(r"\b([A-Z][A-Za-z]+|[a-z]+)\.(?!py\b)([a-z_]+)\b", span.text):
            owner = VARIABLES.get(owner, owner)
            if owner in members() and name not in members()[owner]:
                unknown.append(f"{span.place}: {owner}.{name}")
    assert unknown == []


def test_modules_exist() -> None:
    unknown = []
    for span in code_spans():
        for name in re.findall(r"(?<![\w/])zsad(?:_\w+)?(?:\.\w+)+", span.text):
            if not re.search(r"\.(py|md|yaml|csv|toml)$", name) and not exists(name):
                unknown.append(f"{span.place}: {name}")
    assert unknown == []


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = dotted.rpartition(".")
    try:
        if importlib.util.find_spec(dotted) is not None:
            return True
    except ModuleNotFoundError:
        pass
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        return False


def test_parts_exist() -> None:
    """``plugin.part``, and after it ``.part`` for more of the same plugin."""
    parts = get_host().parts
    plugins = {name.split(".")[0] for name in parts.names()}
    unknown, former = [], ""
    for span in code_spans():
        named = re.findall(r"=([a-z]+)\.([a-z]\w*)$", span.text)
        if alone := re.fullmatch(r"([a-z_]*)\.([a-z]\w*)", span.text):
            former = alone[1] or former
            named = [(former, alone[2])]
        for plugin, part in named:
            if plugin in plugins and f"{plugin}.{part}" not in parts:
                unknown.append(f"{span.place}: {plugin}.{part}")
    assert unknown == []


def test_hooks_exist() -> None:
    from zsad.plugin.contributions import HOOKS

    named = {
        name for span in code_spans() for name in re.findall(r"(?<![\w./])zsad_[a-z_]+\b(?![./])", span.text)
    }
    assert named - {"zsad_api", *PACKAGES, "zsad_invert"} <= set(HOOKS)


def test_environment_variables_are_read() -> None:
    text = "\n".join(text for path, text in sources().items() if path != Path(__file__))
    named = {name for path in documents() for name in re.findall(r"\bZSAD_[A-Z_]+", path.read_text())}
    assert len(named) > 5
    assert {name for name in named if f'"{name}"' not in text and f"${{{name}" not in text} == set()


# Files and links


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_exist(document: Path) -> None:
    missing = [span.text for span in spans(document) if is_path(span.text) and not found(span.text, document)]
    assert missing == []


def is_path(text: str) -> bool:
    """Whether a code span names a file or folder of the project, and not one that a command writes."""
    top = text.split("/")[0]
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} | set(PACKAGES)
    return bool(re.fullmatch(r"[\w.<>*/-]+", text)) and (
        ("/" in text and top in tops) or (text.endswith((".py", ".yaml")) and not PLACEHOLDER.search(text))
    )


def found(text: str, document: Path) -> bool:
    pattern = re.sub(r"<\w+>", "*", text).rstrip("/")
    top = pattern.split("/")[0]
    if top in PACKAGES:
        return any((ROOT / PACKAGES[top]).glob(pattern))
    if "/" in pattern and (ROOT / top).exists():
        return any(ROOT.glob(pattern))
    tree = document.parent if document.is_relative_to(ROOT / "plugins") else ROOT
    return any(tree.rglob(pattern))


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in links(document):
        name, _, anchor = link.text.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{link.place}: {link.text}")
    assert broken == []


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_pictures_are_shown() -> None:
    shown = {Path(link.text).name for path in documents() for link in links(path)}
    shown |= {Path(span.text).name for path in documents() for span in spans(path)}
    text = "".join(path.read_text(encoding="utf-8") for path in documents())
    folder = {path.parent.name for path in (ROOT / "docs").rglob("*.png")}
    assert all(f"docs/{name}" in text for name in folder) and os.listdir(ROOT / "docs" / "images")
