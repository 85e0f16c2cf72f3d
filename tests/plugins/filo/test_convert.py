"""Import of FiLo's checkpoint form."""

from __future__ import annotations

import pytest
import torch

from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.filo.convert import convert
from zsad_plugins.filo.mmci import KERNELS


@pytest.fixture
def state(tiny_backbone):
    width, joint = tiny_backbone.vision_tower().width, tiny_backbone.vision_tower().embed_dim
    text = tiny_backbone.text_tower().width
    torch.manual_seed(0)
    found = {
        "clip_model.visual.conv1.weight": torch.zeros(1),
        "adapter.fc.0.weight": torch.randn(joint // 2, joint),
        "adapter.fc.2.weight": torch.randn(joint, joint // 2),
    }
    for number in range(4):
        found[f"decoder_linear.fc.{number}.weight"] = torch.randn(joint, width)
        found[f"decoder_linear.fc.{number}.bias"] = torch.randn(joint)
    for name, sides in KERNELS.items():
        for number in range(3):
            found[f"decoder_cov.fc_{name}.{number}.weight"] = torch.randn(joint, width, *sides)
            found[f"decoder_cov.fc_{name}.{number}.bias"] = torch.randn(joint)
    hidden = joint // 16
    for learner in ("normal_prompt_learner", "abnormal_prompt_learner"):
        found[f"{learner}.ctx"] = torch.randn(12, text)
        found[f"{learner}.meta_net.linear1.weight"] = torch.randn(hidden, joint)
        found[f"{learner}.meta_net.linear1.bias"] = torch.randn(hidden)
        found[f"{learner}.meta_net.linear2.weight"] = torch.randn(text, hidden)
        found[f"{learner}.meta_net.linear2.bias"] = torch.randn(text)
    return found


@pytest.mark.parametrize("method", ["filo", "filo@dino"])
def test_a_checkpoint_serves_both_methods(untrained, state, tmp_path, samples, method) -> None:
    source, target = tmp_path / "filo.pth", tmp_path / "filo.safetensors"
    torch.save({"filo": state}, source)
    card = convert_checkpoint(get_host(), method, source, target)
    assert card.parts == {
        "feature_adapter": "filo.heads",
        "prompt_conditioner": "filo.context",
        "prompt_learner": "filo.prompts",
    }
    detector = untrained("filo", "profile=official", weights=target, untrained=False)
    assert torch.equal(detector.part("prompt_learner").context[1], state["abnormal_prompt_learner.ctx"])
    total = sum(state[f"decoder_cov.fc_{name}.2.weight"].sum() for name in KERNELS)
    torch.testing.assert_close(detector.part("feature_adapter").convolution[2].weight.sum(), total)
    assert detector.predict(samples).anomaly_map.isfinite().all()


def test_other_files_are_refused(state) -> None:
    with pytest.raises(InputError, match="no entry 'filo'"):
        convert({"prompt_learner": {}})
    with pytest.raises(InputError, match="no entry 'filo'"):
        convert([state])
    for key in (
        "adapter.fc.2.weight",
        "decoder_cov.fc_51.1.bias",
        "abnormal_prompt_learner.meta_net.linear1.bias",
    ):
        with pytest.raises(InputError, match=f"it lacks '{key}', which FiLo's checkpoints have"):
            convert({"filo": {name: value for name, value in state.items() if name != key}})
    with pytest.raises(InputError, match=r"has 'decoder_cov\.fc_99\.0\.weight', which FiLo's .* have not"):
        convert({"filo": {**state, "decoder_cov.fc_99.0.weight": torch.zeros(1)}})


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("decoder_cov.fc_15.0.weight", (32, 64, 5, 1)),
        ("decoder_linear.fc.0.weight", (3,)),
        ("decoder_linear.fc.2.bias", (7,)),
        ("abnormal_prompt_learner.ctx", (11, 32)),
        ("normal_prompt_learner.ctx", (12,)),
        ("normal_prompt_learner.meta_net.linear2.weight", (3, 3)),
        ("adapter.fc.0.weight", (16, 3)),
    ],
)
def test_wrong_shapes_are_named(state, key, shape) -> None:
    with pytest.raises(InputError, match=key.split(".")[0]):
        convert({"filo": {**state, key: torch.zeros(shape)}})
