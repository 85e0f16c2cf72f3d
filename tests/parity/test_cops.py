"""CoPS against its official code, from a checkpoint in the official format and with the same noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity import synthetic
from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.values import Sample
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.cops.options import TUNED
from zsad_plugins.standard.scorers import cosine_logits

pytestmark = pytest.mark.parity


def load(kit: Kit, golden: Golden, folder: Path) -> Detector:
    """Load the golden's method with every choice of the official code."""
    meta = golden.meta
    # The official code switches by the test set; VisA is tested with the weights from MVTec AD.
    method = "cops@mvtec" if "visa" in meta["dataset_flag"] else "cops"
    source, weights = kit.checkpoint(golden), folder / "weights.safetensors"
    convert_checkpoint(get_host(), method, source, weights)
    learned = torch.load(source, weights_only=True)["prompt_learner"]["ctx_pos"].shape[2]
    depth = json.loads(kit.clip_config(golden).read_text())["vision_cfg"]["layers"]
    extent = "batch" if meta["batch_size"] > 1 else "image"
    return kit.detector(
        golden,
        method,
        weights=weights,
        overrides=[
            f"readout.taps={meta['features_list']}",
            f"attention_refiner.start={depth - meta['dpam'] + 1}",
            f"feature_adapter.kernel={meta['neighbour_kernel']}",
            f"prompt_learner.context_tokens={meta['n_ctx'] - meta['prototypes']}",
            f"prompt_learner.state_tokens={meta['prototypes']}",
            f"prompt_learner.class_tokens={learned - meta['n_ctx']}",
            f"prompt_learner.deep_tokens={meta['t_n_ctx']}",
            f"prompt_learner.deep_blocks={meta['depth']}",
            f"prompt_conditioner.prototypes={meta['prototypes']}",
            f"prompt_conditioner.samples={meta['samples']}",
            f"scorer.extent={extent}",
            f"scorer.alpha={meta['alpha']}",
            f"scorer.beta={meta['beta']}",
            "scorer.epsilon=0",
            "scorer.rescaling=every_tap",
            f"post_processors.gaussian.sigma={meta['sigma']}",
        ],
    )


@torch.no_grad()
def arrays(detector: Detector, samples: list[Sample], noise: Tensor) -> dict[str, Tensor]:
    """Return the golden's arrays for a batch of images, [B, ...], from noise [B, S, C]."""
    synthesis, scorer = detector.part("prompt_conditioner"), detector.part("scorer")
    synthesis.use_noise(noise)
    features = detector.encode(samples)
    adapted = detector.adapt(features)
    conditioning = detector.condition(adapted)
    assert conditioning is not None and conditioning.raw is not None
    text = conditioning.text_features
    single = torch.nn.functional.normalize(conditioning.raw, dim=-1).unflatten(1, (2, -1))
    weights = scorer.weights(adapted, conditioning)[..., None]
    prediction, stages = detector.score(features), dict(detector.stages(features))
    raw = stages["standard.fuse"].map
    assert raw is not None
    final = prediction.anomaly_map
    return {
        "cls_features": features.image_feature,
        "patch_features_sub": torch.stack([entry.tokens[:, ::8] for entry in features.token_sets], 1),
        "patch_features_avg_sub": torch.stack([entry.tokens[:, ::8] for entry in adapted.token_sets], 1),
        "prototypes_normal": conditioning.intermediates["prototypes.normal"],
        "prototypes_abnormal": conditioning.intermediates["prototypes.abnormal"],
        "vae_bias": synthesis.decoder(noise)[..., ::4],
        "text_features_all": single[..., ::4],
        "text_features": text,
        "patch_cos": torch.stack([cosine_logits(entry.tokens, text, 1.0) for entry in adapted.token_sets], 1),
        "patch_prob_weighted": (scorer.probabilities(adapted, conditioning) * weights).transpose(0, 1),
        "image_cos": cosine_logits(features.image_feature[:, None], text, 1.0),
        "pixel_map_raw_sub": raw[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }


@pytest.mark.goldens("CoPS")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    meta = golden.meta
    detector = load(kit, golden, tmp_path)
    samples = detector.samples(kit.image_paths)
    # [batches, S, B, C]: the official code flattens (S, B) and gives row r to image r // S.
    noise = torch.from_numpy(golden.arrays["noise_z"]).to(DEVICE).flatten(0, 2)
    noise = noise.unflatten(0, (len(samples), meta["samples"]))
    # Official batches of one are any batch here.
    size = meta["batch_size"] if meta["batch_size"] > 1 else len(samples)
    batches = [
        arrays(detector, samples[low : low + size], noise[low : low + size])
        for low in range(0, len(samples), size)
    ]
    mine = {name: torch.cat([batch[name] for batch in batches]).cpu().numpy() for name in batches[0]}
    mine["vae_bias"] = mine["vae_bias"].reshape(golden.arrays["vae_bias"].shape)
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)), inputs=["noise_z"])


@pytest.mark.goldens("CoPS")
def test_the_official_switch_is_the_recipes(golden: Golden) -> None:
    tuned = TUNED["mvtec" if "visa" in golden.meta["dataset_flag"] else "visa"]
    assert tuned == {
        "kernel": golden.meta["neighbour_kernel"],
        "alpha": golden.meta["alpha"],
        "beta": golden.meta["beta"],
    }


@pytest.mark.goldens("CoPS")
def test_generated_checkpoint_is_the_one_the_golden_was_computed_with(kit: Kit, golden: Golden) -> None:
    (state,) = torch.load(kit.checkpoint(golden), weights_only=True).values()
    (generated,) = synthetic.cops_checkpoint(
        kit.clip_state(golden), golden.meta["seed"], golden.meta
    ).values()
    assert generated.keys() == state.keys()
    for key, value in generated.items():
        assert value.dtype == state[key].numpy().dtype
        np.testing.assert_array_equal(value, state[key].numpy())
    # Kits with a checkpoint of their own need no digest of it.
    if "COPS" in kit.manifest["weights"]:
        assert synthetic.digest(generated) == kit.manifest["weights"]["COPS"]
