"""What the heads read of the two streams (paper, section 3.3; its code's taps are stored by reference)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest
from zsad.values import Stage
from zsad_plugins.filo.options import TapOptions

ORDINARY, LOCAL = "ordinary", "local"
"""First words of the names of token sets: which stream they were read from."""


def taps(options: TapOptions, context: BuildContext) -> VisionRequest:
    """Read the first tap of the ordinary stream, then the local and the ordinary stream of each further tap.

    Raises:
        InputError: Fewer than two taps, or the local stream does not start between the first two.
    """
    blocks, stage = context.taps, context.stage
    if len(blocks) < 2 or list(blocks) != sorted(set(blocks)):
        raise InputError(f"readout.taps {list(blocks)} have to be at least two blocks in ascending order")
    start = blocks[0] + 1 if options.start is None else options.start.resolve(context.depth)
    if not blocks[0] < start <= blocks[1]:
        raise InputError(
            f"start {start} has to lie behind the first tap, {blocks[0]}, and not behind the second, "
            f"{blocks[1]}"
        )
    stream = Stream(start, SelfAttention(("vv",)))
    if options.aliased:
        return VisionRequest(tuple(aliased_taps(blocks, stream, stage, context.depth)))
    return VisionRequest(tuple(named_taps(blocks, stream, stage)))


def named_taps(blocks: tuple[int, ...], stream: Stream, stage: Stage) -> Iterator[TokenRequest]:
    """Yield what the taps are called: O_l, and D_l behind the first one."""
    for number, block in enumerate(blocks):
        if number:
            yield TokenRequest(f"{LOCAL}.{block}", block, stream, stage=stage)
        yield TokenRequest(f"{ORDINARY}.{block}", block, stage=stage)


def aliased_taps(blocks: tuple[int, ...], stream: Stream, stage: Stage, depth: int) -> Iterator[TokenRequest]:
    """Yield what the published code reads instead, because later blocks add to stored tensors in place.

    The local stream goes on in the tensor that it started from: every local tap, and the ordinary one of the
    block before ``start``, end as D_depth. The ordinary stream's attention of the next block is added to the
    tensor of a tap as well, its MLP is not.
    """
    for request in named_taps(blocks, stream, stage):
        name, block = request.name, request.block
        if request.stream is not None or block == stream.start - 1:
            yield TokenRequest(name, depth, stream, stage=stage)
        elif stream.start <= block < depth:
            yield TokenRequest(name, block + 1, point="attention", stage=stage)
        else:
            yield request
