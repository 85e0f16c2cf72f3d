"""The shipped backbone ``mini``: offline, small, and as its card says."""

from __future__ import annotations

import socket
import warnings
from importlib.resources import files

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tools.train_mini.stem_weights import BATCH_NORM_EPSILON, stem_from_package
from zsad.data.preprocess import to_tensor
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest
from zsad_plugins.mini.backbone import load, read_mini
from zsad_plugins.mini.stem import (
    CHANNELS,
    FINE_STAGE,
    MEAN,
    STAGES,
    STD,
    ConvolutionalStem,
    SameConvolution,
)
from zsad_plugins.mini.tokenizer import (
    END_ID,
    START_ID,
    UNKNOWN_ROW,
    RowTokenizer,
    UnknownWordsWarning,
    row_ids,
)

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def mini():
    return load(torch.device("cpu"), torch.float32)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_file_is_small_and_in_half_precision():
    _, _, stored = read_mini()
    assert files("zsad_plugins.mini").joinpath("mini.safetensors").stat().st_size <= 12 * MEGABYTE
    floating = {value.dtype for value in stored.values() if value.is_floating_point()}
    assert floating == {torch.float16}
    assert all(bool(torch.isfinite(value).all()) for value in stored.values() if value.is_floating_point())


def test_it_loads_and_reads_without_network(no_network):
    backbone = load(torch.device("cpu"), torch.float32)
    text = backbone.text_tower()
    ids = text.tokenize(["a photo of a damaged object."])
    assert text(text.embed(ids), text.end_positions(ids)).shape == (1, backbone.vision_tower().embed_dim)


def test_sizes_of_the_towers(mini):
    vision, text = mini.vision_tower(), mini.text_tower()
    assert (vision.depth, text.depth) == (8, 6)
    assert vision.width == 192
    assert vision.patch_size == 16
    assert vision.native_image_size % 16 == 0
    assert 128 <= vision.embed_dim <= 256
    assert text.projection.shape[1] == vision.embed_dim
    assert text.profile.context_length == 77
    assert mini.capabilities == {"cls_token", "streams", "text", "causal_text"}


def test_the_card_says_what_was_seen(mini):
    assert mini.card.saw_anomaly_labels
    assert "ImageNet-1k" in mini.card.trained_on and "defect masks" in mini.card.trained_on
    assert mini.card.licence == "Apache-2.0"
    assert [entry.dataset for entry in mini.card.datasets] == ["ImageNet-1k", "procedural"]
    assert (mini.mean, mini.std) == (MEAN, STD)


def test_the_same_weights_and_numbers_twice(mini):
    other = load(torch.device("cpu"), torch.float32)
    assert other.sha256 == mini.sha256 and len(mini.sha256) == 64
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first, second = (backbone.vision_tower()(images, [VisionRequest()])[0] for backbone in (mini, other))
    assert torch.equal(first.image_feature, second.image_feature)


def test_nothing_is_left_to_train(mini):
    towers = (mini.vision_tower(), mini.text_tower())
    assert not any(parameter.requires_grad for tower in towers for parameter in tower.parameters())


