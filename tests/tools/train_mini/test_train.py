"""The training loop: it changes the towers, leaves the stem, and folds what it standardised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tools.train_mini import losses
from tools.train_mini import train as training
from tools.train_mini.pool import SLOTS, Pool, Record
from tools.train_mini.train import GAIN, NOISE, SHIFT, _statistics, perturbed, visible
from zsad.backbones.clip import state_digest
from zsad.backbones.vision import VisionTower
from zsad.streams import TokenRequest, VisionRequest
from zsad_plugins.mini.stem import CHANNELS


def test_two_steps_change_the_towers_and_leave_the_stem(pool, make_trainer) -> None:
    trainer = make_trainer(pool)
    stem = state_digest(trainer.model.stem.state_dict())
    before = {name: tensor.clone() for name, tensor in trainer.model.learned().items()}
    reports = []
    trainer.run(lambda step, means: reports.append((step, means)), every=1)
    assert [step for step, _ in reports] == [1, 2]
    assert all(np.isfinite(value) for _, means in reports for value in means.values())
    assert {"caption", "focal.plain", "focal.vv", "dice.vv", "state.image", "window"} <= set(reports[0][1])
    after = trainer.model.learned()
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    # Only what no loss depends on stays: the keys' bias shifts all of a query's logits alike.
    moved = set(before) - same
    assert {"vision.patch_projection.weight", "vision.projection", "text.projection"} <= moved
    assert all(name.endswith(("k_proj.bias", "position_embedding")) for name in same), same
    assert state_digest(trainer.model.stem.state_dict()) == stem
    assert not any(parameter.requires_grad for parameter in trainer.model.stem.parameters())


def test_the_same_seed_gives_the_same_model(pool, make_trainer) -> None:
    digests = []
    for seed in (0, 0, 1):
        trainer = make_trainer(pool, seed=seed)
        trainer.run(lambda step, means: None)
        digests.append(state_digest(trainer.model.learned()))
    assert digests[0] == digests[1] != digests[2]


def test_the_standardisation_is_folded_exactly(pool, make_trainer) -> None:
    trainer = make_trainer(pool)
    trainer.run(lambda step, means: None)
    finished = trainer.finished()
    shape = finished.shape
    images = torch.randn(2, 3, shape.image_size, shape.image_size, generator=torch.Generator().manual_seed(0))
    request = VisionRequest((TokenRequest("tokens", shape.depth),))
    with torch.no_grad():
        features = (trainer.model.stem(images) - trainer.mean) / trainer.deviation
        inside = trainer.vision(features, [request])[0]
        outside = VisionTower(finished.vision_weights(), shape.tower_profile("float32"))(images, [request])[0]
    torch.testing.assert_close(outside.image_feature, inside.image_feature, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        outside.token_sets[0].tokens, inside.token_sets[0].tokens, rtol=1e-4, atol=1e-5
    )
    assert not finished.training and not any(p.requires_grad for p in finished.parameters())
    own, learned = finished.state_dict(), trainer.model.state_dict()
    folded = {name for name in own if not torch.equal(own[name], learned[name])}
    assert folded == {"vision.patch_projection.weight", "vision.patch_projection.bias"}


def test_statistics(pool) -> None:
    mean, deviation = _statistics(pool, "cpu")
    values = np.asarray(pool.features, np.float64).transpose(1, 0, 2, 3).reshape(CHANNELS, -1)
    np.testing.assert_allclose(mean.flatten().numpy(), values.mean(axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        deviation.flatten().numpy(), np.maximum(values.std(axis=1, ddof=1), 1e-3), rtol=1e-3
    )


def test_perturbed_statistics() -> None:
    torch.manual_seed(0)
    count, channels, side = 40, 60, 16
    flat = perturbed(torch.zeros(count, channels, side, side))
    shift = flat.mean(dim=(2, 3))
    assert float(shift.mean()) == pytest.approx(0, abs=0.03)
    assert float(shift.std()) == pytest.approx(SHIFT, rel=0.05)
    strength = (flat - shift[..., None, None]).std(dim=(1, 2, 3))
    assert float(strength.mean()) == pytest.approx(NOISE / 2, rel=0.25)
    assert float(strength.max()) <= 1.05 * NOISE
    gain = perturbed(torch.ones(count, channels, side, side)).mean(dim=(2, 3))
    assert float(gain.mean()) == pytest.approx(1, abs=0.03)
    assert float(gain.std()) == pytest.approx((GAIN**2 + SHIFT**2) ** 0.5, rel=0.05)


def two_defects(places: tuple[tuple[int, int], tuple[int, int]], count: int = 4, grid: int = 5) -> Pool:
    """Return a pool of images with a dent at the first place and a scratch at the second."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, CHANNELS, grid, grid)).astype(np.float16)
    cover = np.zeros((count, SLOTS, grid, grid), np.float16)
    for slot, (row, column) in enumerate(places):
        cover[:, slot, row, column] = 1
    record = Record("a dented and scratched nut", "nut", "nut", "steel", ("dent", "scratch"))
    return Pool(features, cover, (record,) * count)


