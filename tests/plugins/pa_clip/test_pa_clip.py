"""Two memories behind a text-driven map: what is lowered, what is not, and what nothing may depend on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Sample
from zsad_plugins.pa_clip.decision import decide
from zsad_plugins.pa_clip.memory import Memory, benign_memory, nearest_in_images, normal_memory
from zsad_plugins.pa_clip.options import MemoryOptions

Load = Callable[..., Detector]
OPTIONS = MemoryOptions()
IMAGES, PATCHES, WIDTH = 6, 25, 16


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("pa-clip")


def unit(tokens: torch.Tensor) -> torch.Tensor:
    return F.normalize(tokens, dim=-1)


def textures(seed: int = 0, images: int = IMAGES) -> tuple[torch.Tensor, torch.Tensor]:
    """Return patches of one texture, and text scores that say little of them."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(3, WIDTH, generator=generator)
    kinds = torch.randint(0, 3, (images, PATCHES), generator=generator)
    tokens = base[kinds] + 0.15 * torch.randn(images, PATCHES, WIDTH, generator=generator)
    return tokens, 0.2 + 0.05 * torch.rand(images, PATCHES, generator=generator)


def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Return patches and scores: a shadow at place 3 of every image, a defect at place 7 of the first."""
    tokens, text = textures()
    shadow, defect = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))
    tokens[:, 3] = shadow + 0.1 * torch.randn(IMAGES, WIDTH, generator=torch.Generator().manual_seed(10))
    tokens[0, 7] = defect
    text[:, 3], text[0, 7] = 0.9, 0.9
    return unit(tokens), text


def test_a_shadow_in_every_image_is_lowered_and_a_defect_of_one_is_not() -> None:
    tokens, text = planted()
    options = replace_options(suspicious=0.06)
    found = decide(tokens, text, options)
    assert float(found[0, 7]) > 0.85 * float(text[0, 7])
    assert (found[:, 3] < 0.3 * text[:, 3]).all()
    assert found.argmax() == 7  # of the first image
    benign = benign_memory(tokens, text, normal_memory(tokens, text, options), options)
    alike = benign.entries @ tokens[:, 3].T
    assert (alike.amax(0) > 0.999).all()  # every shadow
    assert float((benign.entries @ tokens[0, 7]).amax()) < 0.9  # and not the defect


def replace_options(**changes: object) -> MemoryOptions:
    return MemoryOptions.model_validate(OPTIONS.model_dump() | changes)


def test_an_image_never_meets_its_own_patches() -> None:
    tokens = unit(torch.randn(2, 5, WIDTH))
    memory = Memory(torch.cat([tokens[0], tokens[1]]), torch.tensor([0] * 5 + [1] * 5))
    expected = (1 - (tokens[0] @ tokens[1].T).amax(1)) / 2
    torch.testing.assert_close(memory.distance(tokens[0], 0), expected)
    assert memory.distance(tokens[0], 1).abs().max() < 1e-6
    alone = Memory(tokens[0], torch.zeros(5, dtype=torch.long))
    assert torch.equal(alone.distance(tokens[0], 0), torch.ones(5))


def test_distances_to_other_images_against_loops() -> None:
    tokens = unit(torch.randn(4, 6, WIDTH, dtype=torch.float64))
    found = nearest_in_images(tokens.flatten(0, 1), torch.arange(4).repeat_interleave(6), tokens)
    for place in range(24):
        own = [
            min((1 - float(tokens.flatten(0, 1)[place] @ other)) / 2 for other in tokens[image])
            for image in range(4)
            if image != place // 6
        ]
        assert float(found[place]) == pytest.approx(sorted(own)[1])


def test_the_normal_memory_is_of_the_least_suspicious_images_and_patches() -> None:
    tokens, text = planted()
    text[2] += 0.5
    memory = normal_memory(tokens, text, OPTIONS)
    assert 0 not in memory.owner.tolist()[:1] and 2 not in memory.owner.tolist()
    assert memory.owner.bincount(minlength=IMAGES).max() == PATCHES // 2
    for image in memory.owner.unique():
        own = memory.entries[memory.owner == image]
        lowest = tokens[image][text[image].argsort()[: PATCHES // 2]]
        assert torch.equal(own, lowest)
    small = normal_memory(tokens, text, replace_options(capacity=4))
    assert len(small.entries) <= 4 and len(small.owner.unique()) >= 2


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_images_does_not_count(seed: int) -> None:
    tokens, text = planted()
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed))
    text = text + 1e-4 * torch.rand(text.shape, generator=torch.Generator().manual_seed(1))  # without ties
    torch.testing.assert_close(
        decide(tokens[order], text[order], OPTIONS), decide(tokens, text, OPTIONS)[order]
    )


def test_scores_are_never_raised_and_stay_where_nothing_is_alike() -> None:
    tokens, text = planted()
    found = decide(tokens, text, OPTIONS)
    assert (found <= text + 1e-6).all() and (found >= 0).all()


def test_it_is_transductive_and_looks_at_no_label(load: Load) -> None:
    detector = load()
    assert detector.setting == "training-free / transductive / zero-shot"
    assert detector.recipe.fidelity == "inspired"


def images(count: int, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [Sample(rng.integers(0, 256, (60, 60, 3), np.uint8), "gear") for _ in range(count)]


def test_it_goes_behind_the_scorers_of_other_methods(load: Load) -> None:
    parts = "[standard.softmax,pa-clip.memories,standard.upsample,standard.fuse]"
    detector = load(f"post_processors={parts}", method="anomalyclip")
    plain = load(method="anomalyclip")
    found, before = detector.predict(images(3)), plain.predict(images(3))
    assert torch.equal(found.score, before.score)  # the scorer's own
    assert (found.anomaly_map.amax((1, 2)) <= before.anomaly_map.amax((1, 2)) + 1).all()
    assert found.anomaly_map.shape == (3, 80, 80)


def test_batches_do_not_count(load: Load) -> None:
    detector, samples = load(), images(5)
    whole = detector.predict(samples)
    scope = detector.scope()
    for low in (0, 2, 4):
        assert detector.add(scope, detector.encode(samples[low : low + 2])) is None
    apart = detector.finish(scope)
    torch.testing.assert_close(apart.anomaly_map, whole.anomaly_map, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(apart.score, whole.anomaly_map.amax((1, 2)), atol=1e-6, rtol=1e-5)


def test_wrong_uses_are_refused(load: Load) -> None:
    with pytest.raises(InputError, match="'gear' has only one image here; give two or more"):
        load().predict(images(1))
    after = "[standard.softmax,standard.upsample,pa-clip.memories,standard.fuse,standard.map_maximum]"
    with pytest.raises(InputError, match=r"put it before standard\.upsample"):
        load(f"post_processors={after}").predict(images(2))
    with pytest.raises(InputError, match=r"requires '(scores:probabilities|patch_tokens)'"):
        load("post_processors=[pa-clip.memories,standard.upsample,standard.fuse]")
    with pytest.raises(InputError, match="so its side is odd, not 2"):
        load("post_processors.memories.sides=[2]")