@pytest.mark.parametrize("size", [224, 240, 320])
def test_any_multiple_of_the_stride_gives_a_full_grid(mini, size):
    depth = mini.vision_tower().depth
    stream = Stream(2, SelfAttention(("vv",)))
    request = VisionRequest((TokenRequest("plain", depth), TokenRequest("vv", depth, stream)))
    output = mini.vision_tower()(torch.zeros(1, 3, size, size), [request])[0]
    assert [entry.tokens.shape[1] for entry in output.token_sets] == [(size // 16) ** 2] * 2


def slow_convolution(x, layer):
    """Convolve [C, H, W] in float64 as TensorFlow's "same" padding says, place by place."""
    weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
    kernel, stride, (_, high, wide) = weight.shape[-1], layer.stride[0], x.shape
    rows, columns = -(-high // stride), -(-wide // stride)
    pads = [max((count - 1) * stride + kernel - size, 0) for count, size in ((rows, high), (columns, wide))]
    before = [pad // 2 for pad in pads]
    x = np.pad(x, [(0, 0), *((first, pad - first) for first, pad in zip(before, pads, strict=True))])
    per_group = weight.shape[1]
    outputs = weight.shape[0] // layer.groups
    result = np.empty((weight.shape[0], rows, columns))
    for row in range(rows):
        for column in range(columns):
            patch = x[:, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            for group in range(layer.groups):
                own = patch[group * per_group : (group + 1) * per_group]
                chosen = slice(group * outputs, (group + 1) * outputs)
                result[chosen, row, column] = (weight[chosen] * own).sum(axis=(1, 2, 3)) + bias[chosen]
    return result


def test_the_stem_equals_a_slow_reference():
    stem = read_mini()[0].stem
    image = np.random.default_rng(0).normal(size=(3, 32, 32))
    x = np.clip(slow_convolution(image, stem.first), 0, 6)
    for number, block in enumerate(stem.stages):
        y = np.clip(slow_convolution(x, block.expand), 0, 6) if block.expands else x
        y = slow_convolution(np.clip(slow_convolution(y, block.depthwise), 0, 6), block.project)
        x = x + y if y.shape == x.shape and STAGES[number].stride == 1 else y
        if number == FINE_STAGE:
            fine = x
    cells = fine.reshape(fine.shape[0], 2, 2, 2, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 2, 2)
    expected = np.concatenate([x, cells])
    found = stem(torch.from_numpy(image)[None].float())[0].numpy()
    assert found.shape == (CHANNELS, 2, 2)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_stride_two_pads_at_the_far_edge():
    layer = SameConvolution(1, 1, 3, 2)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9.0, 6.0], [6.0, 4.0]]


def test_batch_norm_is_folded_into_the_convolutions():
    generator = torch.Generator().manual_seed(0)
    state = package_state(generator)
    stem = stem_from_package(state)
    x = torch.randn(1, 3, 32, 32, generator=generator)

    def normed(y, norm):
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        weight, bias = state[f"{norm}.weight"], state[f"{norm}.bias"]
        return F.batch_norm(y, mean, variance, weight, bias, eps=BATCH_NORM_EPSILON)

    y = F.relu6(normed(F.conv2d(F.pad(x, (0, 1, 0, 1)), state["_conv_stem.weight"], stride=2), "_bn0"))
    y = F.conv2d(y, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    y = F.conv2d(F.relu6(normed(y, "_blocks.0._bn1")), state["_blocks.0._project_conv.weight"])
    found = stem.stages[0](F.relu6(stem.first(x)))
    torch.testing.assert_close(found, normed(y, "_blocks.0._bn2"), rtol=1e-4, atol=1e-4)


def package_state(generator):
    """Return a random state dict with the names and shapes of the PyPI package's network."""
    state = {}

    def add(convolution, norm, weight):
        state[f"{convolution}.weight"] = torch.randn(weight.shape, generator=generator) * 0.1
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{name}"] = torch.rand(weight.shape[0], generator=generator) + 0.5

    stem = ConvolutionalStem()
    add("_conv_stem", "_bn0", stem.first.weight)
    for number, block in enumerate(stem.stages):
        prefix = f"_blocks.{number}."
        if block.expands:
            add(f"{prefix}_expand_conv", f"{prefix}_bn0", block.expand.weight)
        add(f"{prefix}_depthwise_conv", f"{prefix}_bn1", block.depthwise.weight)
        add(f"{prefix}_project_conv", f"{prefix}_bn2", block.project.weight)
    return state


def test_the_end_token_has_the_largest_row(mini):
    text = mini.text_tower()
    ids = text.tokenize(["", "damaged object.", "X X X damaged object."])
    assert text.end_positions(ids).tolist() == [1, 4, 7]
    assert int(ids.max()) == text.token_embedding.shape[0] - 1
    assert ids[:, 0].tolist() == [int(ids.max()) - 1] * 3


def test_long_texts_are_cut_and_keep_their_end(mini):
    text = mini.text_tower()
    ids = text.tokenize(["object " * 100])
    assert ids.shape == (1, 77)
    assert text.end_positions(ids).tolist() == [76]


def test_rows_ascend_with_the_ids():
    ids = row_ids([500, 20, 7])
    assert ids.tolist() == [0, -1, 7, 20, 500, START_ID, END_ID]


def test_words_of_the_shipped_prompts_are_known(mini):
    from tools.train_mini.words import ABNORMAL, NORMAL, NOUNS, TEMPLATES, prompt_texts

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Neither are names of lists words, nor is the backslash of a published template.
        texts = [text for text in prompt_texts() if text not in ("generic", "phrases") and "\\" not in text]
        rows = mini.text_tower().tokenize([*texts, *NOUNS, *NORMAL, *ABNORMAL, *TEMPLATES, "X X X"])
    assert not bool((rows == UNKNOWN_ROW).any())


def test_unknown_words_are_named_once():
    ids = read_mini()[1]
    tokenizer = RowTokenizer(ids, 77)
    with pytest.warns(UnknownWordsWarning, match="'quokka', 'zyzzyva'") as caught:
        rows = tokenizer(["a photo of a zyzzyva", "a scratched quokka", "a photo of a zyzzyva"])
    assert len(caught) == 1
    assert "scratched" not in str(caught[0].message)
    assert (rows == UNKNOWN_ROW).any(dim=1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["a quokka"])
    with pytest.warns(UnknownWordsWarning, match="know 'axolotl':"):
        tokenizer(["a quokka and an axolotl"])


def test_states_differ_more_than_synonyms(mini):
    text = mini.text_tower()
    ids = text.tokenize(["flawless object", "perfect object", "damaged object", "broken object"])
    features = F.normalize(text(text.embed(ids), text.end_positions(ids)), dim=-1)
    cosines = features @ features.T
    assert float(cosines[0, 1] + cosines[2, 3]) / 2 > float(cosines[:2, 2:].mean()) + 0.02


def test_a_scratch_lights_up(mini):
    """Patches on a bright line in grey noise are nearer to "scratched" than the others are."""
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(120, 6, (240, 240, 1)) + np.zeros(3), 0, 255)
    image[110:114, 40:200] = 220
    tensor = to_tensor(image.astype(np.uint8), 240, mini.mean, mini.std)[None]
    vision, text = mini.vision_tower(), mini.text_tower()
    ids = text.tokenize(["flawless metal surface", "scratched metal surface"])
    normal, scratched = F.normalize(text(text.embed(ids), text.end_positions(ids)), dim=-1)
    with torch.no_grad():
        output = vision(tensor, [VisionRequest((TokenRequest("plain", vision.depth),))])[0]
    score = (F.normalize(output.token_sets[0].tokens[0], dim=-1) @ (scratched - normal)).view(15, 15)
    on_line = score[7, 3:12]
    others = torch.cat([score[:5].flatten(), score[10:].flatten()])
    assert float(on_line.mean()) > float(others.quantile(0.99))
