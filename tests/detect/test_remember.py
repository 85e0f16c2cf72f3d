from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.detect.fewshot import install
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.detect.memories import Remembered
from zsad.detect.remember import references_of, remember, tiled
from zsad.detect.tiles import Tiling
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host

SIZE = 64


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def load(method: str, backbone: ClipBackbone, *overrides: str) -> Detector:
    return load_detector(method, backbone=backbone, image_size=SIZE, host=get_host(), overrides=overrides)


@pytest.fixture
def nearest(tiny_backbone: ClipBackbone) -> Detector:
    return load("nearest-neighbour", tiny_backbone)


@pytest.fixture
def acme(site: Any) -> None:
    install(site)


def same(first: Remembered, second: Remembered) -> bool:
    names = first.buffers.keys() | second.buffers.keys()
    return all(torch.equal(first.buffers[name], second.buffers[name]) for name in names)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(4)), batch_size=st.integers(1, 5))
def test_a_memory_does_not_depend_on_the_order_of_references_or_on_batches(
    nearest: Detector, order: list[int], batch_size: int
) -> None:
    before = nearest.remember([picture(number) for number in range(4)])
    after = nearest.remember([picture(number) for number in order], batch_size=batch_size)
    assert same(before, after) and before.digest == after.digest
    assert [facts.content for facts in before.references] == [facts.content for facts in after.references]


def test_files_are_known_by_their_bytes_whatever_they_are_called(nearest: Detector, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1), ("y", 1), ("z", 0)):
        Image.fromarray(picture(seed)).save(tmp_path / f"{name}.png")
    first, second = ([tmp_path / f"{name}.png" for name in names] for names in ("ab", "yz"))
    before, after = nearest.remember(first), nearest.remember(second)
    assert same(before, after) and before.digest == after.digest
    assert {facts.name for facts in after.references} == {str(path) for path in second}


def test_a_batch_that_mixes_classes_is_compared_class_by_class(nearest: Detector) -> None:
    for name, seed in (("bolt", 0), ("nut", 1)):
        nearest.remember([picture(seed)], name)
    queries, names = [picture(0), picture(0), picture(1), picture(1)], ["bolt", "nut", "bolt", "nut"]
    mixed = nearest.predict(queries, names)
    for place, name in enumerate(names):
        alone = nearest.predict([queries[place]], name)
        assert torch.allclose(alone.anomaly_map[0], mixed.anomaly_map[place], atol=1e-6)
    assert (mixed.score < 1e-5).tolist() == [True, False, False, True]


def test_a_class_without_references_has_those_of_every_class_or_is_refused(nearest: Detector) -> None:
    with pytest.raises(InputError, match="needs reference images: give --reference DIR or --memory FILE"):
        nearest.predict([picture(0)])
    nearest.remember([picture(0)], "bolt")
    with pytest.raises(InputError, match=r"no reference images of class 'nut' \(it has some of bolt\)"):
        nearest.predict([picture(0)], "nut")
    nearest.remember([picture(1)])
    assert float(nearest.predict([picture(1)], "nut").score) < 1e-5
    assert float(nearest.predict([picture(1)], "bolt").score) > 1e-3


def test_memories_can_be_those_of_a_scope(nearest: Detector) -> None:
    found = nearest.remember([picture(0)])
    nearest.memories.clear()
    prediction = nearest.add(nearest.scope({"": found}), nearest.encode([picture(0)], "nut"))
    assert prediction is not None and float(prediction.score) < 1e-5


def test_methods_share_the_passes_over_references(tiny_backbone: ClipBackbone, nearest: Detector) -> None:
    other = load("nearest-neighbour", tiny_backbone, "readout.taps=[4]")
    references = references_of(nearest.samples([picture(0), picture(1)]))
    alone = [remember([each], references, 8)[0] for each in (nearest, other)]
    passes = nearest.tower.counts["passes"]
    together = remember([nearest, other], references, 8)
    assert nearest.tower.counts["passes"] == passes + 1
    assert all(same(one, both) for one, both in zip(alone, together, strict=True))


def test_views_of_a_reference_take_the_same_pass(acme: None, tiny_backbone: ClipBackbone) -> None:
    detector = load("acme-turned", tiny_backbone)
    images = [picture(0), picture(1)]
    found = detector.remember(images, batch_size=3)
    ordered = sorted(images, key=lambda image: references_of(detector.samples([image]))[0].facts.content)
    turned = [np.ascontiguousarray(np.rot90(image, turns)) for image in ordered for turns in range(4)]
    assert torch.allclose(found.buffers["value"], detector.encode(turned).image_feature, atol=1e-6)
    assert found.shots == 2


