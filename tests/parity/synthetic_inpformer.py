"""Learned parameters of INP-Former by the kit's rule; see :mod:`tests.parity.synthetic`."""

from __future__ import annotations

from tests.parity.synthetic import State, draw

SPACE = "inpformer/"
DECODER_BLOCKS = 8


def inpformer_parameters(width: int, heads: int, prototypes: int, seed: int) -> State:
    """Return queries, bottleneck, aggregation block and decoder under the names of the authors' checkpoint.

    Args:
        width: Channels of the encoder.
        heads: Attention heads.
        prototypes: Queries.
        seed: The kit's seed.
    """
    state: State = {"prototype_token": draw(f"{SPACE}prototype_token", (prototypes, width), seed, 1.0)}
    state |= _layer("bottleneck.0.fc1", 4 * width, width, seed)
    state |= _layer("bottleneck.0.fc2", width, 4 * width, seed)
    for block in ("aggregation.0", *(f"decoder.{number}" for number in range(DECODER_BLOCKS))):
        for norm in (f"{block}.norm1", f"{block}.norm2"):
            state[f"{norm}.weight"] = draw(f"{SPACE}{norm}.weight", (width,), seed, 0.1, 1.0)
            state[f"{norm}.bias"] = draw(f"{SPACE}{norm}.bias", (width,), seed, 0.05)
        if block.startswith("decoder"):
            scale = f"{block}.attn.learn_scale"
            state[scale] = draw(SPACE + scale, (heads, 1, 1), seed, 0.1, 1.0)
        for name, outputs, inputs in (
            ("attn.q", width, width), ("attn.kv", 2 * width, width), ("attn.proj", width, width),
            ("mlp.fc1", 4 * width, width), ("mlp.fc2", width, 4 * width),
        ):  # fmt: skip
            state |= _layer(f"{block}.{name}", outputs, inputs, seed)
    return state


def _layer(name: str, outputs: int, inputs: int, seed: int) -> State:
    weight, bias = f"{name}.weight", f"{name}.bias"
    return {
        weight: draw(SPACE + weight, (outputs, inputs), seed, inputs**-0.5),
        bias: draw(SPACE + bias, (outputs,), seed, 0.05),
    }
