"""Words that a backbone does not know, as the page and the API say them."""

from __future__ import annotations

from zsad_demo import markup
from zsad_demo.vocabulary import UnknownWord, unknown_words, vocabulary_facts
from zsad_plugins.mini.backbone import read_mini
from zsad_plugins.mini.tokenizer import RowTokenizer
from zsad_plugins.mini.words import read_words


def test_unknown_words_of_mini_come_with_what_they_are_read_as() -> None:
    tokenizer = RowTokenizer(read_mini()[1], 77, read_words())
    texts = ["zyzzyva biscuit", "a gougd {}", "a {} with mold"]
    found = unknown_words(tokenizer, texts)
    assert found == (UnknownWord("gougd", "gouged"), UnknownWord("zyzzyva", None))
    assert vocabulary_facts(found) == {
        "unknown_words": ["gougd", "zyzzyva"],
        "words_read_as": {"gougd": "gouged"},
    }


def test_a_tokenizer_that_knows_all_words_has_none_unknown() -> None:
    assert unknown_words(object(), ["gougd"]) == ()
    assert vocabulary_facts(()) == {"unknown_words": [], "words_read_as": {}}


def test_the_page_says_which_word_is_read_and_which_says_nothing() -> None:
    said = markup.unknown((UnknownWord("gougd", "gouged"), UnknownWord("zyzzyva", None)))
    assert "does not know &#x27;gougd&#x27;; it reads &#x27;gouged&#x27;." in said
    assert "does not know &#x27;zyzzyva&#x27;: such words say nothing to it." in said
    assert markup.unknown(()) == ""


def test_words_are_escaped() -> None:
    assert "<b>" not in markup.unknown((UnknownWord("<b>", None),))
