"""Examples: annotated ones as they lie on disk, generated ones from normal images alone."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from tests.training.drawing import draw_set, pixels, save
from tests.training.test_generators import acme  # noqa: F401
from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.images import read_image
from zsad.data.masks import read_mask
from zsad.data.spec import open_dataset
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.training.generators import load_generator
from zsad.training.sources import DatasetExamples, GeneratedExamples, NormalExamples, random_at


def generated(
    *datasets: Dataset, name: str = "cutpaste", options: dict | None = None, **plan
) -> GeneratedExamples:
    loaded = load_generator(get_host(), name, options or {})
    return GeneratedExamples(NormalExamples(datasets), loaded, **plan)


def same(first, second) -> bool:
    pictures = np.array_equal(first.sample.image, second.sample.image)
    return pictures and np.array_equal(first.mask, second.mask) and first.anomalous == second.anomalous


def test_annotated_examples_are_what_lies_on_disk(dataset) -> None:
    source = DatasetExamples([dataset])
    assert len(source) == 8 and source.datasets == (dataset,)
    for place, image in enumerate(dataset.images):
        example = source[place]
        assert np.array_equal(example.sample.image, read_image(image.image))
        assert (example.sample.class_name, example.sample.path) == ("squares", image.image)
        assert source.class_name(place) == "squares"
        assert example.anomalous == image.anomalous == bool(example.mask.any()) and example.weight == 1
        if image.mask:
            assert np.array_equal(example.mask, read_mask(image.mask))


def test_what_cannot_be_learned_from_is_refused(dataset, tmp_path) -> None:
    fine = open_dataset(f"folder={draw_set(tmp_path / 'fine', anomalous=0)}", get_host())
    with pytest.raises(InputError, match=r"--data: no image of fine is anomalous.* --generator"):
        DatasetExamples([fine])
    assert len(DatasetExamples([fine, dataset])) == 12
    bare = open_dataset(f"bare:folder={draw_set(tmp_path / 'bare', masks=False)}", get_host())
    with pytest.raises(InputError, match=r"'bare' gives no mask for .*bare/bad/4\.png'.* --generator"):
        DatasetExamples([dataset, bare])
    unmasked = DatasetExamples([bare], masks=False)
    assert [(unmasked[place].anomalous, unmasked[place].mask.any()) for place in (0, 7)] == [
        (True, False),
        (False, False),
    ]
    with pytest.raises(InputError, match="no image of fine is anomalous"):
        DatasetExamples([fine], masks=False)
    only = replace(dataset, images=tuple(image for image in dataset.images if image.anomalous))
    with pytest.raises(InputError, match="dataset 'squares' has no normal image"):
        NormalExamples([fine, only])


def test_generated_examples_never_touch_anomalous_images(dataset) -> None:
    source = generated(dataset, copies=3)
    key = source.key
    for path in [*(dataset.root / "bad").iterdir(), *(dataset.root / "masks" / "bad").iterdir()]:
        path.unlink()
    assert len(source) == 12 and generated(dataset, copies=3).key == key
    shown = Counter(source[place].sample.path for place in range(12))
    assert shown == {dataset.root / "good" / f"{number}.png": 3 for number in range(4)}


def test_training_images_come_before_test_images(dataset, tmp_path) -> None:
    save(tmp_path / "train.png", pixels(np.random.default_rng(9), False)[0])
    train = DatasetImage(tmp_path / "train.png", None, False, "squares", "squares")
    source = generated(replace(dataset, normal_train_images=(train,)))
    assert len(source) == 1 and source[0].sample.path == tmp_path / "train.png"


@pytest.mark.parametrize("name", ["cutpaste", "draem", "procedural"])
def test_a_label_is_normal_where_the_mask_is_empty_and_nowhere_else(dataset, name) -> None:
    source = generated(dataset, name=name, copies=20, seed=1)
    clean = 0
    for place in range(len(source)):
        example = source[place]
        assert example.anomalous == bool(example.mask.any())
        original = read_image(example.sample.path)
        assert np.array_equal(example.sample.image, original) != example.anomalous
        assert example.sample.class_name == source.class_name(place) == "squares"
        clean += not example.anomalous
    assert 28 <= clean <= 55  # of 80


@pytest.mark.parametrize(("clean", "low", "high"), [(0, 0, 0), (0.2, 8, 34), (1, 100, 100)])
def test_the_clean_share(dataset, clean, low, high) -> None:
    source = generated(dataset, copies=25, clean=clean)
    assert low <= sum(not source[place].anomalous for place in range(100)) <= high


def test_place_and_seed_decide(dataset) -> None:
    source = generated(dataset, copies=5, seed=3)
    again = pickle.loads(pickle.dumps(generated(dataset, copies=5, seed=3)))
    backwards = {place: again[place] for place in reversed(range(20))}
    assert all(same(source[place], backwards[place]) for place in range(20))
    longer, other = generated(dataset, copies=9, seed=3), generated(dataset, copies=5, seed=4)
    assert all(same(source[place], longer[place]) for place in range(20))
    assert sum(same(source[place], other[place]) for place in range(20)) < 16
    made = {source[place].mask.tobytes() for place in range(20) if source[place].anomalous}
    assert len(made) == sum(source[place].anomalous for place in range(20))
    with pytest.raises(IndexError):
        source[20]


def test_worker_processes_make_the_same(dataset) -> None:
    source = generated(dataset, name="procedural", copies=2)
    loaded = list(DataLoader(source, batch_size=None, num_workers=1))
    assert len(loaded) == 8 and all(same(source[place], loaded[place]) for place in range(8))


def test_the_choice_says_nothing_of_the_anomaly(dataset) -> None:
    source = generated(dataset, copies=100)
    shares = [example.mask.mean() for example in map(source.__getitem__, range(400)) if example.anomalous]
    # Drawn evenly from 2 to 15 %; with shared random numbers only the upper half would be left.
    assert np.mean(shares) == pytest.approx(0.085, abs=0.01) and min(shares) < 0.03


def test_streams_do_not_go_together() -> None:
    draws = np.array([[random_at(0, place, stream).random() for stream in range(3)] for place in range(2000)])
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.08
    assert np.abs(draws.mean(0) - 0.5).max() < 0.03


def test_keys(dataset, tmp_path) -> None:
    elsewhere = draw_set(tmp_path / "again" / "squares")
    moved = open_dataset(f"folder={elsewhere}", get_host())
    variants = {
        "annotated": DatasetExamples([dataset]),
        "twice": DatasetExamples([dataset, moved]),
        "normal": NormalExamples([dataset]),
        "generated": generated(dataset),
        "copies": generated(dataset, copies=2),
        "seed": generated(dataset, seed=1),
        "clean": generated(dataset, clean=0.4),
        "generator": generated(dataset, name="scar"),
        "options": generated(dataset, options={"aspect": 0.5}),
    }
    assert len({source.key for source in variants.values()}) == len(variants)
    assert generated(moved).key == variants["generated"].key  # the place on disk does not count
    assert DatasetExamples([moved]).key == variants["annotated"].key
    save(elsewhere / "good" / "0.png", np.zeros((64, 64, 3), np.uint8))
    changed = open_dataset(f"folder={elsewhere}", get_host())
    assert generated(changed).key != variants["generated"].key
    (elsewhere / "good" / "1.png").unlink()
    with pytest.raises(InputError, match=r"cannot read '.*good/1\.png'"):
        _ = generated(changed).key


def test_unreadable_files_are_named(dataset) -> None:
    sources = DatasetExamples([dataset]), NormalExamples([dataset]), generated(dataset)
    first = next(place for place, image in enumerate(dataset.images) if image.image.name == "0.png")
    (dataset.root / "good" / "0.png").write_bytes(b"no image")
    for source, place in zip(sources, (first, 0, 0), strict=True):
        with pytest.raises(InputError, match=r"good/0\.png"):
            source[place]


def test_numbers_out_of_range_are_refused(dataset) -> None:
    for plan in ({"copies": 0}, {"seed": -1}, {"clean": 1.5}):
        with pytest.raises(InputError, match="copies must be 1 or more"):
            generated(dataset, **plan)
    with pytest.raises(InputError, match="'zsad:feature-noise' changes features"):
        generated(dataset, name="feature-noise")


def test_a_generator_that_breaks_its_protocol_is_named(dataset, acme) -> None:  # noqa: F811
    for name, words in (
        ("stripes", r"failed on '.*png': ValueError: no stripes"),
        ("small", "keep its size"),
    ):
        source = GeneratedExamples(NormalExamples([dataset]), load_generator(acme, name, {}), clean=0)
        with pytest.raises(ZsadError, match=f"generator 'acme:{name}' .*{words}"):
            source[0]


def test_images_of_several_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(40, 90, 3), (1, 1, 3), (90, 33, 3)]):
        save(tmp_path / "parts" / "good" / f"{number}.png", rng.integers(0, 255, shape, dtype=np.uint8))
    source = generated(open_dataset(f"folder={tmp_path / 'parts'}", get_host()), clean=0)
    assert [source[place].mask.shape for place in range(3)] == [(40, 90), (1, 1), (90, 33)]
