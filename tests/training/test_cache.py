"""A batch from the cache is the batch of a pass, bit for bit, whatever the method reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.backbones.tiny_timm import backbone_over, drawn
from tests.loading import load_detector
from tests.training.compare import assert_same, same
from tests.training.drawn_examples import DrawnExamples
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.masks import resize_mask
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.training.cache import frozen_image_side, open_cache
from zsad.training.live import LiveFeatures
from zsad.values import Windows
from zsad.weights.adapter.lora import adapt_backbone
from zsad.weights.adapter.options import LoraOptions

CPU = torch.device("cpu")
PASSES = [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]
"""How ten images share passes with three a pass and five a file."""


def opened(detector: Detector, folder: Path, source: DrawnExamples | None = None, **options: Any):
    return open_cache(detector, source or DrawnExamples(), folder, batch_size=3, shard_size=5, **options)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def mini(request: pytest.FixtureRequest) -> ClipBackbone:
    return load_backbone("mini", "cpu", request.param)


METHODS = ["anomalyclip", "winclip", "crane-plus@stem", "filo", "aprilgan"]


@pytest.mark.parametrize("method", METHODS)
def test_a_cached_batch_is_that_of_the_pass(mini, tmp_path, method) -> None:
    detector = load_detector(method, backbone=mini, untrained=True, image_size=96)
    cached, live = opened(detector, tmp_path), LiveFeatures(detector, DrawnExamples())
    assert len(cached) == len(live) == 10
    for places in PASSES:
        assert_same(cached.batch(places, CPU), live.batch(places, CPU))
    floats = {tensor.dtype for name, tensor in cached._shard(0).rows.items() if name.startswith("tokens")}
    assert floats == {torch.float32 if mini.native_profile.dtype == "float32" else torch.bfloat16}


@pytest.fixture
def fakes(site: Any) -> None:
    site.install("zsad-fakes", {}, {"fakes": "tests.fakes.plugin"})


@pytest.mark.parametrize("method", ["fake-adaclip", "fake-craneplus", "fake-filo"])
def test_prepass_and_side_inputs_are_kept(fakes, tiny_backbone, tmp_path, method) -> None:
    detector = load_detector(method, backbone=tiny_backbone, untrained=True, host=get_host())
    cached, live = opened(detector, tmp_path), LiveFeatures(detector, DrawnExamples())
    for places in PASSES:
        assert_same(cached.batch(places, CPU), live.batch(places, CPU))
    features = cached.batch([0], CPU).features
    assert (features.prepass is not None) == (method == "fake-adaclip")
    assert set(features.auxiliary) == {"fake-craneplus": {"similarity"}, "fake-filo": {"boxes"}}.get(
        method, set()
    )


def test_registers_are_kept(tmp_path) -> None:
    name = "zsad_dinov2_reg_12"
    backbone = backbone_over(drawn(name, img_size=70), name, 70)
    detector = load_detector("uniadet", backbone=backbone, untrained=True)
    cached, live = opened(detector, tmp_path), LiveFeatures(detector, DrawnExamples())
    batch = cached.batch(PASSES[0], CPU)
    assert_same(batch, live.batch(PASSES[0], CPU))
    assert [entry.registers.shape for entry in batch.features.token_sets] == [(3, 4, 192)] * 5


def test_a_float64_tower_stays_one(tmp_path) -> None:
    backbone = load_backbone("mini", "cpu", "float64")
    detector = load_detector("anomalyclip", backbone=backbone, untrained=True, image_size=64)
    cached, live = opened(detector, tmp_path), LiveFeatures(detector, DrawnExamples())
    batch = cached.batch([3, 4], CPU)
    assert batch.features.image_feature.dtype == torch.float64
    assert_same(batch, live.batch([3, 4], CPU))


@pytest.mark.parametrize("workers", [0, 2])
def test_masks_labels_and_weights_are_the_examples_own(load, tmp_path, workers) -> None:
    source = DrawnExamples()
    batch = opened(load(), tmp_path, workers=workers).batch(range(10), CPU)
    for place in range(10):
        example = source[place]
        assert np.array_equal(batch.masks[place].numpy(), resize_mask(example.mask, 64, 64))
        assert bool(batch.masks[place].any()) == example.anomalous == bool(batch.anomalous[place])
        assert float(batch.weights[place]) == example.weight
        assert batch.features.class_names[place] == example.sample.class_name
    assert batch.masks.dtype == batch.anomalous.dtype == torch.bool and batch.masks.shape == (10, 64, 64)
    assert batch.weights.dtype == torch.float32


def test_an_image_size_off_the_native_one_keeps_its_masks(mini, tmp_path) -> None:
    detector = load_detector("anomalyclip", backbone=mini, untrained=True, image_size=80)
    masks = opened(detector, tmp_path).batch([1, 3], CPU).masks
    assert masks.shape == (2, 80, 80)
    for mask, place in zip(masks, [1, 3], strict=True):
        assert np.array_equal(mask.numpy(), resize_mask(DrawnExamples()[place].mask, 80, 80))


def test_a_batch_keeps_order_and_duplicates(load, tmp_path) -> None:
    cached = opened(load(), tmp_path)
    everything = cached.batch(range(10), CPU)
    places = [9, 2, 2, 7, 0, 9]
    batch = cached.batch(places, CPU)
    for own, whole in zip(batch.features.token_sets, everything.features.token_sets, strict=True):
        assert same(own.tokens, whole.tokens[places])
    assert same(batch.features.image_feature, everything.features.image_feature[places])
    assert same(batch.weights, everything.weights[places]) and same(batch.masks, everything.masks[places])
    assert batch.features.class_names == tuple(everything.features.class_names[place] for place in places)
    with pytest.raises(IndexError, match="no image 10 among 10"):
        cached.batch([3, 10], CPU)
    with pytest.raises(IndexError):
        cached.batch([-1], CPU)


def test_half_precision_rounds_and_halves(load, tmp_path) -> None:
    sizes: list[int] = []
    detector, source = load("winclip"), DrawnExamples(40)
    half, exact = (
        open_cache(detector, source, tmp_path, dtype=dtype, announce=lambda size, folder: sizes.append(size))
        for dtype in ("float16", "exact")
    )
    assert half.folder != exact.folder
    assert sizes[0] < 0.6 * sizes[1]
    for rough, fine in zip(
        half.batch([5, 3], CPU).features.token_sets, exact.batch([5, 3], CPU).features.token_sets, strict=True
    ):
        assert isinstance(fine.layout, Windows)
        assert rough.tokens.dtype == torch.float32
        assert same(rough.tokens, fine.tokens.half().float())
        assert same(rough.layout.incidence, fine.layout.incidence)


def test_what_half_precision_cannot_hold_stays_exact() -> None:
    from zsad.training.cache.packing import stored

    large, whole = torch.tensor([1.1, 7e4]), torch.tensor([4099])  # 4099 is no float16
    assert same(stored(large, torch.float32, "float16"), large)
    assert same(stored(whole, torch.float32, "float16"), whole)
    assert stored(torch.tensor([1.1]), torch.float32, "float16").dtype == torch.float16
    # bfloat16 takes no more than float16, and loses nothing of its tower's numbers.
    brain = torch.tensor([1.1]).bfloat16().float()
    assert stored(brain, torch.bfloat16, "float16").dtype == torch.bfloat16
    assert same(stored(torch.tensor([1.1]), torch.bfloat16, "exact"), torch.tensor([1.1]))


def test_a_second_run_computes_nothing(load, tmp_path, tiny_backbone) -> None:
    first = opened(load(), tmp_path)
    passes, source = sum_of_passes(tiny_backbone), DrawnExamples()
    called: list[object] = []
    options = {name: lambda *values: called.append(values) for name in ("report", "announce", "warn")}
    again = opened(load(), tmp_path, source, **options)
    assert sum_of_passes(tiny_backbone) == passes and source.asked == called == []
    assert_same(again.batch(range(10), CPU), first.batch(range(10), CPU))


def sum_of_passes(backbone: ClipBackbone) -> int:
    return sum(tower.counts["passes"] for tower in backbone._vision_towers.values())


def test_methods_that_read_the_same_share_a_cache(load, tmp_path, tiny_backbone) -> None:
    own = load("anomalyclip", "attention_refiner.pairs=[qq, kk, vv]", "attention_refiner.start=2")
    other = load("anomalyclip", "attention_refiner=crane.e_attn", "attention_refiner.start=2")
    assert own.reading.request != other.reading.request  # they call it differently
    first, passes = opened(own, tmp_path), sum_of_passes(tiny_backbone)
    second = opened(other, tmp_path)
    assert second.folder == first.folder and sum_of_passes(tiny_backbone) == passes
    names = [entry.name for entry in second.batch([0], CPU).features.token_sets]
    assert names == [entry.name for entry in other.reading.request.tokens]
    assert_same(second.batch([5, 6, 7], CPU), LiveFeatures(other, DrawnExamples()).batch([5, 6, 7], CPU))


def test_a_place_under_several_names_is_kept_once(load, tmp_path) -> None:
    aliased = "attention_refiner.aliased=true"
    detector = load("filo", aliased)
    names = [entry.name for entry in detector.reading.request.tokens]
    cached = opened(detector, tmp_path)
    kept = [name for name in cached._shard(0).rows if name.startswith("tokens.")]
    assert len(kept) < len(names)
    assert_same(cached.batch([3, 4], CPU), LiveFeatures(detector, DrawnExamples()).batch([3, 4], CPU))


def test_size_and_progress_are_told(load, tmp_path) -> None:
    said: list[tuple[int, Path]] = []
    seen: list[tuple[int, int]] = []
    cached = opened(
        load(),
        tmp_path,
        DrawnExamples(12),
        announce=lambda *told: said.append(told),
        report=lambda *counts: seen.append(counts),
    )
    ((size, folder),) = said
    assert folder == cached.folder and folder.parent == tmp_path
    written = sum(file.stat().st_size for file in folder.iterdir())
    assert written <= size < written + 4 * 16384
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}) and seen[-1] == (12, 12)


def test_an_unreadable_image_is_named_and_finished_files_stay(load, tmp_path) -> None:
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"cannot read 'image 7\.png'"):
            opened(load(), tmp_path, DrawnExamples(broken=7), workers=workers)
    source = DrawnExamples()
    opened(load(), tmp_path, source)
    assert 7 in source.asked


def test_what_is_learned_before_the_features_is_refused(load, tmp_path) -> None:
    detector = load("adaclip")
    assert not frozen_image_side(detector)
    with pytest.raises(InputError, match=r"'adaclip' change while it learns .* use --no-cache"):
        opened(detector, tmp_path)
    assert not any(tmp_path.iterdir())
    assert all(frozen_image_side(load(method)) for method in ("anomalyclip", "winclip", "filo", "cops"))


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_an_adapter_that_learns_counts_in_the_vision_tower(tiny_backbone, tower) -> None:
    adapted = adapt_backbone(tiny_backbone, LoraOptions(target=tower))
    detector = load_detector("anomalyclip", backbone=adapted, untrained=True)
    assert frozen_image_side(detector) == (tower == "text")
