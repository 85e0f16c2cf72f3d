"""FiLo on the tiny CLIP of the tests and on ``mini``, with images and a tiny Grounding DINO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.values import Sample

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "anomaly", "damage", "broken", "defect",
              "contamination", "scratch", "crack", "hole")  # fmt: skip


@pytest.fixture(scope="session")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture
def untrained(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    """Load a method with random learned parts, on the tiny CLIP unless told otherwise."""

    def load(method: str, *overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "untrained": True} | options
        return load_detector(method, overrides=overrides, **options)

    return load


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Three images of two classes, each with a square of its own."""
    rng = np.random.default_rng(0)
    found = []
    for number, name in enumerate(["gear", "leather", "gear"]):
        image = rng.integers(0, 90, (80, 72, 3), dtype=np.uint8)
        image[10 : 30 + 9 * number, 12:40] = 60 + 80 * number
        found.append(Sample(image, name))
    return found


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Grounding DINO with seven queries and random weights, as transformers writes it."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word: place for place, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=256,
    )  # fmt: skip
    fast.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    swin = {
        "model_type": "swin", "embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1],
        "window_size": 4, "out_features": ["stage2", "stage3", "stage4"], "image_size": 64,
    }  # fmt: skip
    bert = {
        "model_type": "bert", "vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16,
    }  # fmt: skip
    config = transformers.GroundingDinoConfig(
        backbone_config=swin, text_config=bert, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
        num_queries=7,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("dino")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = transformers.GroundingDinoImageProcessor()
    transformers.GroundingDinoProcessor(images, fast).save_pretrained(folder)
    return folder
