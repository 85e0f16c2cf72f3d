"""Each stand-in against a few lines of plain torch that know nothing of the core."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.fakes.plugin import METHODS, ForeignAttention
from zsad.backbones.block import BlockRun
from zsad.detect.passes import encode_together, group_by_pass
from zsad.errors import InputError

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def embedded(tower, images):
    patches = tower.patch_embedding(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([tower.class_embedding.expand(len(images), 1, -1), patches], 1)
    return tower.ln_pre(tokens + tower.position_embedding)


def joint(tower, x):
    return tower.ln_post(x) @ tower.projection


def self_correlation(block, y, letters):
    heads = {k: block.split(getattr(block, f"{k}_proj")(y)) for k in "qkv"}
    total = 0
    for letter in letters:
        a = heads[letter]
        total = total + torch.softmax(a @ a.transpose(-1, -2) * a.shape[-1] ** -0.5, -1) @ heads["v"]
    return block.out_proj(block.merge(total))


def test_adaclip_injects_tokens_from_a_prepass(detector, samples) -> None:
    found = detector("fake-adaclip")
    tower = found.tower
    tower.counts.clear()
    features = found.encode(samples)
    assert tower.counts["passes"] == 2
    x = embedded(tower, found.tensor(samples))
    plain = x
    for block in tower.blocks:
        plain = block(plain)
    token = torch.cat([joint(tower, plain)[:, 0]] * 2, -1)
    taps = []
    for number, block in enumerate(tower.blocks):
        if number < 2:
            added = torch.stack([token, -token], 1) * (1.0, 0.5)[number]
            x = torch.cat([x[:, :65], added], 1)
        x = block(x)
        taps.append(x)
    torch.testing.assert_close(features.token_sets[0].tokens, joint(tower, taps[1])[:, 1:65], **CLOSE)
    torch.testing.assert_close(features.token_sets[1].tokens, joint(tower, taps[3])[:, 1:65], **CLOSE)
    torch.testing.assert_close(features.image_feature, joint(tower, taps[3])[:, 0], **CLOSE)
    # The deep text prompts of an image come from the pass without injected tokens.
    torch.testing.assert_close(features.prepass, joint(tower, plain)[:, 0], **CLOSE)
    text, prompts = found.text_side.tower, found.part("prompt_learner")("gear")
    for place in (0, 2):
        x = prompts.embeddings + text.position_embedding[: prompts.embeddings.shape[1]]
        for number, block in enumerate(text.blocks):
            if number in (1, 2):
                x = torch.cat([x[:, :1], (number * token[place]).expand(len(x), 1, -1), x[:, 2:]], 1)
            x = block(x, causal=True)
        raw = text.ln_final(x[torch.arange(len(x)), prompts.end]) @ text.projection
        torch.testing.assert_close(found.condition(features).raw[place], raw, **CLOSE)


def test_cops_prototypes_reach_prompts_and_scorer(detector, samples) -> None:
    found = detector("fake-cops")
    features = found.encode(samples)
    conditioning = found.condition(features)
    tokens = features.token_sets[0].tokens
    torch.testing.assert_close(conditioning.intermediates["prototype"], tokens.mean(1), **CLOSE)
    text, learner = found.text_side.tower, found.part("prompt_learner")
    prompts = learner("leather")
    edited = prompts.embeddings.clone()
    edited[:, 1] += torch.cat([tokens[4].mean(0)] * 2)
    raw = F.normalize(text(edited, prompts.end), dim=-1)
    expected = torch.stack([F.normalize(raw[prompts.state == s].mean(0), dim=-1) for s in (0, 1)])
    torch.testing.assert_close(conditioning.text_features[4], expected, **CLOSE)
    distance = 1 - F.normalize(tokens, dim=-1) @ F.normalize(tokens.mean(1), dim=-1)[..., None]
    torch.testing.assert_close(found.score(features).score, distance[..., 0].amax(1), **CLOSE)


def test_filo_aliased_taps_boxes_and_prompt_weights(detector, samples) -> None:
    found = detector("fake-filo")
    tower = found.tower
    features = found.encode(samples)
    x = embedded(tower, found.tensor(samples))
    local = None
    for number, block in enumerate(tower.blocks, start=1):
        y = block.ln_1(x)
        if number >= 2:
            local = (x if number == 2 else local) + self_correlation(block, y, "v")
        if number == 3:
            q, k, v = (block.split(p(y)) for p in (block.q_proj, block.k_proj, block.v_proj))
            attended = torch.softmax(q @ k.transpose(-1, -2) * 16**-0.5, -1) @ v
            tap = x + block.out_proj(block.merge(attended))
        x = block(x)
    for entry, state in zip(features.token_sets, (local, tap, x), strict=True):
        torch.testing.assert_close(entry.tokens, joint(tower, state)[:, 1:], **CLOSE)
        torch.testing.assert_close(entry.class_token, joint(tower, state)[:, 0], **CLOSE)
    conditioning = found.condition(features)
    place = [1, 0, 1, 0, 1]  # light first pixel: the right half, and the second abnormal prompt
    chosen = torch.stack([conditioning.raw[i, 1 + p] for i, p in enumerate(place)])
    torch.testing.assert_close(conditioning.text_features[:, 1], F.normalize(chosen, dim=-1), **CLOSE)
    stages = dict(found.stages(features))
    before, after = stages["standard.fuse"].map, stages["fake.box_filter"].map
    half = before.shape[-1] // 2
    for number, right in enumerate(place):
        factors = [0.7, 1.0] if right else [1.0, 0.7]
        torch.testing.assert_close(after[number, :, :half], before[number, :, :half] * factors[0])
        torch.testing.assert_close(after[number, :, half:], before[number, :, half:] * factors[1])


def test_musc_answers_at_the_end_of_the_scope(detector, samples) -> None:
    found = detector("fake-musc")
    scope = found.scope()
    assert scope.waits and "transductive" in found.setting
    assert found.add(scope, found.encode(samples[:2])) is None
    assert found.add(scope, found.encode(samples[2:])) is None
    split = found.finish(scope)
    whole = found.score(found.encode(samples))
    torch.testing.assert_close(split.anomaly_map, whole.anomaly_map, **CLOSE)
    torch.testing.assert_close(split.score, whole.score, **CLOSE)
    assert split.class_names == tuple(sample.class_name for sample in samples)
    features = found.encode(samples)
    stages = dict(found.stages(features))
    for places in ([0, 2, 3], [1, 4]):  # a scope is a class: images of the other one do not count
        tokens = F.normalize(features.token_sets[0].tokens[places], dim=-1)
        first = torch.stack([1 - (tokens[0] @ other.T).amax(1) for other in tokens[1:]]).mean(0)
        mutual = stages["fake.mutual"].sets[0].values[places[0]].flatten()
        torch.testing.assert_close(mutual, first, **CLOSE)
        image = F.normalize(features.image_feature[places], dim=-1)
        smoothed = torch.softmax(image @ image.T, -1) @ whole.anomaly_map[places].flatten(1).amax(1)
        torch.testing.assert_close(whole.score[places], smoothed, **CLOSE)
        alone = found.predict([samples[place] for place in places])
        torch.testing.assert_close(alone.anomaly_map, whole.anomaly_map[places], **CLOSE)
        torch.testing.assert_close(alone.score, whole.score[places], **CLOSE)


def test_crane_plus_reads_foreign_maps_after_attention(detector, samples) -> None:
    found = detector("fake-craneplus")
    tower = found.tower
    features = found.encode(samples)
    foreign, local = features.token_sets
    assert foreign.class_token is None and foreign.tokens.shape == (5, 64, 32)
    x = embedded(tower, found.tensor(samples))
    stream = None
    for number, block in enumerate(tower.blocks, start=1):
        if number >= 2:
            stream = (x if number == 2 else stream) + self_correlation(block, block.ln_1(x), "qkv")
        before, x = x, block(x)
    state = BlockRun(tower.blocks[-1], before, foreign.layout, features.auxiliary, tower.counts)
    expected = joint(tower, ForeignAttention(0.5)(state))
    torch.testing.assert_close(foreign.tokens, expected, **CLOSE)
    # Three softmaxes are summed before the out-projection, whose bias enters once per block.
    torch.testing.assert_close(local.tokens, joint(tower, stream)[:, 1:], **CLOSE)


@pytest.mark.parametrize("method", [f"fake-{name}" for name in METHODS if name != "musc"])
def test_batches_and_mixed_classes_change_nothing(detector, samples, method: str) -> None:
    found = detector(method)
    together = found.predict(samples)
    for number, sample in enumerate(samples):
        alone = found.predict([sample])
        torch.testing.assert_close(together.anomaly_map[number], alone.anomaly_map[0], **CLOSE)
        torch.testing.assert_close(together.score[number], alone.score[0], **CLOSE)


def test_several_methods_ride_on_one_pass(detector, samples) -> None:
    methods = [detector("fake-cops"), detector("clip-baseline@vv"), detector("fake-filo")]
    tower = methods[0].tower
    assert len(group_by_pass(methods)) == 1 and all(method.tower is tower for method in methods)
    separate = [method.encode(samples) for method in methods]
    tower.counts.clear()
    shared = encode_together(methods, samples)
    # v-v streams from blocks 1, 1 and 2 of 4: one term per block, although three methods ask for it.
    assert tower.counts["passes"] == 1
    assert tower.counts["attention:vv"] == tower.counts["terms"] == 4
    assert tower.counts["attention:qk"] == tower.counts["blocks"] == 4
    for one, other in zip(shared, separate, strict=True):
        for mine, theirs in zip(one.token_sets, other.token_sets, strict=True):
            torch.testing.assert_close(mine.tokens, theirs.tokens, atol=1e-6, rtol=1e-6)
    with pytest.raises(InputError, match="cannot share"):
        encode_together([methods[0], detector("clip-baseline", "profile.activation=quick_gelu")], samples)


def test_unmet_requirements_are_named(detector) -> None:
    with pytest.raises(InputError, match=r"'fake.weighted'.*'prototypes'.*'fake.synthesis'"):
        detector("fake-cops", "prompt_conditioner=none")
    with pytest.raises(InputError, match=r"'fake.box_filter'.*'auxiliary:boxes'.*'fake.boxes'"):
        detector("fake-filo", "auxiliary=none")
    with pytest.raises(InputError, match="'image_score'"):
        detector("fake-musc", "post_processors-=fake.smooth_scores", "post_processors-=standard.map_maximum")
