"""What the heads read of the two streams (paper, section 3.3; its code's taps are stored by reference)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest
from zsad.values import Stage
from zsad_plugins.filo.options import TapOptions

ORDINARY, LOCAL = "ordinary", "local"
"""First words of the names of token sets: which stream they were read from."""


@dataclass(frozen=True)
class Taps:
    """The first tap of the ordinary stream, then the local and the ordinary stream of each further tap."""

    request_: VisionRequest

    def request(self) -> VisionRequest:
        """Return the taps."""
        return self.request_


def named_taps(taps: tuple[int, ...], stream: Stream, stage: Stage) -> Iterator[TokenRequest]:
    """Yield what the taps are called: O_l, and D_l behind the first one."""
    for number, block in enumerate(taps):
        if number:
            yield TokenRequest(f"{LOCAL}.{block}", block, stream, stage=stage)
        yield TokenRequest(f"{ORDINARY}.{block}", block, stage=stage)


def aliased_taps(taps: tuple[int, ...], stream: Stream, stage: Stage, depth: int) -> Iterator[TokenRequest]:
    """Yield what the published code reads instead, because later blocks add to stored tensors in place.

    The local stream goes on in the tensor that it started from: every local tap, and the ordinary one of the
    block before ``start``, end as D_depth. The ordinary stream's attention of the next block is added to the
    tensor of a tap as well, its MLP is not.
    """
    for request in named_taps(taps, stream, stage):
        name, block = request.name, request.block
        if request.stream is not None or block == stream.start - 1:
            yield TokenRequest(name, depth, stream, stage=stage)
        elif stream.start <= block < depth:
            yield TokenRequest(name, block + 1, point="attention", stage=stage)
        else:
            yield request


def build(options: TapOptions, context: BuildContext) -> Taps:
    """Build the request for a tower's depth and taps.

    Raises:
        InputError: Fewer than two taps, or the local stream does not start between the first two.
    """
    taps = context.taps
    if len(taps) < 2 or list(taps) != sorted(set(taps)):
        raise InputError(f"readout.taps {list(taps)} have to be at least two blocks in ascending order")
    start = taps[0] + 1 if options.start is None else options.start.resolve(context.depth)
    if not taps[0] < start <= taps[1]:
        raise InputError(
            f"start {start} has to lie behind the first tap, {taps[0]}, and not behind the second, {taps[1]}"
        )
    stream = Stream(start, SelfAttention(("vv",)))
    if options.aliased:
        found = aliased_taps(taps, stream, context.stage, context.depth)
    else:
        found = named_taps(taps, stream, context.stage)
    return Taps(VisionRequest(tuple(found)))
