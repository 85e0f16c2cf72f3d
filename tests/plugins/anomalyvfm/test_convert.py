"""The import of AnomalyVFM's checkpoints: what is known of them, written down here independently."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.backbones.tiny_timm import backbone_over, drawn
from tests.loading import load_detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.values import Sample
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.anomalyvfm.convert import convert

pytestmark = pytest.mark.filterwarnings("ignore:anomalyvfm follows what is published")

NAME, WIDTH, RANK, BLOCKS = "zsad_dinov2_4", 192, 5, 4
TOWER = "model.model.net.blocks"


def checkpoint(model: nn.Module | None = None) -> dict[str, Tensor]:
    """Updates of a tower of joint projections, its frozen values, decoder and image head."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.1

    found = {}
    for number in range(BLOCKS):
        for path in ("attn.qkv.{}_q", "attn.qkv.{}_v", "attn.proj.{}"):
            name = f"{TOWER}.{number}.{path}"
            found[name.format("lora_A")] = normal(RANK, WIDTH)
            found[name.format("lora_B")] = normal(WIDTH, RANK)
            found[name.format("mag")] = normal(WIDTH).abs() + 1
    for name, value in (model.state_dict() if model is not None else {}).items():
        where = name.replace("attn.qkv.", "attn.qkv.layer.").replace("attn.proj.", "attn.proj.layer.")
        found[f"model.model.net.{where}"] = value
    sizes = (WIDTH, 16, 8)
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        block = f"decoder.layers.{place}"
        for conv, norm, given in (("conv1", "bn1", inputs), ("conv2", "bn2", outputs)):
            found[f"{block}.{conv}.weight"], found[f"{block}.{conv}.bias"] = (
                normal(outputs, given, 3, 3),
                normal(outputs),
            )
            found[f"{block}.{norm}.weight"], found[f"{block}.{norm}.bias"] = (
                normal(outputs) + 1,
                normal(outputs),
            )
    for head in ("decoder.mask", "decoder.conf"):
        found[f"{head}.weight"], found[f"{head}.bias"] = normal(1, 8, 3, 3), normal(1)
    found["predictor.fc.weight"], found["predictor.fc.bias"] = normal(1, WIDTH), normal(1)
    return found


@torch.no_grad()
def updated(model: Any, given: dict[str, Tensor]) -> Any:
    """timm's model with every updated layer written out: rows of W + B A at the learned lengths."""
    for number, block in enumerate(model.blocks):
        thirds = list(block.attn.qkv.weight.chunk(3))
        weights = {
            "attn.qkv.{}_q": thirds[0],
            "attn.qkv.{}_v": thirds[2],
            "attn.proj.{}": block.attn.proj.weight,
        }
        for path, weight in weights.items():
            a, b, m = (given[f"{TOWER}.{number}.{path.format(leaf)}"] for leaf in ("lora_A", "lora_B", "mag"))
            rows = [row + sum(b[i, k] * a[k] for k in range(RANK)) for i, row in enumerate(weight)]
            weight.copy_(torch.stack([m[i] * row / row.norm() for i, row in enumerate(rows)]))
    return model


