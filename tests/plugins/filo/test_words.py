"""The prompt data of FiLo, and phrases from a file of one's own."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import yaml

from zsad.data.nouns import noun_of
from zsad.errors import InputError
from zsad_plugins.filo.options import PHRASES, STATES
from zsad_plugins.filo.words import read_phrases, read_states

CLASSES = (
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw"),
    *("tile", "toothbrush", "transistor", "wood", "zipper"),
    *("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1", "pcb2"),
    *("pcb3", "pcb4", "pipe_fryum"),
    *("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"),
    *("01", "02", "03", "object"),
)


def nouns() -> set[str]:
    listed = yaml.safe_load((files("zsad_prompts") / "nouns.yaml").read_text(encoding="utf-8"))["nouns"]
    return {*listed.values()}


@pytest.mark.parametrize("name", sorted({*CLASSES, *map(noun_of, CLASSES), *nouns()}))
def test_every_known_object_has_phrases_of_its_own(name) -> None:
    phrases = read_phrases(PHRASES)
    own = phrases.of(name)
    assert 5 <= len(own) <= 12 and len(set(own)) == len(own)
    assert all(phrase == phrase.strip().lower() for phrase in own)
    assert own is not phrases.generic or name == "object"


def test_files_say_where_they_come_from() -> None:
    for name in ("states", "phrases"):
        data = yaml.safe_load((files("zsad_prompts") / "filo" / f"{name}.yaml").read_text(encoding="utf-8"))
        assert len(data["source"]) > 40


def test_sentences_go_state_by_state_through_the_positions() -> None:
    normal, abnormal = read_states(STATES).sentences("metal nut", ("rust",))
    assert normal[:2] == ["metal nut.", "flawless metal nut."] and len(normal) == 7
    assert abnormal[0] == "abnormal metal nut with rust at top left."
    assert abnormal[8] == "abnormal metal nut with rust at bottom right."
    assert abnormal[9] == "damaged metal nut at top left." and len(abnormal) == 54


def test_the_noun_decides_and_class_words_rename_it(untrained) -> None:
    learner = untrained("filo").part("prompt_learner")
    normal, abnormal = learner.sentences("printed circuit board")
    assert normal[0] == "pcb." and "solder" in " ".join(abnormal)
    assert (
        learner.sentences("zebra")[1][0]
        == f"abnormal zebra with {read_phrases(PHRASES).generic[0]} at top left."
    )
    assert learner.sentences("metal_nut")[0][0] == "metal nut."


def test_own_phrases_in_json_or_yaml(untrained, tmp_path) -> None:
    plain, whole = tmp_path / "own.json", tmp_path / "own.yaml"
    plain.write_text(json.dumps({"Metal_Nut": ["a bite"]}), encoding="utf-8")
    whole.write_text("generic: [a bruise]\nphrases: {zebra: [a missing stripe]}", encoding="utf-8")
    learner = untrained("filo", f"prompt_learner.phrases={plain}").part("prompt_learner")
    assert learner.sentences("metal nut")[1][0] == "abnormal metal nut with a bite at top left."
    assert learner.phrases.generic == read_phrases(PHRASES).generic
    learner = untrained("filo", f"prompt_learner.phrases={whole}").part("prompt_learner")
    assert learner.sentences("zebra")[1][0] == "abnormal zebra with a missing stripe at top left."
    assert learner.sentences("metal nut")[1][0] == "abnormal metal nut with a bruise at top left."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "not a file of phrases per object"),
        ("zebra: a stripe", "phrases.zebra"),
        ("zebra: []", "phrases.zebra"),
        ("phrases: {zebra: [a]}\nextra: 1", "extra"),
        ("{", "neither a readable YAML file"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_phrases(str(path))


def test_states_need_nine_positions(tmp_path) -> None:
    data = yaml.safe_load((files("zsad_prompts") / "filo" / "states.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "states.yaml"
    path.write_text(yaml.safe_dump({**data, "positions": ["left", "right"]}), encoding="utf-8")
    with pytest.raises(InputError, match="is not a file of states: positions"):
        read_states(str(path))
