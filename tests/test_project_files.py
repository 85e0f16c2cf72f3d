"""The files around the code: recipes of the justfile, decisions, templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.documents import JUSTFILE, ROOT, calls, recipes, spans, table

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_every_line_of_the_justfile_is_understood() -> None:
    lines = JUSTFILE.read_text(encoding="utf-8").splitlines()
    heads = [line for line in lines if line and not line.startswith(("    ", "#"))]
    assert len(heads) == len(recipes()) + 1  # the list, which is just's own
    for block in recipes():
        assert block.text.strip(), f"{block.place} does nothing"
        for line in block.text.splitlines():
            programs = r"(?:\w+=\S+ )*(zsad|python -m|ruff|mypy|\.ci/\w+)\b"
            assert re.match(programs, line), f"{block.place}: {line}"
            if line.startswith(".ci/"):
                assert (ROOT / line.strip()).is_file()


def test_documents_and_justfile_agree() -> None:
    """What contributors are told to run is what the justfile runs."""
    theirs = {call.words[:3] for call in calls() if call.document == JUSTFILE}
    files = {line.strip() for block in recipes() for line in block.text.splitlines()}
    told = {call.words for call in calls() if call.document.name == "CONTRIBUTING.md"}
    needed = {words[:3] for words in told if words[0] == "python" and words[2] != "venv"}
    needed |= {words[:2] for words in told if words[0] in ("ruff", "mypy")}
    assert len(needed) >= 4
    assert {words for words in needed if not any(their[: len(words)] == words for their in theirs)} == set()
    assert {span.text for span in spans(ROOT / "CONTRIBUTING.md") if span.text.startswith(".ci/")} <= files


def test_the_index_lists_the_decisions() -> None:
    rows = table("docs/decisions/README.md", "decision").rows
    told = {re.sub(r".*\((.+)\)", r"\1", row[0]): row[1] for row in rows}
    assert told == {path.name: path.read_text(encoding="utf-8").splitlines()[0][2:] for path in DECISIONS}
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_all_that_a_reader_asks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Not chosen", "Where"]
    assert len(text.splitlines()) <= 60
    where = text.split("## Where")[1]
    assert re.search(r"^Code: .*`zsad/", where, re.MULTILINE) and re.search(
        r"^Tests: .*`tests/", where, re.MULTILINE
    )


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_github_asks(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert set(form) <= {"blank_issues_enabled", "contact_links"}
        return
    assert form["name"] and form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert (field["type"] in {"dropdown", "checkboxes"}) == ("options" in field["attributes"])
