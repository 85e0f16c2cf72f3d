"""The synthetic weights that the parity kit's numbers were computed with.

A tensor is a function of its seed, its key and its shape alone. The text ``SEED|KEY`` is hashed by sha256,
the first 16 bytes of the digest (little-endian) seed numpy's PCG64, and standard normal float64 values are
drawn, scaled and shifted by a rule that goes by the kind of tensor, and rounded to float32. Parameter sets
other than CLIP's put a name space before the key. The values of a CLIP are rounded to float16 as well, like
those that OpenAI published, so that a loader which passes them through half precision changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
State = dict[str, Array]

START, END, FULL_STOP = 49406, 49407, 269
PLACEHOLDER, OBJECT, DAMAGED = 343, 14115, 13568
"""CLIP's token ids of "x", "object" and "damaged"."""

TINY_DINO: dict[str, int] = {
    "image_size": 168,
    "patch_size": 14,
    "width": 192,
    "layers": 4,
    "mlp_ratio": 4,
    "registers": 4,
}
"""The kit's DINOv2 with registers (heads of 64 channels)."""


def draw(key: str, shape: Sequence[int], seed: int, scale: float, shift: float = 0.0) -> Array:
    """Return the float32 tensor of a key: standard normal, times ``scale``, plus ``shift``."""
    entropy = hashlib.sha256(f"{seed}|{key}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(entropy, "little")))
    values = generator.standard_normal(tuple(shape)) * scale + shift
    return np.asarray(values, dtype=np.float32)


def draw_layer(key: str, shape: Sequence[int], seed: int) -> Array:
    """Return a parameter of an ordinary layer: a norm, a bias, or a linear or convolution weight."""
    *owners, leaf = key.split(".")
    norm = bool(owners) and owners[-1].startswith(("ln_", "norm"))
    if norm and leaf == "weight":
        return draw(key, shape, seed, 0.1, 1.0)
    if norm or leaf.endswith("bias"):
        return draw(key, shape, seed, 0.05)
    return draw(key, shape, seed, math.prod(shape[1:]) ** -0.5)


def digest(state: Mapping[str, Array]) -> str:
    """Return the sha256 over name, dtype, shape and bytes of each tensor, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(state):
        value = np.ascontiguousarray(state[name])
        total.update(f"{name}{value.dtype}{value.shape}".encode() + value.tobytes())
    return total.hexdigest()


def clip_state_dict(config: Mapping[str, Any], seed: int) -> State:
    """Return a CLIP's weights under the keys of OpenAI and open_clip.

    Args:
        config: A model config in open_clip's JSON form, of a ViT with heads of any number.
        seed: The kit's seed.
    """
    special = {
        "positional_embedding": 0.01,
        "token_embedding.weight": 0.02,
        # Large, so that a wrong interpolation shows at once.
        "visual.positional_embedding": 0.5,
        "visual.class_embedding": 1.0,
        # Stored input first, so the fan-in is the first axis.
        "text_projection": config["text_cfg"]["width"] ** -0.5,
        "visual.proj": config["vision_cfg"]["width"] ** -0.5,
    }
    state: State = {"logit_scale": np.asarray(math.log(100.0), dtype=np.float32)}
    for key, shape in _clip_shapes(config).items():
        state[key] = draw(key, shape, seed, special[key]) if key in special else draw_layer(key, shape, seed)
    return {key: value.astype(np.float16).astype(np.float32) for key, value in state.items()}


def _clip_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    vision, text, joint = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    width, patch = vision["width"], vision["patch_size"]
    return {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (1 + (vision["image_size"] // patch) ** 2, width),
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.proj": (width, joint),
        **_norm_shapes("visual.ln_pre", width),
        **_norm_shapes("visual.ln_post", width),
        **_transformer_shapes("visual.transformer", vision["layers"], width),
        "token_embedding.weight": (text["vocab_size"], text["width"]),
        "positional_embedding": (text["context_length"], text["width"]),
        "text_projection": (text["width"], joint),
        **_norm_shapes("ln_final", text["width"]),
        **_transformer_shapes("transformer", text["layers"], text["width"]),
    }


def _transformer_shapes(prefix: str, layers: int, width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(layers):
        block = f"{prefix}.resblocks.{number}"
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * width, width),
            f"{block}.attn.in_proj_bias": (3 * width,),
            **_linear_shapes(f"{block}.attn.out_proj", width, width),
            **_linear_shapes(f"{block}.mlp.c_fc", 4 * width, width),
            **_linear_shapes(f"{block}.mlp.c_proj", width, 4 * width),
            **_norm_shapes(f"{block}.ln_1", width),
            **_norm_shapes(f"{block}.ln_2", width),
        }
    return shapes


def _linear_shapes(prefix: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def _norm_shapes(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def dino_state_dict(config: Mapping[str, int], seed: int) -> State:
    """Return the weights of a DINOv2 with registers under the official key names; see ``TINY_DINO``."""
    width, patch = config["width"], config["patch_size"]
    tokens = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + (config["image_size"] // patch) ** 2, width),
        "register_tokens": (1, config["registers"], width),
        "mask_token": (1, width),
    }
    layers = {
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **_norm_shapes("norm", width),
    }
    gains: dict[str, tuple[int, ...]] = {}
    hidden = width * config["mlp_ratio"]
    for number in range(config["layers"]):
        block = f"blocks.{number}"
        layers |= {
            **_norm_shapes(f"{block}.norm1", width),
            **_linear_shapes(f"{block}.attn.qkv", 3 * width, width),
            **_linear_shapes(f"{block}.attn.proj", width, width),
            **_norm_shapes(f"{block}.norm2", width),
            **_linear_shapes(f"{block}.mlp.fc1", hidden, width),
            **_linear_shapes(f"{block}.mlp.fc2", width, hidden),
        }
        gains |= {f"{block}.ls{half}.gamma": (width,) for half in (1, 2)}
    space = "dino/"
    return {
        **{key: draw(space + key, shape, seed, 0.5) for key, shape in tokens.items()},
        **{key: draw(space + key, shape, seed, 0.1, 0.5) for key, shape in gains.items()},
        **{key: draw_layer(space + key, shape, seed) for key, shape in layers.items()},
    }


def draw_linear(space: str, prefix: str, outputs: int, inputs: int, seed: int, gain: float = 1.0) -> State:
    """Return weight and bias of a learned linear layer; ``gain`` scales both."""
    weight, bias = f"{prefix}.weight", f"{prefix}.bias"
    return {
        weight: draw(space + weight, (outputs, inputs), seed, gain * inputs**-0.5),
        bias: draw(space + bias, (outputs,), seed, 0.05 * gain),
    }


def dual_prompts(
    space: str, token_embedding: Array, seed: int, *, context: int, depth: int, deep_tokens: int
) -> State:
    """Return a pair of object-agnostic prompts with deep text prompts, in the form of its checkpoints.

    Args:
        space: Name space of the random values.
        token_embedding: [vocabulary, D] of the CLIP it belongs to; checkpoints hold the rows of the two
            sentences' fixed tokens.
        seed: The kit's seed.
        context: Learned context tokens.
        depth: Text blocks with learned tokens, the first included; so there are ``depth - 1`` deep sets.
        deep_tokens: Tokens in a deep set.
    """
    width = token_embedding.shape[1]
    state = {
        f"ctx_{side}": draw(f"{space}ctx_{side}", (1, 1, context, width), seed, 0.02)
        for side in ("pos", "neg")
    }
    for number in range(depth - 1):
        key = f"compound_prompts_text.{number}"
        state[key] = draw(space + key, (deep_tokens, width), seed, 0.02)
    for side, words in (("pos", [OBJECT]), ("neg", [DAMAGED, OBJECT])):
        ids = np.zeros(77, dtype=np.int32)
        sentence = [START, *[PLACEHOLDER] * context, *words, FULL_STOP, END]
        ids[: len(sentence)] = sentence
        embedded = token_embedding[ids][None, None]
        state[f"token_prefix_{side}"] = embedded[:, :, :1]
        state[f"token_suffix_{side}"] = embedded[:, :, 1 + context :]
        state[f"tokenized_prompts_{side}"] = ids[None, None]
    return state


def anomalyclip_prompt_learner(token_embedding: Array, seed: int, options: Mapping[str, Any]) -> State:
    """Return AnomalyCLIP's learned parameters.

    Args:
        token_embedding: [vocabulary, D] of the CLIP they belong to.
        seed: The kit's seed.
        options: ``n_ctx``, ``depth`` and ``t_n_ctx``, as a golden's meta has them.
    """
    space, width = "anomalyclip/", token_embedding.shape[1]
    depth = options["depth"]
    state = dual_prompts(
        space,
        token_embedding,
        seed,
        context=options["n_ctx"],
        depth=depth,
        deep_tokens=options["t_n_ctx"],
    )
    for number in range(depth - 1):  # published files carry these projections; nothing reads them
        state |= draw_linear(space, f"compound_prompt_projections.{number}", 896, width, seed)
    return state


def anomalyclip_checkpoint(
    clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]
) -> dict[str, State]:
    """Return the content of AnomalyCLIP's checkpoint file, as arrays; see :data:`CHECKPOINTS`."""
    return {"prompt_learner": anomalyclip_prompt_learner(clip["token_embedding.weight"], seed, options)}


COPS_CLASS_TOKENS = 2
"""Learned tokens of CoPS behind the ``n_ctx`` that a golden's meta counts."""


def cops_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, State]:
    """Return the content of CoPS's checkpoint file, as arrays; see :data:`CHECKPOINTS`.

    Args:
        clip: The CLIP's weights, whose token embedding gives the width.
        seed: The kit's seed.
        options: ``n_ctx`` (without the two class tokens), ``depth`` (of the deep sets), ``t_n_ctx`` and
            ``prototypes``, as a golden's meta has them.
    """
    space, width = "cops/", clip["token_embedding.weight"].shape[1]
    context = options["n_ctx"] + COPS_CLASS_TOKENS
    learned: dict[str, tuple[int, ...]] = {
        **{f"ctx_{side}": (1, 1, context, width) for side in ("pos", "neg")},
        **{f"t_{state}": (options["prototypes"], width) for state in ("n", "a")},
        **{f"compound_prompts_text.{i}": (options["t_n_ctx"], width) for i in range(options["depth"])},
    }
    state = {key: draw(space + key, shape, seed, 0.02) for key, shape in learned.items()}
    attention = "extractor.attn.in_proj_"
    state[f"{attention}weight"] = draw(f"{space}{attention}weight", (3 * width, width), seed, width**-0.5)
    state[f"{attention}bias"] = draw(f"{space}{attention}bias", (3 * width,), seed, 0.05)
    for norm in ("extractor.ln_1", "extractor.ln_2"):
        for key, shape in _norm_shapes(norm, width).items():
            state[key] = draw_layer(space + key, shape, seed)
    gains = {
        "extractor.attn.out_proj": 0.2,
        "extractor.mlp.c_fc": 1.0,
        "extractor.mlp.c_proj": 0.2,
        "vae_decoder.net.0": 1.0,
        "vae_decoder.net.2": 0.1,
    }
    for prefix, gain in gains.items():
        state |= draw_linear(space, prefix, width, width, seed, gain)
    return {"prompt_learner": state}


