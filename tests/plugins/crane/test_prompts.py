"""Crane's prompts and the image token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from zsad.backbones.loading import load_backbone
from zsad.errors import InputError
from zsad.prompts import Prompts
from zsad_plugins.crane.image_token import with_token

PLACES = {  # of a prompt [start, 1, 2, 3, word, end, padding, padding] with the image token as 9
    "pad_suffix": [0, 1, 2, 3, 9, 4, 5, 6],
    "pad_prefix": [0, 9, 1, 2, 3, 4, 5, 6],
    "replace_suffix": [0, 1, 2, 9, 4, 5, 6, 6],
    "replace_prefix": [0, 9, 2, 3, 4, 5, 6, 6],
}


def prompts_of(values: list[float]) -> Prompts:
    embeddings = torch.tensor(values, dtype=torch.float)[None, None, :, None].expand(2, 2, -1, 2)
    slots = {"context": slice(1, 4)}
    return Prompts(embeddings, torch.tensor([5, 4]), torch.tensor([0, 1]), slots=slots)


@pytest.mark.parametrize("place", PLACES)
def test_the_token_stands_where_the_option_says(place: str) -> None:
    tokens = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    edited = with_token(prompts_of([0, 1, 2, 3, 4, 5, 6, 6]), tokens, place, 8)
    expected = torch.tensor(PLACES[place], dtype=torch.float)[None, None, :, None].repeat(2, 2, 1, 2)
    where = PLACES[place].index(9)
    expected[0, :, where], expected[1, :, where] = tokens
    torch.testing.assert_close(edited.embeddings, expected)
    assert edited.end.tolist() == ([6, 5] if place.startswith("pad") else [5, 4])


def test_a_full_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="more than 6 tokens"):
        with_token(prompts_of([0, 1, 2, 3, 4, 5]), torch.ones(2, 2), "pad_suffix", 6)


def test_prompts_without_context_are_refused(load, mini, samples) -> None:
    detector = load("crane@image-prompt", mini, "prompt_learner=standard.templates")
    with pytest.raises(InputError, match=r"beside learned context tokens.*prompt_learner=crane\.prompts"):
        detector.predict(samples)


def test_on_other_widths_the_projection_brings_the_token_near_the_feature(load, mini, samples) -> None:
    detector = load("crane@image-prompt", mini)
    text, part = detector.part("prompt_learner"), detector.part("prompt_conditioner")
    image = detector.encode(samples).image_feature
    token, projection = part.token(image), mini.text_tower().projection
    assert token.shape == (3, text.context.shape[-1]) and token.shape[1] != image.shape[1]
    residual = F.normalize(image, dim=-1) - token @ projection
    torch.testing.assert_close(residual @ projection.T, torch.zeros_like(token), rtol=0, atol=1e-3)


def test_equal_widths_take_the_feature_itself(load, samples, tmp_path) -> None:
    tiny = json.loads((Path(__file__).parents[2] / "assets" / "tiny-clip.json").read_text())
    (tmp_path / "equal.json").write_text(json.dumps({**tiny, "embed_dim": tiny["text_cfg"]["width"]}))
    detector = load("crane@image-prompt", load_backbone(f"{tmp_path}/equal.json@random:0", "cpu", "float32"))
    image = detector.encode(samples).image_feature
    torch.testing.assert_close(detector.part("prompt_conditioner").token(image), F.normalize(image, dim=-1))


def test_texts_differ_per_image_only_with_the_token(load, mini, samples) -> None:
    static, guided = load("crane", mini), load("crane@image-prompt", mini)
    fixed = static.condition(static.encode(samples)).text_features
    moving = guided.condition(guided.encode(samples)).text_features
    assert torch.equal(fixed[0], fixed[1]) and (moving[0] - moving[1]).abs().max() > 1e-5


def test_the_words_belong_to_the_weights(load, mini, samples) -> None:
    detector = load("crane", mini)
    learner = detector.part("prompt_learner")
    assert set(learner.state_dict()) == {"context", "deep", "words"}
    # Up to the later end token: start, 12 of context, "damaged object.", end.
    assert learner.words.shape == (2, 17, 128) and learner.end.tolist() == [15, 16]
    prompts = learner("anything")
    assert prompts.slots["context"] == slice(1, 13)
    before = detector.predict(samples).score
    learner.load_state_dict({**learner.state_dict(), "words": -learner.words})
    detector.text_side.forget()
    assert not torch.allclose(before, detector.predict(samples).score, atol=1e-6)


def test_prompts_are_anomalyclips_apart_from_their_length(load, mini) -> None:
    one, two = (load(method, mini).part("prompt_learner")("") for method in ("crane", "anomalyclip"))
    assert one.slots == two.slots and torch.equal(one.end, two.end)
    torch.testing.assert_close(one.embeddings, two.embeddings[:, : one.embeddings.shape[1]])
    torch.testing.assert_close(torch.stack(one.deep.tokens), torch.stack(two.deep.tokens))
