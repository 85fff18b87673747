"""A :class:`bfncodec.coding.mixing.mixer.ContextMixer` that runs in kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bfncodec.coding.bitcoder import BitDecoder, BitEncoder
from bfncodec.coding.bitwriter import CompiledBitEncoder
from bfncodec.coding.mixing.compiled.learning import update
from bfncodec.coding.mixing.compiled.prediction import condition, predict
from bfncodec.coding.mixing.compiled.steps import begin, decode, encode, end, keep, open_step, read_step
from bfncodec.coding.mixing.compiled.workspace import new_lookups, new_workspace, padded
from bfncodec.coding.mixing.dictionary import Dictionary
from bfncodec.coding.mixing.mixer import ContextMixer, Read
from bfncodec.coding.mixing.phrases import Phrases
from bfncodec.coding.mixing.state import BITS, CONTEXTS, SYMBOLS, Contexts
from bfncodec.coding.rangecoder import PRECISION, SymbolSource, damaged
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Bytes, Ints, Ints32
from bfncodec.runtime.jit import Prepared, flat


class PreparedMixer(NamedTuple):
    """The calls of a mixer's steps.

    Attributes
    ----------
    before
        Of each step, those that need not wait for the network.
    after
        Those that do; the result of the first is whether an encoder may have written what it read.
    end
        The one that follows the last step, after which the mixer has learned all.
    """

    before: list[Prepared]
    after: list[Prepared]
    end: Prepared


class CompiledMixer(ContextMixer):
    """A `ContextMixer` whose arrays are updated by kernels."""

    def __init__(
        self,
        size: int,
        streams: int,
        contexts: Contexts = CONTEXTS,
        phrases: Phrases | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        super().__init__(size, streams, contexts, phrases, dictionary)
        weights = padded(self.state.weights)
        self.state = self.state._replace(weights=weights[:, : self.state.weights.shape[1]])
        self._work = new_workspace(self.state, streams)
        self._arrays = flat(self.state), flat(new_lookups(self.state, weights)), flat(self._work)

    @staticmethod
    def encoder() -> BitEncoder:
        """Implements `ContextMixer.encoder`."""
        return CompiledBitEncoder()

    def encode(self, weight: Ints32, streams: Ints, symbols: Ints) -> Ints:
        """Implements `ContextMixer.encode`."""
        edges = np.array([0, len(streams)])
        return self.encode_steps(weight, streams, symbols, edges).reshape(BITS, -1)

    def encode_steps(self, weight: Ints32, streams: Ints, symbols: Ints, edges: Ints) -> Ints:
        """Implements `ContextMixer.encode_steps`."""
        ones = np.empty(BITS * len(streams), np.int64)
        encode(*self._arrays, weight, streams, symbols, edges, ones)
        return ones

    def decode(self, weight: Ints32, streams: Ints, read: Read) -> Ints:
        """Implements `ContextMixer.decode`."""
        work, count = self._work, len(streams)
        open_step(*self._arrays, weight, streams)
        for k in range(BITS):
            predict(*self._arrays, weight, streams, k)
            condition(work, read(work.probability[k, :count] << (PRECISION - LOGISTIC_BITS)))
        symbols: Ints = work.node[:count] - SYMBOLS
        update(*self._arrays, streams, symbols)
        return symbols

    def decode_from(self, weight: Ints32, streams: Ints, source: SymbolSource) -> Ints:
        """Implements `ContextMixer.decode_from`; a decoder's bits are read by the kernels themselves."""
        if not isinstance(source, BitDecoder):
            return super().decode_from(weight, streams, source)
        symbols = np.empty(len(streams), np.int64)
        if not decode(*self._arrays, weight, streams, source.code, symbols):
            raise damaged()
        return symbols

    def prepare(self, weight: Ints32, streams: Ints, source: BitDecoder, symbols: Bytes) -> PreparedMixer:
        """Return the calls that read steps as `decode_from` does and keep their symbols, uint8 [n, steps]. The number
        of the step differs. weight: of the step, read at each call.
        """
        found, known = np.empty(len(streams), np.int64), np.zeros(1, np.int64)
        read = read_step.prepare(*self._arrays, weight, streams, source.code, found)
        before = begin.prepare(*self._arrays, streams, found, known)
        last = end.prepare(*self._arrays, streams, found)
        return PreparedMixer([before], [read, keep.prepare(found, symbols, 0, turn=2)], last)
