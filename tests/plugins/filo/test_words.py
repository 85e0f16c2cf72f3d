"""The prompt data of FiLo, and phrases from a file of one's own."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import yaml

from zsad.data.phrases import read_phrases
from zsad.errors import InputError
from zsad_plugins.filo.options import STATES
from zsad_plugins.filo.words import read_states


def test_the_file_says_where_it_comes_from() -> None:
    data = yaml.safe_load((files("zsad_prompts") / "filo" / "states.yaml").read_text(encoding="utf-8"))
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
    assert learner.sentences("zebra")[1][0] == f"abnormal zebra with {read_phrases().generic[0]} at top left."
    assert learner.sentences("metal_nut")[0][0] == "metal nut."


def test_own_phrases_in_json_or_yaml(untrained, tmp_path) -> None:
    plain, whole = tmp_path / "own.json", tmp_path / "own.yaml"
    plain.write_text(json.dumps({"Metal_Nut": ["a bite"]}), encoding="utf-8")
    whole.write_text("generic: [a bruise]\nphrases: {zebra: [a missing stripe]}", encoding="utf-8")
    learner = untrained("filo", f"prompt_learner.phrases={plain}").part("prompt_learner")
    assert learner.sentences("metal nut")[1][0] == "abnormal metal nut with a bite at top left."
    assert learner.phrases.generic == read_phrases().generic
    learner = untrained("filo", f"prompt_learner.phrases={whole}").part("prompt_learner")
    assert learner.sentences("zebra")[1][0] == "abnormal zebra with a missing stripe at top left."
    assert learner.sentences("metal nut")[1][0] == "abnormal metal nut with a bruise at top left."


def test_states_need_nine_positions(tmp_path) -> None:
    data = yaml.safe_load((files("zsad_prompts") / "filo" / "states.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "states.yaml"
    path.write_text(yaml.safe_dump({**data, "positions": ["left", "right"]}), encoding="utf-8")
    with pytest.raises(InputError, match="is not a file of states: positions"):
        read_states(str(path))