@torch.no_grad()
def test_a_converted_checkpoint_updates_the_tower(tmp_path: Path, samples: list[Sample]) -> None:
    model = drawn(NAME, img_size=70)
    given = checkpoint(model)
    save_file(given, tmp_path / "model.safetensors")
    weights = tmp_path / "out.safetensors"
    card = convert_checkpoint(get_host(), "anomalyvfm", tmp_path / "model.safetensors", weights)
    assert card.parts == {"attention_refiner": "anomalyvfm.low_rank", "scorer": "anomalyvfm.decoder"}
    assert card.origin == "authors" and card.backbone is None
    detector = load_detector(
        "anomalyvfm",
        backbone=backbone_over(model, NAME, 70),
        overrides=(
            f"attention_refiner.rank={RANK}", "scorer.widths=[16, 8]", "scorer.groups=4", "scorer.kernel=3",
        ),
        weights=weights,
    )  # fmt: skip
    (entry,) = detector.encode(samples).token_sets
    expected = updated(drawn(NAME, img_size=70), given).forward_features(detector.tensor(samples))
    torch.testing.assert_close(entry.class_token, expected[:, 0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(entry.tokens, expected[:, 1:], atol=2e-5, rtol=1e-4)
    scorer = detector.part("scorer").state_dict()
    assert torch.equal(scorer["output.weight"], given["decoder.mask.weight"])
    assert torch.equal(scorer["blocks.1.norm2.bias"], given["decoder.layers.1.bn2.bias"])
    assert torch.equal(scorer["head.weight"], given["predictor.fc.weight"])
    logit = entry.class_token @ given["predictor.fc.weight"][0] + given["predictor.fc.bias"]
    torch.testing.assert_close(detector.predict(samples).score, logit.sigmoid())


def test_separate_projections_and_plain_low_rank_updates() -> None:
    given = checkpoint()
    joint = re.compile(r"attn\.qkv\.(lora_[AB])_([qv])")
    found = convert(
        {
            joint.sub(r"attn.\2_proj.\1", name).replace("attn.proj.", "attn.out_proj."): value
            for name, value in given.items()
            if ".mag" not in name
        }
    )
    assert not any(name.endswith("magnitude") for name in found)
    for mine, theirs in (("q_proj.down", "attn.qkv.lora_A_q"), ("out_proj.up", "attn.proj.lora_B")):
        assert torch.equal(found[f"attention_refiner.blocks.2.{mine}"], given[f"{TOWER}.2.{theirs}"])


def test_blocks_of_the_decoder_come_in_the_order_of_their_numbers() -> None:
    given = {
        name.replace("decoder.layers.1", "decoder.layers.10"): value for name, value in checkpoint().items()
    }
    given = {name.replace("decoder.layers.0", "decoder.layers.9"): value for name, value in given.items()}
    found = convert(given)
    assert torch.equal(found["scorer.blocks.0.conv1.weight"], given["decoder.layers.9.conv1.weight"])


Change = Callable[[dict[str, Tensor]], None]


def renamed(old: str, new: str) -> Change:
    def change(given: dict[str, Tensor]) -> None:
        given[new] = given.pop(old)

    return change


def added(name: str, *shape: int) -> Change:
    return lambda given: given.update({name: torch.zeros(shape)})


def turned(given: dict[str, Tensor]) -> None:
    for name in given:
        if "lora" in name:
            given[name] = given[name].T.contiguous()
    for name in [name for name in given if ".mag" in name]:
        del given[name]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (added("surplus", 2), "it has 'surplus', which AnomalyVFM's checkpoints have not"),
        (added(f"{TOWER}.0.attn.qkv.lora_scale", 1), "lora_scale', which the import does not know"),
        (added(f"{TOWER}.0.mlp.fc1.lora_A", RANK, WIDTH), "none of queries, values and output projection"),
        (added(f"{TOWER}.0.attn.out_proj.lora_A", RANK, WIDTH), "second entry for one and the same layer"),
        (added("model.other.blocks.0.attn.k_proj.mag", WIDTH), "none of queries, values"),
        (renamed(f"{TOWER}.3.attn.proj.mag", "model.x"), "block 3 lacks magnitude of its out_proj"),
        (renamed(f"{TOWER}.2.attn.qkv.lora_A_q", "model.x"), "block 2 lacks down of its q_proj"),
        (turned, r"rank 192 in a tower of 5 channels; A has to be \[rank, channels\]"),
        (renamed("decoder.conf.weight", "decoder.other.weight"), "decoder.conf, decoder.mask, decoder.other"),
        (added("decoder.stem.weight", 1, 8, 3, 3), "of which one has to be the map"),
        (renamed("decoder.layers.0.bn1.bias", "model.x"), "it lacks 'decoder.layers.0.bn1.bias'"),
        (renamed("predictor.fc.bias", "predictor.out.bias"), "not one linear layer"),
        (added("decoder.layers.2.conv1.weight", 8, 9, 3, 3), "'decoder.layers.2.conv1.weight' has the shape"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_name(change: Change, sentence: str) -> None:
    given = checkpoint()
    change(given)
    with pytest.raises(InputError, match=sentence):
        convert(given)


@pytest.mark.parametrize(
    ("prefixes", "sentence"),
    [
        (("decoder", "predictor"), "no low-rank updates of one vision tower"),
        (("model", "predictor"), "no blocks of 'conv1'"),
        (("model", "decoder"), "not one linear layer"),
    ],
)
def test_parts_of_a_checkpoint_are_not_enough(prefixes: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        convert({name: value for name, value in checkpoint().items() if name.startswith(prefixes)})
    with pytest.raises(InputError, match="no state dict"):
        convert(torch.zeros(2))


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    model = drawn(NAME, img_size=70)
    save_file(checkpoint(model), tmp_path / "model.safetensors")
    convert_checkpoint(get_host(), "anomalyvfm", tmp_path / "model.safetensors", tmp_path / "out.safetensors")
    with pytest.raises(InputError, match=r"with other options of the attention_refiner.*this run needs"):
        load_detector(
            "anomalyvfm", backbone=backbone_over(model, NAME, 70), weights=tmp_path / "out.safetensors"
        )
