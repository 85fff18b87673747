"""The networks that codecs of the erasure sender ask: their states, which are theta, and their predictions, p_O.

A new network of pictures or texts implements these beside its own configuration. Everything they return is exact
(docs/exactness.md): the same integers in any batch, block, thread and on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from bfncodec.coding.cdf import Intervals
from bfncodec.coding.rangecoder import Codes
from bfncodec.runtime.arrays import Array, Bytes, Floats32, Ints32
from bfncodec.runtime.jit import Prepared

if TYPE_CHECKING:  # what codes texts needs no front of pictures
    from bfncodec.networks.convnet.front import StepPixels


class ByteDistribution(Protocol):
    """Distributions of N bytes, which are coded in two symbols each: the high nibble, and the low one behind it."""

    def intervals(self, value: Ints32) -> tuple[Intervals, Intervals]:
        """Return the intervals of the high and of the low nibbles of bytes, int32 [N]. Encoders only."""

    def high(self) -> Floats32:
        """Return the frequencies of the high nibbles, float32 [N, 16]."""

    def low(self, high: Ints32) -> Floats32:
        """Return the frequencies of the low nibbles behind these high ones, float32 [N, 16]."""


class PixelPrediction(Protocol):
    """p_O of N pixels, channel after channel in coding order."""

    def channel(self, k: int) -> ByteDistribution:
        """Return the distribution of the k-th coded channel, once `condition` was called for those before it."""

    def condition(self, k: int, value: Array) -> None:
        """Condition the channels after the k-th on its values, [N]."""


class PixelState(Protocol):
    """The pixels of some pictures that are revealed so far, under the wavefront schedule."""

    def blocks(self) -> Iterator[StepPixels]:
        """Yield all pixels, some steps at a time: one step when decoding."""

    def predict(self, pixels: StepPixels) -> PixelPrediction:
        """Return p_O of pixels, each given what was revealed at steps before its own."""

    def reveal(self, pixels: StepPixels, values: Bytes) -> None:
        """Observe pixels: the receiver's update. values: uint8 [n, 3] RGB, or [n, 1] grey."""


class ReadingState(PixelState, Protocol):
    """A state of a network that `reads`, which goes through whole steps in one call."""

    def read(self, codes: Codes, values: Bytes, threads: int = 1) -> Iterator[int]:
        """Read all pixels from the range codes of the pictures, as `predict`, the coder and `reveal` would by turns.
        Yields how many were read, some steps at a time; until all were or the iterator is closed it has `threads`.

        values: of the pixels of all pictures, uint8 [N, C], are filled. Raises DamagedError for what no encoder writes.
        """

    def intervals(self, pixels: StepPixels, values: Bytes) -> Ints32:
        """Return the intervals of the nibbles of pixels, a channel's high ones before its low ones, as `predict` and
        `condition` would by turns: symbols, the frequencies below these and their own, int32 [3, 2 C, n].

        values: uint8 [n, C], where nothing is wanted but that later pixels can be predicted [n, 0]
        """


class PixelNetwork(Protocol):
    """A network of pictures in integers."""

    reads: bool
    """True where its states are `ReadingState`s."""

    @property
    def memory(self) -> int:
        """Steps before its own that p_O of a pixel depends on."""

    def start(
        self,
        sizes: Sequence[tuple[int, int]],
        block: int,
        single: bool = False,
        *,
        within: tuple[int, int] | None = None,
    ) -> PixelState:
        """Return the state before the first pixel of pictures of these (height, width).

        block: pixels to be worked on at once, in whole steps; single: one step at a time, as a decoder does; within:
        the steps [first, last) whose p_O is wanted, None for all. `blocks` begins with the steps that those depend on.
        """


class SymbolState(Protocol):
    """The symbols of some streams that are revealed so far, under a comb schedule."""

    def predict(self, first: int, last: int) -> Ints32:
        """Return p_O of the steps [first, last), each given the steps before it: int32 [B, (last - first) teeth, 256]
        in step-major order, see :func:`bfncodec.coding.cdf.softmax_frequencies`.
        """

    def reveal(self, first: int, symbols: Bytes) -> None:
        """Observe the symbols of the steps from `first` on: uint8 [B, teeth, k]."""


class IntervalState(SymbolState, Protocol):
    """A state that also finds the coder's intervals where it computes, as is worth it on a GPU."""

    def intervals(self, first: int, last: int) -> Ints32:
        """Return the intervals of the symbols of the steps [first, last), which are revealed, under `predict`: below
        and frequency, int32 [2, B, (last - first) teeth], see :func:`bfncodec.coding.cdf.softmax_intervals`.
        """


class PreparedState(SymbolState, Protocol):
    """A state of compiled kernels, which other kernels may call."""

    def prepare(self, symbols: Bytes, found: Ints32) -> list[Prepared]:
        """Return the calls that reveal the step before one and predict that one, whose number differs.

        symbols: of all steps, uint8 [B, steps]; found: p_O of the step, int32 [B, 256]. Calls read and write them.
        """


class SymbolNetwork(Protocol):
    """A network of texts in integers."""

    def start(self, windows: int, teeth: int, steps: int, block: int = 1) -> SymbolState:
        """Return the state of so many streams, of `teeth` teeth of `steps` symbols each, of which none is revealed.

        block: steps that are predicted at once.
        """


class PreparedNetwork(SymbolNetwork, Protocol):
    """A network of compiled kernels, whose states are `PreparedState`s."""

    @property
    def work(self) -> int:
        """Return the multiplications of a symbol."""
