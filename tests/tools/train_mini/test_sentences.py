"""The sentences of a training step."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from tools.train_mini.sentences import LONGEST_PLACEHOLDER, Bank, Sentences, bare, position_of
from tools.train_mini.words import PLACEHOLDER, phrases, prompt_texts
from zsad_plugins.drawn.procedural import DEFECTS, TRAINING_FAMILIES
from zsad_plugins.mini.tokenizer import UNKNOWN_ROW, RowTokenizer


@pytest.fixture
def sentences(records) -> Sentences:
    return Sentences(phrases(), records, np.random.default_rng(5))


def drawn(sentences, records) -> list[str]:
    """Return many sentences of every sort, as training draws them."""
    texts = []
    for record in records:
        cover = np.zeros((4, 4), np.float16)
        cover[tuple(sentences.rng.integers(0, 4, 2))] = bool(record.defects)
        without_words = replace(record, caption="")
        twice = replace(without_words, defects=record.defects * 2)
        for _ in range(4):
            texts += [sentences.caption(entry, cover) for entry in (record, without_words, twice)]
            texts += [sentences.state(abnormal, sentences.noun(record)) for abnormal in (False, True)]
            texts += [sentences.material(record.material), sentences.framed(record.family.replace("_", " "))]
            texts += [sentences.defect(name, sentences.noun()) for name in record.defects]
    for name in sentences.defects.names:
        texts += [sentences.defect(name, sentences.noun()) for _ in range(30)]
    return texts


def test_every_word_of_every_sentence_has_a_row(sentences, records, ids) -> None:
    tokenizer = RowTokenizer(ids, 77)
    texts = drawn(sentences, records)
    assert len(texts) > 2000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = tokenizer(texts)
        assert not bool((tokenizer(list(prompt_texts())) == UNKNOWN_ROW).any())
    assert not bool((rows == UNKNOWN_ROW).any())
    # None is so long that its end is cut.
    assert int((rows != 0).sum(dim=1).max()) < 77


def test_no_template_is_left_open(sentences, records) -> None:
    texts = drawn(sentences, records)
    assert not any("{" in text or "}" in text for text in texts)
    assert all(text.strip() and "  " not in text for text in texts)


def test_placeholders_stand_before_some_sentences(sentences) -> None:
    texts = [sentences.framed("damaged object") for _ in range(3000)]
    led = [text for text in texts if text.startswith(f"{PLACEHOLDER} ")]
    assert 0.1 < len(led) / len(texts) < 0.2
    assert all(text.lstrip(f"{PLACEHOLDER} ") == "damaged object." for text in led)
    assert {text.count(PLACEHOLDER) for text in led} == set(range(1, LONGEST_PLACEHOLDER + 1))


def test_nouns(sentences, records) -> None:
    record = records[0]
    nouns = [sentences.noun(record) for _ in range(2000)]
    own = nouns.count(record.class_name) / len(nouns)
    assert 0.5 < own < 0.65
    assert 0.1 < nouns.count("object") / len(nouns) < 0.2
    assert len(set(nouns)) > 100


def test_states_use_the_object(sentences) -> None:
    texts = [sentences.state(True, "gizmo") for _ in range(200)]
    assert sum("gizmo" in text for text in texts) > 150  # a few abnormal phrases name no object


def test_the_same_seed_gives_the_same_sentences(records) -> None:
    first, second = (
        drawn(Sentences(phrases(), records, np.random.default_rng(1)), records[:10]) for _ in range(2)
    )
    assert first == second


def test_banks(sentences, records) -> None:
    known = {name for record in records for name in record.defects}
    assert sentences.defects.names == tuple(sorted(known)) and known <= set(DEFECTS)
    assert {record.family for record in records} <= set(TRAINING_FAMILIES)
    bank = Bank(("dent", "scratch"))
    assert [bank.index(name) for name in ("scratch", "dent", "hole", None)] == [1, 0, -1, -1]


def test_captions_speak_of_what_is_seen(sentences, records) -> None:
    normal = replace(records[0], caption="", defects=())
    for _ in range(50):
        assert normal.class_name in sentences.caption(normal, np.zeros((3, 3)))
    kept = replace(records[0], caption="as it was written")
    texts = [sentences.caption(kept, np.zeros((3, 3))) for _ in range(200)]
    assert 60 < texts.count("as it was written") < 140


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_positions(row, column) -> None:
    cover = np.zeros((6, 6), np.float16)
    cover[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0.5
    words = [["top left", "top", "top right"], ["left", "center", "right"],
             ["bottom left", "bottom", "bottom right"]]  # fmt: skip
    assert position_of(cover) == words[row][column]
    assert position_of(np.zeros((3, 3))) == "top left"


def test_bare() -> None:
    assert [bare(text) for text in ("a hole", "an open seam", "anodised", "two holes")] == [
        "hole", "open seam", "anodised", "two holes",
    ]  # fmt: skip
