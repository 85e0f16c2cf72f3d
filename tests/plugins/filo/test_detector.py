"""Grounding DINO by transformers, and what is said where it is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zsad.errors import InputError, ZsadError
from zsad.values import Sample
from zsad_plugins.filo.detector import caption

SMALL = ("auxiliary.grounding_dino.short_side=64", "auxiliary.grounding_dino.long_side=96")


@pytest.fixture
def published(untrained, dino_folder):
    return lambda *more: untrained(
        "filo@dino", f"auxiliary.grounding_dino.model={dino_folder}", *SMALL, *more
    )


def test_the_published_method_runs_with_boxes(published, samples) -> None:
    detector = published()
    features = detector.encode(samples)
    boxes = features.auxiliary["filo.boxes"]
    assert boxes.shape == (3, 7, 6) and boxes.dtype == torch.float32
    assert (boxes[:, 0, 4] > 0).all()  # at least the best box of all is kept
    prediction = detector.score(features)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    # The detector is no part of what is learned.
    assert not [key for key in detector.state_dict() if "auxiliary" in key]
    assert detector.recipe.fidelity == "composed"


def test_what_is_read_of_the_detector(published, samples) -> None:
    part = published()._built["auxiliary"][0]
    words = part.words("gear")
    found = part.detect(samples[0], words)
    inputs = part.processor(
        images=samples[0].image, text=caption(words), return_tensors="pt",
        size={"shortest_edge": 64, "longest_edge": 96},
    )  # fmt: skip
    assert inputs["pixel_values"].shape[-2:] == (71, 64)  # the aspect ratio is kept
    output = part.model(**inputs)
    chances = output.logits[0].sigmoid()
    torch.testing.assert_close(found.boxes, output.pred_boxes[0])
    torch.testing.assert_close(found.scores, chances.amax(1))
    ids = inputs["input_ids"][0]
    for phrase, row in zip(found.phrases, chances[:, : len(ids)], strict=True):
        own = [int(ids[place]) for place in range(1, len(ids) - 1) if row[place] > 0.25]
        assert phrase == (part.processor.tokenizer.decode(own) if own else "")
    assert any("broken" in phrase for phrase in found.phrases)


def test_boxes_of_an_image_do_not_depend_on_its_neighbours(published, samples) -> None:
    part = published()._built["auxiliary"][0]
    other = Sample(np.zeros((40, 90, 3), np.uint8), "object")
    pixels = torch.zeros(2, 3, 64, 64)
    both = part([samples[0], other], pixels)["filo.boxes"]
    alone = part([samples[0]], pixels[:1])["filo.boxes"]
    assert torch.equal(both[:1], alone)


def test_the_caption() -> None:
    assert caption(["anomaly", "Odd colour "]) == "anomaly . odd colour ."


def test_a_folder_without_a_model_is_named(untrained, tmp_path) -> None:
    with pytest.raises(InputError, match=r"grounding_dino.*holds no Grounding DINO of transformers"):
        untrained("filo@dino", f"auxiliary.grounding_dino.model={tmp_path}")


def test_another_model_is_refused(untrained, tmp_path) -> None:
    import transformers

    config = transformers.OwlViTConfig(
        text_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40},
        vision_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64},
    )
    transformers.OwlViTForObjectDetection(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="Grounding DINO"):
        untrained("filo@dino", f"auxiliary.grounding_dino.model={tmp_path}")


def test_without_the_hub_the_way_around_is_named(untrained, monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    from zsad.backbones import hub

    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ZsadError, match=r"model=FOLDER, or run the method 'filo', which needs no detector"):
        untrained("filo@dino", "auxiliary.grounding_dino.model=nobody/no-such-dino")
