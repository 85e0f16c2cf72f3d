"""Captions: what they say, their grammar, and their vocabulary."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from zsad.errors import InputError
from zsad_plugins.drawn.procedural import (
    DEFECTS,
    FAMILIES,
    captions,
    captions_vocabulary,
    defect_phrases,
    plausible_defects,
    wording,
)
from zsad_plugins.drawn.procedural.captions import MATERIALS, words_of
from zsad_plugins.drawn.procedural.catalogue import CATALOGUE

PLAIN = ["mucosa", "leather", "capsule", "blister", "tube", "macaroni", "assembly", "steel", "circuit_film"]


def texts(family, defect, count=40, **options):
    rng = np.random.default_rng([FAMILIES.index(family), DEFECTS.index(defect) if defect else 99])
    return [captions(family, defect, rng, **options) for _ in range(count)]


def every_text(count=12, **options):
    for family in FAMILIES:
        for defect in (None, *plausible_defects(family)):
            yield from texts(family, defect, count, **options)


def test_grammar():
    vowel = re.compile(r"\ba (?!uni[tfqv]|us[aeu]|eu|one\b)[aeiou]")
    for text in itertools.chain(
        every_text(material="wood", looks=("small", "dark"), position="top left"),
        every_text(),
        every_text(4, material="asphalt", looks=("jpeg corrupted",)),
    ):
        assert text == text.strip().lower()
        assert not re.search(r"[{}]|\s\s|\s[.,]", text), text
        assert not vowel.search(text), text
        assert not re.search(r"\ban [^aeiou]", text), text
        assert not re.search(r"\b(a|an|the|my) (a|an|the|my)\b", text), text


@pytest.mark.parametrize("noun", sorted(wording.PLURAL_NOUNS | wording.MASS_NOUNS))
def test_plural_and_mass_nouns_have_no_article(noun):
    verb = "there are" if noun in wording.PLURAL_NOUNS else "there is"
    found = set()
    rng = np.random.default_rng(0)
    for number in range(600):
        defect = (None, "crack")[number % 2]
        text = captions("assembly", defect, rng, noun=noun, looks=("small", "bright"))
        found.add(text)
        assert not re.search(rf"\ban? (\w+ )?{noun}\b", text.replace("a bright photo of ", "")), text
        if "in the scene" in text and "there" in text:
            assert text.startswith(verb), text
    assert any(re.search(rf"photo of {noun}\b", text) for text in found)
    assert any(re.search(rf"photo of small \w* ?{noun}\b", text) for text in found)
    assert any(re.search(rf"a bright photo of {noun}\b", text) for text in found)


def test_what_can_be_counted_keeps_its_article():
    found = set(texts("bolt", None, 600, noun="bolt"))
    assert {"a photo of a bolt.", "a bolt", "a picture of a bolt", "there is a bolt in the scene."} <= found
    assert {"a photo of an undamaged bolt.", "an intact bolt"} & found
    surfaces = texts("leather", None, 900, noun="leather", material="leather")
    assert "a photo of a leather surface." in surfaces
    assert "a photo of leather." in surfaces


def test_articles_follow_the_sound():
    found = set(texts("assembly", None, 500, noun="unit")) | set(texts("assembly", None, 500, noun="item"))
    assert {"a photo of a unit.", "a photo of an item.", "a photo of an unblemished unit."} <= found


def test_every_family_noun_in_the_plural_is_known_as_one():
    nouns = {noun for family in CATALOGUE.values() for noun in family.nouns}
    heads = {noun.split()[-1] for noun in nouns}
    assert {head for head in heads if head.endswith("s")} == wording.PLURAL_NOUNS
    assert heads >= wording.PLURAL_NOUNS


def test_there_is_and_there_are_agree_with_the_defect():
    found = [text for text in texts("bolt", "scratch", 1500, noun="bolt") if ", there " in text]
    assert any(", there is a scratch on the bolt" in text for text in found)
    assert any(", there are scratches on the bolt" in text for text in found)
    assert not any("there is scratches" in text or "there are a" in text for text in found)


@pytest.mark.parametrize("family", PLAIN)
def test_captions_name_the_noun_and_the_defect(family):
    for noun in set(CATALOGUE[family].nouns):
        for defect in plausible_defects(family):
            words = defect_phrases(family, defect)
            for text in texts(family, defect, 30, noun=noun, specific=1.0):
                assert noun in text
                before = any(f"{word} " in text for word in words.before)
                assert before or any(f" {phrase}" in text for phrase in words.after), text
        for text in texts(family, None, 30, noun=noun):
            assert noun in text


def test_unspecific_captions_say_that_something_is_wrong():
    states = re.compile("|".join(state.replace("{}", "").strip() for state in wording.ABNORMAL_STATES))
    for text in texts("bolt", "crack", 200, specific=0.0):
        assert states.search(text)
        assert "crack" not in text


def test_normal_captions_name_no_defect():
    names = {word for words in wording.DEFECT_WORDS.values() for word in words.before}
    for family in FAMILIES:
        for text in texts(family, None, 20, looks=()):
            assert not names & set(words_of([text]))


def test_the_share_of_captions_that_name_the_defect():
    found = [re.search("crack|fracture", text) for text in texts("bolt", "crack", 1000, specific=0.6)]
    assert 0.53 < sum(map(bool, found)) / 1000 < 0.67


def test_looks_materials_and_positions_are_said_now_and_then():
    found = texts(
        "button", "hole", 800, noun="button", looks=("dark",), material="wood", position="bottom left"
    )
    for part, low, high in (
        ("dark", 0.2, 0.4),
        ("wooden button", 0.15, 0.35),
        ("made of wood", 0.01, 0.12),
        ("bottom left", 0.1, 0.3),
    ):
        assert low < sum(part in text for text in found) / 800 < high, part
    for text in texts("button", "hole", 200, noun="button"):
        assert not re.search("dark|wood|bottom|left", text)


def test_a_material_is_not_said_twice():
    for text in texts("nut", None, 300, noun="metal nut", material="metal"):
        assert text.count("metal") == 1
    for text in texts("circuit_board", None, 300, noun="pcb", material="circuit board"):
        assert "circuit board" not in text
    for text in texts("pill", None, 300, noun="pill", material="food"):
        assert "food" not in text


def test_the_same_generator_gives_the_same_captions_and_many():
    assert texts("bolt", "crack") == texts("bolt", "crack")
    assert len(set(texts("bolt", "crack", 300))) > 150


def test_the_vocabulary_holds_every_word_that_is_drawn():
    vocabulary = captions_vocabulary()
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", word) for word in vocabulary)
    drawn = set()
    for material in (None, *MATERIALS):
        drawn |= set(words_of(every_text(3, material=material, looks=wording.LOOKS, position="bottom right")))
    assert drawn <= vocabulary
    assert len(drawn) > 0.9 * len(vocabulary)


def test_words_of_leaves_out_places_and_punctuation():
    assert list(words_of(["A close-up photo of a {look} {}."])) == ["a", "close-up", "photo", "of", "a"]


def test_every_defect_has_words_and_special_words_are_for_plausible_defects():
    assert set(wording.DEFECT_WORDS) == set(DEFECTS)
    for family, defect in wording.SPECIAL_WORDS:
        assert defect in plausible_defects(family)
    assert defect_phrases("mucosa", "blob").after[0] == "a polyp"
    assert defect_phrases("bolt", "blob") == wording.DEFECT_WORDS["blob"]


def test_wrong_names_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="unknown procedural family 'carpets'; did you mean 'carpet'"):
        captions("carpets", None, rng)
    with pytest.raises(InputError, match="unknown procedural defect 'holes'; did you mean 'hole'"):
        captions("carpet", "holes", rng)
    with pytest.raises(InputError, match="unknown procedural family"):
        defect_phrases("xyz", "hole")
    with pytest.raises(InputError, match="unknown procedural defect"):
        defect_phrases("carpet", "xyz")
