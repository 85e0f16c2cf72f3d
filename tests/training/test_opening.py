"""From the words of a command line to examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.training.drawing import draw_set, pixels, save
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.settings import Settings
from zsad.training.mosaic import MosaicExamples
from zsad.training.opening import (
    open_feature_generator,
    open_normal,
    open_sources,
    open_weighting,
    with_mosaics,
)
from zsad.training.sources import DatasetExamples, GeneratedExamples, NormalExamples


def opened(*specs: object, options: Sequence[str] = (), **wanted):
    return open_sources([str(spec) for spec in specs], get_host(), settings=Settings.parse(options), **wanted)


@pytest.fixture
def plain(tmp_path):
    """A folder of photographs, and nothing that says what they are."""
    rng = np.random.default_rng(0)
    for number in range(3):
        save(tmp_path / "metal_nuts" / f"{number}.png", pixels(rng, False)[0])
    return tmp_path / "metal_nuts"


def test_annotated_datasets(dataset) -> None:
    source = opened(f"folder={dataset.root}")
    assert isinstance(source, DatasetExamples) and source.key == DatasetExamples([dataset]).key
    assert [found.name for found in source.datasets] == ["squares"]


def test_a_generator_takes_normal_images(dataset) -> None:
    source = opened(f"folder={dataset.root}", generator="draem", copies=5, seed=2)
    assert isinstance(source, GeneratedExamples) and len(source) == 20
    half = sum(source[place].anomalous for place in range(20))
    options = ["examples.clean=0.0", "generator.threshold=0.1", "generator.foreground=true"]
    most = opened(f"folder={dataset.root}", generator="draem", copies=5, seed=2, options=options)
    assert 3 < half < 17 < sum(most[place].anomalous for place in range(20))
    assert most.key != source.key


def test_a_plain_folder_holds_normal_images(plain) -> None:
    source = opened(f"mine:folder={plain}", generator="cutpaste", copies=2)
    assert len(source) == 6 and source.class_name(0) == source[0].sample.class_name == "metal nuts"
    assert [found.name for found in source.datasets] == ["mine"]
    assert {source[place].sample.path for place in range(6)} == set(plain.iterdir())
    with pytest.raises(InputError, match="says which images are normal"):
        opened(f"folder={plain}")  # nothing to learn from without a generator
    with pytest.raises(InputError, match="has no class 'nuts'"):
        opened(f"folder={plain}:nuts", generator="cutpaste")


@pytest.mark.parametrize(
    ("path", "name"),
    [("bottle/train/good", "bottle"), ("bottle/test/OK", "bottle"), ("metal_nuts/good", "metal_nuts"),
     ("goods", "goods")],
)  # fmt: skip
def test_a_folder_of_good_ones_is_named_after_what_it_shows(tmp_path, path, name) -> None:
    save(tmp_path / path / "0.png", pixels(np.random.default_rng(0), False)[0])
    (shown,) = opened(f"folder={tmp_path / path}", generator="cutpaste").datasets
    assert (shown.name, shown.classes) == (name, (name,)) and shown.images[0].noun == name.replace("_", " ")
    (shown,) = opened(f"mine:folder={tmp_path / path}", generator="cutpaste").datasets
    assert (shown.name, shown.classes) == ("mine", (name,))


def test_options_of_the_posterior() -> None:
    options = ["examples.weight=posterior", "examples.posterior.prior=0.2", "examples.posterior.subsets=3"]
    found = open_weighting("draem", Settings.parse(options))
    assert found is not None and (found.prior, found.subsets, found.neighbours) == (0.2, 3, 5)
    with pytest.raises(InputError, match=r"examples\.posterior: add --set examples\.weight=posterior"):
        open_weighting("draem", Settings.parse(options[1:]))


def test_a_folder_with_more_than_images_is_read_as_its_layout(plain, tmp_path) -> None:
    (plain / "notes.txt").write_text("which of these are defective?")
    with pytest.raises(InputError, match="says which images are normal"):
        opened(f"folder={plain}", generator="cutpaste")
    draw_set(tmp_path / "set")
    assert len(opened(f"folder={tmp_path / 'set'}", generator="cutpaste")) == 4
    with pytest.raises(InputError, match="no file or folder"):
        opened(f"folder={tmp_path / 'none'}", generator="cutpaste")
    with pytest.raises(InputError, match="unknown dataset layout 'foder'; did you mean 'folder'"):
        opened(f"foder={plain}", generator="cutpaste")


def test_mosaics(dataset) -> None:
    plain = opened(f"folder={dataset.root}")
    assert with_mosaics(plain, 0) is plain
    source = with_mosaics(plain, 1.0, Settings.parse(["examples.mosaic_label=original"]))
    assert isinstance(source, MosaicExamples) and source[0].mask.shape == (128, 128)
    assert [source[place].anomalous for place in range(8)] == [image.anomalous for image in dataset.images]
    with pytest.raises(InputError, match=r"there are no mosaics; add --set training\.mosaic"):
        with_mosaics(plain, 0, Settings.parse(["examples.mosaic_label=original"]))
    with pytest.raises(InputError, match="mosaic must be 0 to 1"):
        with_mosaics(plain, 1.5)


def test_a_generator_of_features(dataset) -> None:
    source = opened(f"folder={dataset.root}", generator="feature-noise", options=["generator.sigma=0.3"])
    assert isinstance(source, NormalExamples) and not any(source[place].anomalous for place in range(4))
    found = open_feature_generator(get_host(), "feature-noise", Settings.parse(["generator.sigma=0.3"]))
    assert found is not None and found.options.sigma == 0.3  # type: ignore[attr-defined]
    assert open_feature_generator(get_host(), "draem") is None
    assert open_feature_generator(get_host(), None) is None
    for wrong in ({"copies": 2}, {"options": ["examples.clean=0.2"]},
                  {"options": ["examples.weight=posterior"]}):  # fmt: skip
        with pytest.raises(InputError, match="changes features anew in every step"):
            opened(f"folder={dataset.root}", generator="feature-noise", **wrong)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"options": ["generator.area=0.1"]}, r"--set generator\.area: name a --generator first"),
        ({"options": ["examples.clean=0.1"]}, r"examples\.clean: name a --generator"),
        ({"copies": 3}, "copies: name a --generator"),
        ({"options": ["example.clean=0.1"]}, "there is no 'example' to set; did you mean 'examples'"),
        ({"options": ["examples.clean"]}, r"write examples\.OPTION=VALUE"),
        ({"options": ["examples.clean=0.1", "examples.clean.b=1"]}, "'clean' has a value already"),
        ({"options": ["examples.clean=[1"]}, "not a value in YAML"),
        ({"options": ["examples.claen=0.1"]}, "--set examples: 'claen' is not known; did you mean 'clean'"),
        ({"options": ["examples.clean=1"], "generator": "scar"}, "--set examples: 'clean' cannot be 1"),
        (
            {"options": ["generator.witdh=1"], "generator": "scar"},
            "'witdh' is not known; did you mean 'width'",
        ),
        ({"generator": "scars"}, "unknown generator 'scars'; did you mean 'scar'"),
        ({"generator": "scar", "seed": -1}, "seed 0 or more"),
    ],
)
def test_refusals(dataset, wanted, words) -> None:
    with pytest.raises(InputError, match=words):
        opened(f"folder={dataset.root}", **wanted)


def test_nothing_to_learn_from_names_the_generators(tmp_path) -> None:
    draw_set(tmp_path / "fine", anomalous=0)
    with pytest.raises(InputError, match=r"no image of fine is anomalous.*--generator"):
        opened(f"folder={tmp_path / 'fine'}")
    draw_set(tmp_path / "bare", masks=False)
    with pytest.raises(InputError, match=r"gives no mask for .*--generator"):
        opened(f"folder={tmp_path / 'bare'}")
    assert len(opened(f"folder={tmp_path / 'bare'}", generator="nsa")) == 4


def test_litter_and_images_that_are_not_read_do_not_matter(plain) -> None:
    count = len(open_normal(f"folder={plain}", get_host()).images)
    for name in (".DS_Store", "Thumbs.db", "one more.heic"):
        (plain / name).touch()
    dataset = open_normal(f"folder={plain}", get_host())
    assert len(dataset.images) == count and not any(image.anomalous for image in dataset.images)
    assert sorted(entry.path.name for entry in dataset.left_out) == [
        ".DS_Store",
        "Thumbs.db",
        "one more.heic",
    ]


def test_folders_below_a_folder_of_normal_images_belong_to_it(tmp_path) -> None:
    root = draw_set(tmp_path / "nut", masks=False)
    (root / "good" / "cam2").mkdir()
    next((root / "good").glob("*.png")).rename(root / "good" / "cam2" / "0.png")
    dataset = open_normal(f"folder={root / 'good'}", get_host())
    assert dataset.name == "nut" and len(dataset.images) == 4
