from __future__ import annotations

import math

import pytest

from zsad.errors import InputError
from zsad_demo.words import MAX_IMAGE_SIZE, Words, parse_image_size, parse_noun, parse_threshold, shortened


def test_words_become_overrides_of_the_prompt_learner() -> None:
    words = Words.parse("a clean {}\n\n  a {} \n", 'a {}: "worn"\n')
    assert words.normal == ("a clean {}", "a {}")
    assert words.settings().texts == [
        'prompt_learner.normal_prompts=["a clean {}", "a {}"]',
        'prompt_learner.abnormal_prompts=["a {}: \\"worn\\""]',
    ]
    assert not Words.parse(None, " \n")


@pytest.mark.parametrize("text", ["x" * 301, "\n".join("x" * 21)])
def test_too_many_or_too_long_words_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"normal sentence"):
        Words.parse(text, None)


def test_the_noun_is_one_line_and_has_a_default() -> None:
    assert (parse_noun(None), parse_noun("  metal \n nut ")) == ("object", "metal nut")
    with pytest.raises(InputError, match="101 characters"):
        parse_noun("x" * 101)


def test_the_image_size_is_a_whole_number_within_limits() -> None:
    assert [parse_image_size(value, 240) for value in (None, 0, 336, 336.0)] == [240, 240, 336, 336]
    for value in (-1, 1.5, MAX_IMAGE_SIZE + 1, 1e300, math.nan, math.inf, "240", [240], {}, True):
        with pytest.raises(InputError, match="image size has to be"):
            parse_image_size(value, 240)


def test_the_threshold_is_a_finite_number() -> None:
    assert [parse_threshold(value) for value in (0, -3, 0.5, 1e300)] == [0, -3, 0.5, 1e300]
    for value in (math.nan, -math.inf, "0.5", None, [0.5], True):
        with pytest.raises(InputError, match="threshold has to be a number"):
            parse_threshold(value)


@pytest.mark.parametrize("value", [3, ["x"], {"a": 1}, True])
def test_what_is_no_text_is_refused(value: object) -> None:
    for parse in (parse_noun, lambda value: Words.parse(value, None), lambda value: Words.parse(None, value)):
        with pytest.raises(InputError, match="has to be text"):
            parse(value)


def test_texts_can_be_encoded_and_sentences_about_them_are_short() -> None:
    assert parse_noun("nut\ud800\x00\u202e") == "nut\ufffd\ufffd\ufffd"
    assert Words.parse("a\udfff {}", None).normal == ("a\ufffd {}",)
    assert shortened("m" * 100_000) == "m" * 100