def crane_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, State]:
    """Return the content of Crane's and Crane+'s checkpoint file, as arrays; see :data:`CHECKPOINTS`."""
    prompts = dual_prompts(
        "crane/",
        clip["token_embedding.weight"],
        seed,
        context=options["n_ctx"],
        depth=options["depth"],
        deep_tokens=options["t_n_ctx"],
    )
    return {"prompt_learner": prompts}


def aprilgan_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, State]:
    """Return the content of APRIL-GAN's checkpoint file, as arrays; see :data:`CHECKPOINTS`."""
    width, joint = clip["visual.proj"].shape
    state: State = {}
    for number in range(len(options["features_list"])):
        state |= draw_linear("aprilgan/", f"fc.{number}", joint, width, seed)
    return {"trainable_linearlayer": state}


def adaclip_parameters(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> State:
    """Return AdaCLIP's learned parameters; its checkpoint file holds them without an entry around them.

    Args:
        clip: The CLIP's weights they belong to.
        seed: The kit's seed.
        options: ``features_list``, ``prompting_depth`` and ``prompting_length``, as a golden's meta has them.
    """
    space, prefix = "adaclip/", "clip_model."
    visual, text = clip["visual.proj"].shape[0], clip["text_projection"].shape[0]
    length = options["prompting_length"]
    state: State = {}
    for number in range(options["prompting_depth"]):
        for tower, width, scale in (("text", text, 0.02), ("visual", visual, 0.5)):
            key = f"{prefix}{tower}_prompter.static_prompts.{number}"
            state[key] = draw(space + key, (length, width), seed, scale)
    for number in range(len(options["features_list"])):
        state |= draw_linear(space, f"{prefix}patch_token_layer.head.{number}", text, visual, seed)
    state |= draw_linear(space, f"{prefix}cls_token_layer.head.0", text, text, seed)
    for number in range(length):
        for tower, width, gain in (("visual", visual, 0.5), ("text", text, 0.02)):
            name = f"{prefix}dynamic_{tower}_prompt_generator.head.{number}"
            state |= draw_linear(space, name, width, text, seed, gain)
    return state


FILO_KERNELS = {"11": (1, 1), "33": (3, 3), "55": (5, 5), "77": (7, 7), "51": (5, 1), "15": (1, 5)}
"""Height and width of FiLo's parallel kernels by their names."""


def draw_window(key: str, shape: Sequence[int], seed: int, scale: float) -> Array:
    """Return a convolution kernel whose entries are overlapping windows of one short random vector."""
    steps = (101, 29, 7, 1)
    places = np.zeros((), dtype=np.int64)
    for size, step in zip(shape, steps, strict=True):
        places = places[..., None] + np.arange(size) * step
    return draw(key, (int(places.max()) + 1,), seed, scale)[places]


def filo_checkpoint(clip: Mapping[str, Array], seed: int, options: Mapping[str, Any]) -> dict[str, State]:
    """Return the content of FiLo's checkpoint file, as arrays; see :data:`CHECKPOINTS`.

    Args:
        clip: The CLIP's weights, which give the widths.
        seed: The kit's seed.
        options: ``features_list`` (a convolution per tap but the first) and ``n_ctx``.
    """
    space, taps = "filo/", len(options["features_list"])
    width, joint = clip["visual.proj"].shape
    state: State = {}
    for number in range(taps):
        state |= draw_linear(space, f"decoder_linear.fc.{number}", joint, width, seed)
    for name, sides in FILO_KERNELS.items():
        for number in range(taps - 1):
            weight, bias = (f"decoder_cov.fc_{name}.{number}.{leaf}" for leaf in ("weight", "bias"))
            scale = (width * math.prod(sides)) ** -0.5
            state[weight] = draw_window(space + weight, (joint, width, *sides), seed, scale)
            state[bias] = draw(space + bias, (joint,), seed, 0.05)
    inner, half = joint // 16, joint // 2
    for learner in ("normal_prompt_learner", "abnormal_prompt_learner"):
        context = f"{learner}.ctx"
        state[context] = draw(space + context, (options["n_ctx"], joint), seed, 0.02)
        state |= draw_linear(space, f"{learner}.meta_net.linear1", inner, joint, seed, 4.0)
        state |= draw_linear(space, f"{learner}.meta_net.linear2", joint, inner, seed, 0.02)
    for key, shape in (("adapter.fc.0.weight", (half, joint)), ("adapter.fc.2.weight", (joint, half))):
        state[key] = draw(space + key, shape, seed, shape[1] ** -0.5)
    return {"filo": state}


CHECKPOINTS = {
    "anomalyclip": anomalyclip_checkpoint,
    "cops": cops_checkpoint,
    "crane": crane_checkpoint,
    "aprilgan": aprilgan_checkpoint,
    "filo": filo_checkpoint,
}
"""What writes a method's checkpoint, by the file's stem: (CLIP state, seed, a golden's meta) -> content."""
