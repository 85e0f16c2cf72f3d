"""Batch norm folded into the stem's convolutions, against the network that has it."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.train_mini.stem_weights import BATCH_NORM_EPSILON, read_stem, stem_from_package
from zsad.backbones.clip import state_digest
from zsad_plugins.mini.stem import FINE_STAGE, FIRST_CHANNELS, STAGES


def package_state() -> dict[str, Tensor]:
    """Return a random state dict with the names of the package's network, and one name too many."""
    generator = torch.Generator().manual_seed(0)
    state = {"_fc.weight": torch.zeros(2, 2)}

    def add(convolution: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        state[f"{convolution}.weight"] = weight * (inputs * kernel**2) ** -0.5
        state[f"{norm}.weight"] = torch.rand(outputs, generator=generator) + 0.5
        state[f"{norm}.bias"] = torch.randn(outputs, generator=generator) * 0.3
        state[f"{norm}.running_mean"] = torch.randn(outputs, generator=generator) * 0.3
        state[f"{norm}.running_var"] = torch.rand(outputs, generator=generator) + 0.5

    add("_conv_stem", "_bn0", FIRST_CHANNELS, 3, 3)
    for number, stage in enumerate(STAGES):
        old, wide = f"_blocks.{number}.", stage.inputs * stage.expansion
        if stage.expansion > 1:
            add(f"{old}_expand_conv", f"{old}_bn0", wide, stage.inputs, 1)
        add(f"{old}_depthwise_conv", f"{old}_bn1", wide, 1, stage.kernel)
        add(f"{old}_project_conv", f"{old}_bn2", stage.outputs, wide, 1)
    return state


def reference(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Run the network in float64 with batch norm as layers of their own."""
    state = {name: tensor.double() for name, tensor in state.items()}

    def layer(x: Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        total = max(weight.shape[-1] - stride, 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{norm}.{name}"] for name in names), eps=BATCH_NORM_EPSILON)

    x = F.relu6(layer(x.double(), "_conv_stem", "_bn0", stride=2))
    fine = x
    for number, stage in enumerate(STAGES):
        old, y = f"_blocks.{number}.", x
        if stage.expansion > 1:
            y = F.relu6(layer(y, f"{old}_expand_conv", f"{old}_bn0"))
        y = F.relu6(layer(y, f"{old}_depthwise_conv", f"{old}_bn1", stage.stride, y.shape[1]))
        y = layer(y, f"{old}_project_conv", f"{old}_bn2")
        x = x + y if stage.stride == 1 and stage.inputs == stage.outputs else y
        if number == FINE_STAGE:
            fine = x
    return torch.cat([x, F.pixel_unshuffle(fine, 2)], dim=1)


def test_the_folded_stem_is_the_network() -> None:
    state = package_state()
    images = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    expected = reference(state, images)
    found = stem_from_package(state)(images)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_nothing_of_the_stem_learns() -> None:
    stem = stem_from_package(package_state())
    assert not stem.training and not any(parameter.requires_grad for parameter in stem.parameters())


def test_read_from_a_file(tmp_path) -> None:
    path = tmp_path / "efficientnet-lite0.pth"
    torch.save(package_state(), path)
    read, given = read_stem(path), stem_from_package(package_state())
    assert state_digest(read.state_dict()) == state_digest(given.state_dict())


def test_another_networks_state() -> None:
    state = package_state()
    del state["_blocks.3._bn1.running_var"]
    with pytest.raises(KeyError, match=r"_blocks\.3\._bn1"):
        stem_from_package(state)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


def test_no_code_of_a_file_is_run(tmp_path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"_conv_stem.weight": Evil()}, path)
    with pytest.raises(pickle.UnpicklingError):
        read_stem(path)
    with pytest.raises(OSError, match=r"none\.pth"):
        read_stem(tmp_path / "none.pth")
