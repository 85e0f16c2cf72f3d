"""Learned parameters of VisualAD, AA-CLIP and FAPrompt by the kit's rule; see :mod:`synthetic`.

Large matrices are *windows*: element [..., i, j] is v[29 i + j] of one random vector v.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tests.parity.synthetic import DAMAGED, END, FULL_STOP, OBJECT, START, Array, State, draw

STRIDE = 29
WORD_N, WORD_A = 333, 320
"""CLIP's token ids of "n" and "a", which hold the places of learned tokens in FAPrompt's sentences."""


def draw_matrix(key: str, shape: Sequence[int], seed: int, scale: float) -> Array:
    """Return a matrix, or several equal ones on leading axes, whose rows are windows of one random vector."""
    *lead, rows, columns = shape
    vector = draw(key, ((rows - 1) * STRIDE + columns,), seed, scale)
    places = STRIDE * np.arange(rows)[:, None] + np.arange(columns)
    return np.broadcast_to(vector[places], (*lead, rows, columns)).copy()


def _weight(space: str, key: str, shape: Sequence[int], seed: int, gain: float = 1.0) -> Array:
    return draw_matrix(space + key, shape, seed, gain * shape[-1] ** -0.5)


def _norm(space: str, prefix: str, width: int, seed: int) -> State:
    weight, bias = f"{prefix}.weight", f"{prefix}.bias"
    return {
        weight: draw(space + weight, (width,), seed, 0.1, 1.0),
        bias: draw(space + bias, (width,), seed, 0.05),
    }


def visualad_parameters(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> State:
    """Return VisualAD's learned parameters; a slash stands between the entries of its nested checkpoint.

    Args:
        clip: The CLIP's weights they belong to.
        seed: The kit's seed.
        options: ``features_list`` and ``num_anchors``, as a golden's meta has them.
    """
    space, width, anchors = "visualad/", clip["visual.proj"].shape[0], options["num_anchors"]
    state: State = {
        key: draw(space + key, (width,), seed, scale, shift)
        for key, scale, shift in (
            ("anomaly_token", 1.0, 0.0),
            ("normal_token", 1.0, 0.0),
            ("ln_post_weight", 0.1, 1.0),
            ("ln_post_bias", 0.05, 0.0),
        )
    }
    for tap in options["features_list"]:
        for number in (0, 3):
            prefix = f"layer_transforms/layer_{tap}/mlp.{number}"
            state[f"{prefix}.weight"] = _weight(space, f"{prefix}.weight", (width, width), seed)
            state[f"{prefix}.bias"] = draw(f"{space}{prefix}.bias", (width,), seed, 0.05)
    for tap in options["features_list"]:
        prefix = f"cross_attn/layer_attentions.layer_{tap}."
        anchor, place, residual = (f"{prefix}{n}" for n in ("anchor_queries", "pos_encoding", "res_scale"))
        gate, bias = (f"{prefix}gate.0.{leaf}" for leaf in ("weight", "bias"))
        state[anchor] = draw(space + anchor, (anchors, width), seed, 0.5)
        state[place] = draw_matrix(space + place, (1, 1536, width), seed, 0.5)
        state[residual] = draw(space + residual, (1,), seed, 0.1, 0.8)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            key = f"{prefix}{name}.weight"
            state[key] = _weight(space, key, (width, width), seed)
        state[f"{prefix}out_proj.bias"] = draw(f"{space}{prefix}out_proj.bias", (width,), seed, 0.05)
        for name in ("q_norm", "k_norm"):
            state |= _norm(space, f"{prefix}{name}", width, seed)
        state[gate] = draw(space + gate, (anchors, width), seed, width**-0.5)
        state[bias] = draw(space + bias, (anchors,), seed, 0.05)
    return state


def visualad_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of VisualAD's checkpoint file, as arrays."""
    content: dict[str, Any] = {
        "features_list": list(options["features_list"]),
        "backbone": "ViT-L/14@336px",
        "layer_transforms": {},
        "cross_attn": {},
    }
    for key, value in visualad_parameters(clip, seed, options).items():
        entry, _, rest = key.partition("/")
        if not rest:
            content[key] = value
        elif entry == "cross_attn":
            content[entry][rest] = value
        else:
            tap, _, name = rest.partition("/")
            content[entry].setdefault(tap, {})[name] = value
    return content