def test_crops_cut_features_and_cover_alike(make_trainer, monkeypatch) -> None:
    pool = two_defects(((0, 0), (4, 4)))
    count, _, grid, _ = pool.features.shape
    marks = np.arange(grid * grid, dtype=np.float16).reshape(grid, grid)
    pool.features[:] = marks + 100 * np.arange(count, dtype=np.float16)[:, None, None, None]
    pool.cover[:] = marks / 32
    trainer = make_trainer(pool)
    sides = set()
    for _ in range(60):
        features, cover = trainer._crops(np.array([1, 3]))
        side = features.shape[-1]
        sides.add(side)
        assert features.shape == (2, CHANNELS, side, side) and cover.shape == (2, SLOTS, side, side)
        for place, (seen, share) in enumerate(zip(features, cover, strict=True)):
            corner = seen[0] - 100 * (1, 3)[place]
            assert np.array_equal(corner, share[0] * 32)
            assert np.array_equal(corner, corner[0, 0] + marks[:side, :side])
    assert sides == {3, 4, 5}
    monkeypatch.setattr(training, "CROP_CHANCE", 0.0)
    assert np.array_equal(trainer._crops(np.array([2]))[0][0], pool.features[2])


def test_visible_names_what_a_crop_shows() -> None:
    record = two_defects(((0, 0), (4, 4))).records[0]
    cover = np.zeros((SLOTS, 3, 3), np.float16)
    assert visible(replace(record, defects=()), cover) == replace(record, defects=())
    assert visible(record, cover + 1) == record
    lost = visible(record, cover)
    assert lost.caption == "" and lost.defects == ()
    cover[1, 2, 2] = 0.25
    assert visible(record, cover).defects == ("scratch",)
    cover[0, 0, 0], cover[1] = 0.5, 0
    assert visible(record, cover).defects == ("dent",)


def test_types_stay_with_their_masks(make_trainer, monkeypatch) -> None:
    """Crops that lose the first of two defects must not call the second one by another name."""
    pool = two_defects(((0, 0), (4, 4)))
    trainer = make_trainer(pool, batch=4)
    known = trainer.sentences.defects
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    original = losses.type_maps

    def watched(tokens, normal, names, cover, kind):
        seen.append((cover.amax(dim=-1) > 0, kind))
        return original(tokens, normal, names, cover, kind)

    def crops(places):
        """Cut away the first row and column, where the first defect is."""
        return pool.features[places][..., 1:, 1:], pool.cover[places][..., 1:, 1:]

    monkeypatch.setattr(losses, "type_maps", watched)
    monkeypatch.setattr(trainer, "_crops", crops)
    with torch.no_grad():
        trainer._losses(trainer._batch(), 2)
    assert len(seen) == 2
    for covered, kind in seen:
        assert torch.equal(covered, kind >= 0), "a defect without its type, or a type without its defect"
        assert set(kind[covered].tolist()) == {known.index("scratch")}


def test_batches_differ_until_the_pool_is_used_up(pool, make_trainer) -> None:
    trainer = make_trainer(pool)
    first = np.concatenate([trainer._batch() for _ in range(len(pool) // 4)])
    assert sorted(first.tolist()) == list(range(len(pool)))


def test_the_rate_rises_and_falls(pool, make_trainer) -> None:
    trainer = make_trainer(pool, steps=100, warmup=10)
    factors = [trainer._factor(step) for step in range(1, 101)]
    assert factors[:9] == pytest.approx([step / 10 for step in range(1, 10)])
    assert max(factors) == factors[9] and factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 < factors[-1] < 0.001


def test_texts_are_encoded_in_their_order(pool, make_trainer) -> None:
    trainer = make_trainer(pool)
    texts = [
        "damaged object",
        "a photo of a nut with a scratch in the top left",
        "nut",
        "a nut",
        "X X X nut.",
    ]
    with torch.no_grad():
        together = trainer._encode_texts(texts)
        alone = torch.cat([trainer._encode_texts([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(len(texts)))
