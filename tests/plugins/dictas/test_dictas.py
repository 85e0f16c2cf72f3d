"""DictAS's look-up, what references do to it, its published score and its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from tests.loading import load_detector
from tests.parity.synthetic_adapters import dictas_parameters
from zsad.backbones.clip import ClipBackbone
from zsad.cli.main import main
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Sample
from zsad_plugins.dictas.convert import convert
from zsad_plugins.dictas.generators import Generator, ValueGenerator
from zsad_plugins.dictas.lookup import look_up, lookup_weights

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("dictas")


def noise(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(count)]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def maps(detector: Detector, references: list[np.ndarray], images: list[np.ndarray]) -> torch.Tensor:
    detector.remember(references)
    return detector.predict(images).anomaly_map


def test_identity_generators_and_a_cold_softmax_are_the_nearest_neighbour(load: Load) -> None:
    detector = load("scorer.sides=[1]", "scorer.rule=maximum")
    lookup = detector.part("scorer")
    # On the sphere the most similar entry is the nearest one.
    unit = nn.Module()
    unit.forward = lambda tokens: nn.functional.normalize(tokens, dim=-1)  # type: ignore[method-assign]
    lookup.query = lookup.key = lookup.value = unit
    references, images = noise(0, 2), noise(1, 2)
    detector.remember(references)
    known, asked = detector.encode(references), detector.encode(images)
    scores = dict(detector.stages(asked))["dictas.lookup"]
    for entry, other, found in zip(asked.token_sets, known.token_sets, scores.sets, strict=True):
        keys = other.tokens.flatten(0, 1).double().numpy()
        nearest = [cdist(rows.double().numpy(), keys, "cosine").min(1) / 2 for rows in entry.tokens]
        np.testing.assert_allclose(found.values[:, 0].flatten(1).numpy(), nearest, atol=1e-5)

    queries, keys, values = random(1, 7, 8), random(20, 8), random(20, 8)
    cold = look_up(queries * 1e4, keys, values, "softmax")
    assert torch.allclose(cold, look_up(queries, keys, values, "maximum"))
    assert torch.allclose(cold[0], values[(queries[0] @ keys.T).argmax(1)])


@pytest.mark.parametrize("rule", ["sparsemax", "softmax", "maximum"])
def test_weights_sum_to_one_and_chunks_change_nothing(rule: str) -> None:
    queries, keys, values = random(2, 9, 8), random(30, 8), random(30, 5)
    weights = lookup_weights(queries, keys, rule)  # type: ignore[arg-type]
    assert torch.allclose(weights.sum(-1), torch.ones(2, 9, dtype=torch.float64))
    whole = weights @ values
    values8 = random(30, 8)
    assert whole.shape == (2, 9, 5)
    found = look_up(queries, keys, values8, rule, room=1)  # type: ignore[arg-type]
    assert torch.allclose(found, look_up(queries, keys, values8, rule))  # type: ignore[arg-type]
    assert torch.allclose(found, weights @ values8)


def test_a_dictionary_twice_over_sharpens_the_sparse_look_up_and_no_other() -> None:
    """max(z - tau, 0) over two copies adds up to max(2 z - 2 tau, 0): sparsemax of twice the similarities."""
    queries, keys, values = random(1, 9, 8), random(30, 8), random(30, 8)
    twice = torch.cat([keys, keys]), torch.cat([values, values])
    assert torch.allclose(
        look_up(queries, *twice, "sparsemax"), look_up(2 * queries, keys, values, "sparsemax")
    )
    assert torch.allclose(look_up(queries, *twice, "softmax"), look_up(queries, keys, values, "softmax"))
    # One entry that is ahead of all others by 1 is found alone, however often it is there.
    near = torch.cat([keys, queries[0, :1] * 100])
    once = look_up(queries[:, :1], near, torch.cat([values, values[:1]]), "sparsemax")
    assert torch.allclose(once[0, 0], values[0])


def test_the_order_of_references_changes_nothing(load: Load) -> None:
    detector, images, references = load(), noise(1, 2), noise(0, 3)
    found = maps(detector, references, images)
    assert torch.allclose(maps(detector, references[::-1], images), found, atol=1e-6)
    assert not torch.allclose(maps(detector, references[:2], images), found, atol=1e-6)


def test_a_duplicated_reference_changes_no_key_and_sharpens_what_is_found(load: Load) -> None:
    detector, images, references = load(), noise(1, 2), noise(0, 2)
    detector.remember(references)
    lookup, features = detector.part("scorer"), detector.encode(images)
    (memory,) = detector.memories.values()
    doubled = {name: torch.cat([tokens, tokens]) for name, tokens in memory.buffers.items()}
    with torch.no_grad():
        once, twice = (list(lookup.found(features, known)) for known in (memory.buffers, doubled))
        values = [lookup.value(memory.buffers[entry.name][None])[0] for entry in features.token_sets]
    for before, after in zip(once, twice, strict=True):
        assert torch.allclose(after.keys, torch.cat([before.keys, before.keys]), atol=1e-5)
    for before, after, held in zip(once[::2], twice[::2], values, strict=True):
        sharper = look_up(2 * before.queries, before.keys, held, "sparsemax")
        assert torch.allclose(after.retrieved, sharper, atol=1e-4)


def test_a_generator_is_attention_and_a_network_over_each_token() -> None:
    width, heads = 12, 3
    generator = Generator(width, heads).double()
    tokens = random(2, 5, width)
    u = nn.functional.layer_norm(tokens, (width,))
    own = generator
    q, k, v = (u @ layer.weight.T for layer in (own.q_proj, own.k_proj, own.v_proj))
    found = torch.zeros_like(u)
    for head in range(heads):
        part = slice(head * 4, head * 4 + 4)
        weights = torch.softmax(q[..., part] @ k[..., part].mT / 2, -1)
        found[..., part] = weights @ v[..., part]
    inner = found @ own.linear1.weight.T + own.linear1.bias + u
    inner = nn.functional.layer_norm(inner @ own.linear2.weight.T + own.linear2.bias, (width,))
    assert torch.allclose(generator(tokens), inner @ own.linear3.weight.T)
    value = ValueGenerator(width, heads).double()
    value.load_state_dict(own.state_dict())
    assert torch.allclose(value(tokens), tokens + generator(tokens))


def test_the_published_score_is_scaled_over_the_class(load: Load) -> None:
    detector = load("post_processors.class_range.text_share=0.2", method="dictas@class-range")
    detector.remember(noise(0, 2))
    images = noise(1, 3)
    found = detector.predict(images)
    stages = dict(detector.stages(detector.encode(images)))
    text = stages["dictas.lookup"].required_image_score.double().numpy()
    peak = found.anomaly_map.amax((1, 2)).double().numpy()
    parts = [(v - v.min()) / (v.max() - v.min() + 1e-6) for v in (text, peak)]
    np.testing.assert_allclose(found.score.numpy(), 0.2 * parts[0] + 0.8 * parts[1], atol=1e-4)
    assert detector.setting.endswith("transductive / few-shot-normal")
    with pytest.raises(InputError, match="one image has no range"):
        detector.predict(images[:1])


def test_without_text_the_score_is_the_map_s_maximum(
    load: Load, textless_backbone: ClipBackbone, samples: list[Sample]
) -> None:
    detector = load(backbone=textless_backbone)
    assert detector.text_side is None and detector.setting == "training-free / inductive / few-shot-normal"
    detector.remember(noise(0, 1))
    found = detector.predict(samples)
    assert torch.equal(found.score, found.anomaly_map.amax((1, 2)))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["scorer.heads=7"], "7 heads do not divide"),
        (["scorer.sides=[2]"], "has no middle"),
        (["scorer.rule=sparse"], "rule"),
    ],
)
def test_what_cannot_be_is_refused(load: Load, overrides: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(*overrides)


def test_single_images_cannot_teach_it(load: Load) -> None:
    detector = load()
    features = detector.encode(noise(0, 1))
    with pytest.raises(InputError, match="zsad train has single images"):
        detector.part("scorer")(features, detector.condition(features))


def test_taps_of_different_widths_are_refused() -> None:
    with pytest.raises(InputError, match=r"differ in channels \(64, 128, 256, 512\)"):
        load_detector("dictas", backbone="timm:resnet10t@random:0", image_size=64, untrained=True)


def test_a_checkpoint_is_imported_whole(load: Load, tmp_path: Path) -> None:
    detector = load()
    width = detector.part("scorer").query.norm.weight.shape[0]
    clip = {"visual.proj": np.zeros((width, 16)), "text_projection": np.zeros((16, 16))}
    state = {key: torch.from_numpy(value) for key, value in dictas_parameters(clip, 1).items()}
    found = {key.removeprefix("scorer."): value for key, value in convert({"Mymodel": state}).items()}
    detector.part("scorer").load_state_dict(found)
    assert torch.equal(
        found["value.linear1.bias"], state["Value_Generator.AttnBlock.TwoLayerMLP.linear1.bias"]
    )
    with pytest.raises(InputError, match="no entry 'Mymodel'"):
        convert(state)
    del state["Query_Generator.k_proj.weight"]
    torch.save({"Mymodel": state}, tmp_path / "part.pth")
    with pytest.raises(SystemExit) as leave:
        main(["convert", "dictas", str(tmp_path / "part.pth"), str(tmp_path / "out.safetensors")])
    assert leave.value.code == 2 and not (tmp_path / "out.safetensors").exists()