def aaclip_parameters(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> State:
    """Return AA-CLIP's learned parameters, ``image_adapter/...`` and ``text_adapter/...``.

    Args:
        clip: The CLIP's weights they belong to.
        seed: The kit's seed.
        options: ``features_list``, ``image_adapt_until`` and ``text_adapt_until``, as a golden's meta has
            them.
    """
    (vision, joint), text = clip["visual.proj"].shape, clip["text_projection"].shape[0]
    image, last = options["image_adapt_until"], options["text_adapt_until"]
    shapes: dict[str, tuple[int, int]] = {
        **{f"image_adapter/layer_adapters.{i}.fc.0.weight": (vision, vision) for i in range(image)},
        **{
            f"image_adapter/seg_proj.{i}.fc.weight": (joint, vision)
            for i in range(len(options["features_list"]))
        },
        "image_adapter/det_proj.fc.weight": (joint, vision),
        **{f"text_adapter/{i}.fc.0.weight": (text, text) for i in range(last)},
        f"text_adapter/{last}.fc.0.weight": (joint, text),
    }
    return {key: _weight("aaclip/", key, shape, seed) for key, shape in shapes.items()}


def aaclip_checkpoint(
    part: str, clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of one of AA-CLIP's two files, ``image`` or ``text``, as arrays."""
    entry = f"{part}_adapter"
    own = {
        key.partition("/")[2]: value
        for key, value in aaclip_parameters(clip, seed, options).items()
        if key.startswith(entry)
    }
    return {"epoch": 1, entry: own, f"{part}_optimizer": {}}


def faprompt_parameters(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> State:
    """Return FAPrompt's learned parameters, with the dead weights and buffers of its files.

    Args:
        clip: The CLIP's weights they belong to.
        seed: The kit's seed.
        options: ``n_ctx_pos``, ``n_ctx_neg``, ``n_neg_prompts``, ``selected_patches``, ``t_n_ctx`` and
            ``depth``, as a golden's meta has them.
    """
    space, table = "faprompt/", clip["token_embedding.weight"]
    width, patches, count = table.shape[1], options["selected_patches"], options["n_neg_prompts"]
    common, own = options["n_ctx_pos"], options["n_ctx_neg"]
    inputs, hidden = patches * width, patches * width // 16
    net = "patch_meta_net.linear"
    state: State = {
        "ctx_pos": draw(f"{space}ctx_pos", (1, 1, common, width), seed, 0.02),
        "ctx_neg": draw(f"{space}ctx_neg", (1, count, own, width), seed, 0.02),
        f"{net}1.weight": _weight(space, f"{net}1.weight", (hidden, inputs), seed, 10.0),
        f"{net}1.bias": draw(f"{space}{net}1.bias", (hidden,), seed, 0.05),
        f"{net}2.weight": _weight(space, f"{net}2.weight", (width, hidden), seed, 0.05),
        f"{net}2.bias": draw(f"{space}{net}2.bias", (width,), seed, 0.005),
    }
    for number in range(options["depth"] - 1):
        key = f"compound_prompts_text.{number}"
        state[key] = draw(space + key, (options["t_n_ctx"], width), seed, 0.02)
        dead = f"compound_prompt_projections.{number}"
        state[f"{dead}.weight"] = _weight(space, f"{dead}.weight", (896, width), seed)
        state[f"{dead}.bias"] = draw(f"{space}{dead}.bias", (896,), seed, 0.05)
    normal = [START, *[WORD_N] * common, OBJECT, FULL_STOP, END]
    abnormal = [START, *[WORD_N] * common, *[WORD_A] * own, DAMAGED, OBJECT, FULL_STOP, END]
    for side, sentence, places, number in (
        ("pos", normal, common, 1),
        ("neg", abnormal, common + own, count),
    ):
        ids = np.asarray(sentence + [0] * (77 - len(sentence)), np.int64)
        embedded = np.repeat(table[ids][None, None], number, axis=1)
        state[f"token_prefix_{side}"] = embedded[:, :, :1]
        state[f"token_suffix_{side}"] = embedded[:, :, 1 + places :]
        state[f"tokenized_prompts_{side}"] = np.repeat(ids.astype(np.int32)[None, None], number, axis=1)
    return state


def faprompt_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of FAPrompt's checkpoint file, as arrays."""
    return {"prompt_learner": faprompt_parameters(clip, seed, options)}


CHECKPOINTS: dict[str, Callable[[Mapping[str, Array], int, Mapping[str, Any]], dict[str, Any]]] = {
    "visualad": visualad_checkpoint,
    "aaclip_text_adapter": partial(aaclip_checkpoint, "text"),
    "aaclip_image_adapter_20": partial(aaclip_checkpoint, "image"),
    "faprompt": faprompt_checkpoint,
}
"""What writes a method's checkpoint, by the file's stem: (CLIP state, seed, a golden's meta) -> content."""

PARAMETERS: dict[str, Callable[[Mapping[str, Array], int, Mapping[str, Any]], State]] = {
    "visualad": visualad_parameters,
    "aaclip": aaclip_parameters,
    "faprompt": faprompt_parameters,
}
"""The parameters by the name of their digest in a manifest."""
