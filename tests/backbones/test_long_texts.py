"""Texts longer than the context are told, by what the tokenizer really leaves out."""

from __future__ import annotations

import warnings

import open_clip
import pytest

from tests.backbones.test_open_clip_loading import CONFIG
from zsad.backbones.loading import load_backbone
from zsad.backbones.long_texts import cut_texts
from zsad.errors import ZsadWarning


@pytest.mark.parametrize("word", ["a", "scratch", "delamination"])
def test_exactly_the_texts_that_are_cut(word: str) -> None:
    tokenizer = open_clip.SimpleTokenizer(context_length=20)
    each = len(tokenizer.encode(word))
    texts = [" ".join([word] * count) for count in range(1, 30)]
    expected = [text for count, text in enumerate(texts, 1) if each * count + 2 > 20]
    assert cut_texts(tokenizer, texts, tokenizer(texts)) == expected
    assert 0 < len(expected) < len(texts)


def test_a_tower_warns_of_the_text_once_and_of_no_other() -> None:
    text = load_backbone(f"{CONFIG}@random:0", "cpu", "float32").text_tower()
    assert text is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error", ZsadWarning)
        text.tokenize(["a photo of a damaged object.", "a " * 75])
    with pytest.warns(ZsadWarning, match="longer than the 77 tokens") as said:
        text.tokenize(["a photo", "a " * 76])
    assert len(said) == 1


def test_the_embedded_backbone_is_not_asked_for_beginnings_of_words() -> None:
    text = load_backbone("mini", "cpu", "float32").text_tower()
    assert text is not None
    with pytest.warns(ZsadWarning) as said:
        text.tokenize([f"{'scratched ' * 80}object"])
    assert ["longer than the" in str(each.message) for each in said] == [True]
