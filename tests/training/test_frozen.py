"""What the frozen towers say of a training set is what the detector says, rounded to half precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.drawing import draw_set, save
from zsad.data.masks import read_mask, resize_mask
from zsad.data.spec import open_dataset
from zsad.errors import InputError
from zsad.host import get_host
from zsad.training.frozen import freeze
from zsad.values import Windows


def rounded(tensor):
    return tensor.to(torch.float16).float()


@pytest.mark.parametrize(("method", "workers"), [("anomalyclip", 0), ("anomalyclip", 1), ("winclip", 0)])
def test_features_are_the_detectors_own(load, dataset, method, workers) -> None:
    detector = load(method)
    frozen = freeze(detector, [dataset], batch_size=3, workers=workers)
    assert len(frozen) == 8
    assert frozen.features.image_feature.dtype == torch.float16
    for low in (0, 3, 6):
        images = dataset.images[low : low + 3]
        own = detector.encode([image.image for image in images], [image.noun for image in images])
        batch = frozen.batch(range(low, low + len(images)), torch.device("cpu"))
        assert torch.equal(batch.features.image_feature, rounded(own.image_feature))
        assert batch.features.class_names == own.class_names == ("squares",) * len(images)
        assert batch.features.image_size == own.image_size
        for kept, wanted in zip(batch.features.token_sets, own.token_sets, strict=True):
            assert (kept.name, kept.space, kept.block) == (wanted.name, wanted.space, wanted.block)
            if isinstance(wanted.layout, Windows):
                assert torch.equal(kept.layout.incidence, wanted.layout.incidence)
            else:
                assert kept.layout == wanted.layout
            assert kept.tokens.dtype == torch.float32
            assert torch.equal(kept.tokens, rounded(wanted.tokens))
            assert (kept.class_token is None) == (wanted.class_token is None)
            if wanted.class_token is not None:
                assert torch.equal(kept.class_token, rounded(wanted.class_token))


def test_masks_and_labels(load, dataset, tmp_path) -> None:
    # Beside a set with squares of 64 pixels, one with masks of another size.
    odd = tmp_path / "odd"
    rng = np.random.default_rng(3)
    save(odd / "good" / "0.png", rng.integers(0, 255, (50, 90, 3), dtype=np.uint8))
    save(odd / "bad" / "1.png", rng.integers(0, 255, (50, 90, 3), dtype=np.uint8))
    mark = np.zeros((50, 90), np.uint8)
    mark[10:30, 40:80] = 255
    save(odd / "masks" / "bad" / "1.png", mark)
    both = [dataset, open_dataset(f"folder={odd}", get_host())]
    seen: list[tuple[int, int]] = []
    frozen = freeze(load(), both, batch_size=4, report=lambda *counts: seen.append(counts))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    images = [image for found in both for image in found.images]
    assert frozen.anomalous.tolist() == [image.anomalous for image in images]
    assert frozen.masks.shape == (10, 64, 64) and frozen.masks.dtype == torch.bool
    for image, mask in zip(images, frozen.masks, strict=True):
        if image.anomalous:
            assert np.array_equal(mask.numpy(), resize_mask(read_mask(image.mask), 64))
            assert mask.any()
        else:
            assert not mask.any()
    last = next(place for place, image in enumerate(images) if image.image.parent == odd / "bad")
    # The same share of the picture, at the side of the detector.
    assert float(frozen.masks[last].float().mean()) == pytest.approx(float((mark > 0).mean()), abs=0.01)


def test_a_batch_keeps_its_order(load, dataset) -> None:
    frozen = freeze(load(), [dataset])
    batch = frozen.batch([6, 1, 6], torch.device("cpu"))
    assert torch.equal(batch.masks, frozen.masks[[6, 1, 6]])
    assert torch.equal(batch.anomalous, frozen.anomalous[[6, 1, 6]])
    assert torch.equal(batch.features.image_feature, frozen.features.image_feature[[6, 1, 6]].float())


def test_side_inputs_that_count_stay_whole_numbers(load, dataset) -> None:
    frozen = freeze(load(), [dataset])
    side = {"box": torch.arange(8)[:, None] + 4099, "share": torch.full((8, 1), 0.1)}  # 4099 is no float16
    held = replace(frozen, features=replace(frozen.features, auxiliary=side, prepass=torch.ones(8, 2)))
    batch = held.batch([7, 2], torch.device("cpu"))
    assert batch.features.auxiliary["box"].tolist() == [[4106], [4101]]
    assert batch.features.auxiliary["share"].dtype == torch.float32
    assert batch.features.prepass is not None and batch.features.prepass.shape == (2, 2)


def test_nothing_anomalous_is_refused(load, tmp_path) -> None:
    found = open_dataset(f"folder={draw_set(tmp_path / 'fine', anomalous=0)}", get_host())
    with pytest.raises(InputError, match=r"--data: no image of fine is anomalous"):
        freeze(load(), [found])


def test_an_anomalous_image_without_mask_is_refused(load, dataset, tmp_path) -> None:
    found = open_dataset(f"bare:folder={draw_set(tmp_path / 'bare', masks=False)}", get_host())
    with pytest.raises(InputError, match=r"dataset 'bare' gives no mask for .*bare/bad/4\.png'"):
        freeze(load(), [dataset, found])


@pytest.mark.parametrize("broken", ["good/1.png", "masks/bad/6.png"])
def test_an_unreadable_file_is_named(load, dataset, broken) -> None:
    (dataset.root / broken).write_bytes(b"no image")
    with pytest.raises(InputError, match=broken):
        freeze(load(), [dataset])


def test_a_mask_of_another_size_is_named(load, dataset) -> None:
    Image.new("L", (32, 64), 255).save(dataset.root / "masks" / "bad" / "5.png")
    with pytest.raises(InputError, match=r"masks/bad/5\.png' has 32 x 64 pixels"):
        freeze(load(), [dataset])