def test_references_of_any_shape_keep_their_aspect_where_the_rule_is_so(
    acme: None, tiny_backbone: ClipBackbone
) -> None:
    rule = "profile.image_resize=short-side"
    tall = np.random.default_rng(9).integers(0, 256, (90, 40, 3), dtype=np.uint8)
    detector = load("nearest-neighbour", tiny_backbone, rule)
    found = detector.remember([picture(0), tall, picture(1)])
    assert same(found, detector.remember([tall, picture(1), picture(0)], batch_size=1))
    assert detector.predict([picture(0)]).score.item() == pytest.approx(0, abs=1e-5)

    detector = load("acme-both", tiny_backbone, rule)
    mask = np.zeros((90, 40), bool)
    mask[:45] = True  # of 144 rows of which the tower sees so many whole patches
    found = detector.remember([picture(0)], abnormal=[tall], masks=[mask])
    seen = 144 - 144 % detector.tower.patch_size
    assert found.buffers["value"].tolist() == pytest.approx([0, 72 / seen], abs=1e-3)


def test_abnormal_references_come_with_masks_at_the_image_size(
    acme: None, tiny_backbone: ClipBackbone
) -> None:
    detector = load("acme-both", tiny_backbone)
    assert detector.setting == "training-free / inductive / few-shot-normal-abnormal"
    mask = np.zeros((40, 50), bool)
    mask[:20, :25] = True
    found = detector.remember([picture(0), picture(1)], abnormal=[picture(2)], masks=[mask])
    assert found.buffers["value"].tolist() == pytest.approx([0, 0, 0.25], abs=1e-3)
    assert found.shots == 2 and [facts.mask is None for facts in found.references] == [True, True, False]

    for masks, why in (
        ([], "1 abnormal references were given with 0 masks"),
        ([mask[:9]], r"has to be bool \[40, 50\], not bool \[9, 50\]"),
        ([mask.astype(np.uint8)], "not uint8"),
        ([np.zeros_like(mask)], "marks nothing"),
    ):
        with pytest.raises(InputError, match=why):
            detector.remember([picture(0)], abnormal=[picture(2)], masks=masks)
    with pytest.raises(InputError, match="needs abnormal reference images too"):
        detector.remember([picture(0)])
    with pytest.raises(InputError, match="needs normal reference images, and there are none"):
        detector.remember([], abnormal=[picture(2)], masks=[mask])


def test_abnormal_references_without_effect_are_refused(nearest: Detector) -> None:
    with pytest.raises(InputError, match="remembers normal references alone"):
        nearest.remember([picture(0)], abnormal=[picture(1)], masks=[np.ones((40, 50), bool)])


def test_a_scorer_of_two_phases_finds_the_memory_of_each_class(
    acme: None, tiny_backbone: ClipBackbone
) -> None:
    names = ["bolt", "nut", "bolt"]
    queries = [picture(number) for number in range(3)]
    scores = []
    for scorer in ("acme.count", "acme.waits"):
        detector = load("acme-turned", tiny_backbone, f"scorer={scorer}")
        detector.remember([picture(0)], "bolt")
        detector.remember([picture(0), picture(1)], "nut")
        scores.append(detector.predict(queries, names).score)
    assert [round(value) for value in scores[0].tolist()] == [4, 8, 4]
    assert torch.allclose(*scores)


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("odd", "part 'acme.odd' remembers something that is no number in 'value'"),
        ("broken", "part 'acme.broken' cannot remember these references: KeyError"),
    ],
)
def test_a_store_that_fails_is_named(acme: None, tiny_backbone: ClipBackbone, store: str, why: str) -> None:
    detector = load(f"acme-{store}", tiny_backbone)
    with pytest.raises(ZsadError, match=why):
        detector.remember([picture(0)])
    assert not detector.memories


def test_a_part_that_is_no_store_is_named(acme: None, tiny_backbone: ClipBackbone) -> None:
    with pytest.raises(ZsadError, match=r"'acme.empty' is a reference_store, but lacks remember or fit"):
        load("acme-empty", tiny_backbone)


def test_tiles_of_references_are_references(nearest: Detector) -> None:
    mask = np.zeros((40, 50), bool)
    mask[0, 0] = True
    normal = tiled(references_of(nearest.samples([picture(0)])), Tiling(30, 0.0))
    assert [one.sample.image.shape[:2] for one in normal] == [(30, 30)] * 4
    assert np.array_equal(normal[3].sample.image, picture(0)[10:, 20:])
    (marked,) = tiled(references_of(nearest.samples([picture(0)]), [mask]), Tiling(30, 0.0))
    assert marked.mask is not None and marked.mask.sum() == 1
    (found,) = remember([nearest], normal, 8)
    assert found.shots == 1 and len(found.buffers["tokens.4"]) == 4 * nearest.encode([picture(0)]).grid.count
