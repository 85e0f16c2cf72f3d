"""Decoding in worker processes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from zsad.data.reading import Loaded, Unreadable, read_batches


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_in_order_and_in_batches(dataset, detector, workers) -> None:
    form = detector("clip-baseline").reading.form
    dataset.images[4].image.write_bytes(b"")
    batches = list(read_batches(dataset.images, [form], 5, workers))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    entries = [entry for batch in batches for entry in batch]
    assert [entry.place for entry in entries] == list(range(12))
    assert isinstance(entries[4], Unreadable) and "4.png" in entries[4].error
    for entry, image in zip(entries, dataset.images, strict=True):
        assert entry.image == image
        if isinstance(entry, Loaded):
            assert entry.sample.tensors[form].shape == (3, 64, 64)
            assert entry.mask is not None and entry.mask.any() == image.anomalous
    (same,) = read_batches(dataset.images[:1], [form], 1, 0)
    assert torch.equal(same[0].sample.tensors[form], entries[0].sample.tensors[form])
    (bare,) = read_batches(dataset.images[:1], [form], 1, 0, pixels=False)
    assert bare[0].sample.image.size == 0 and bare[0].mask.shape == same[0].mask.shape
    np.testing.assert_array_equal(same[0].sample.image, entries[0].sample.image)


def test_reading_leaves_gradients_as_they_were(dataset, detector) -> None:
    batches = read_batches(dataset.images, [detector("clip-baseline").reading.form], 5, 0)
    next(batches)
    assert torch.is_grad_enabled()


def test_images_can_be_read_beside_the_main_thread(dataset, detector) -> None:
    form, found = detector("clip-baseline").reading.form, []
    thread = threading.Thread(target=lambda: found.extend(read_batches(dataset.images, [form], 6, 1)))
    thread.start()
    thread.join(30)
    assert len(found) == 2
