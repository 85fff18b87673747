"""Context mixing: a network's prediction of a byte mixed with what the same file has shown before.

A byte is coded as eight binary decisions, high bit first; streams are coded side by side, one byte each a step. There
is one *expert* for each context: the last few bytes of a stream, or the place where it stands
(:mod:`bfncodec.coding.mixing.places`). A table holds which bytes followed the context so far and how often; those that
agree with the bits already known give the counts of zeros and ones that the next bit had. An adaptive map of such pairs
of counts, and of the two symbols that came last, gives the expert's prediction. More experts are matches
(:mod:`bfncodec.coding.mixing.matches`), whose maps know how long each is and how often it was wrong lately, and phrases
(:mod:`bfncodec.coding.mixing.phrases`), what many other texts say behind the same bytes. A mixer
combines all predictions and the network's in the logistic domain, as PAQ does (Mahoney 2005, "Adaptive Weighing of
Context Models for Lossless Data Compression"):

    logit(p) = sum_i w_i logit(p_i) + b,    logit(p) = ln(p / (1 - p)),

where w is the sum of six sets of weights: one for the longest context of bytes that is known, one for the bits already
known, one for the last byte, one for the last two, one for the place, which says what the line above has here, and one
for the digit that a numeral is expected to go on with, or the match that expects a bit. The bias b is the sum of one
for the bits already known after the last byte and one for them after the last two. A final adaptive map refines this:
it counts what came where the mixture said nearly the same logit, and its own logit makes 3/8 of the prediction
(secondary symbol estimation in PAQ). All of it is learned online; the weights by gradient descent on the code length of
the mixture, dL/dw_i = (p - bit) logit(p_i), from weights that other texts came to
(:mod:`bfncodec.coding.mixing.first`). The shortest contexts are also counted for each stream alone, beside all streams
together: streams lie far apart in the file, and what is near says more.

A step sees the state before it and updates it when all its bits are known, with sums over its streams. If several
streams share a context in one step, only the first updates it.

The stages of a step are :mod:`bfncodec.coding.mixing.contexts` before its first bit,
:mod:`bfncodec.coding.mixing.prediction` of each bit, and :mod:`bfncodec.coding.mixing.learning` when all are known.
:mod:`bfncodec.coding.mixing.compiled` has kernels of the same names, which do the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from bfncodec.coding.bitcoder import BitEncoder
from bfncodec.coding.mixing.bits import LEFT, bit_frequencies
from bfncodec.coding.mixing.contexts import StepContexts, find_contexts
from bfncodec.coding.mixing.dictionary import Dictionary
from bfncodec.coding.mixing.learning import update
from bfncodec.coding.mixing.phrases import Phrases
from bfncodec.coding.mixing.prediction import BitPredictions, Seen, latest, predict, predict_known
from bfncodec.coding.mixing.state import BITS, CONTEXTS, SYMBOLS, Contexts, new_state
from bfncodec.coding.rangecoder import PRECISION, SymbolSource
from bfncodec.coding.tables import LOGISTIC_BITS
from bfncodec.runtime.arrays import Ints, Ints32

Read = Callable[[Ints], Ints]
"""Given the frequencies of a 1 among `total(2)`, int64 [L]: the next bit of each stream, [L]."""


class ContextMixer:
    """A mixer for one file of `size` bytes that is coded in so many streams. phrases, dictionary: of the model, if it
    has any

    state: what it has learned, see :class:`bfncodec.coding.mixing.state.MixerState`.
    """

    def __init__(
        self,
        size: int,
        streams: int,
        contexts: Contexts = CONTEXTS,
        phrases: Phrases | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        self.state = new_state(size, streams, contexts, phrases, dictionary)

    @staticmethod
    def encoder() -> BitEncoder:
        """Return an encoder for the bits, of which nothing was written yet."""
        return BitEncoder()

    def encode(self, weight: Ints32, streams: Ints, symbols: Ints) -> Ints:
        """Learn the next symbols of some streams.

        Parameters
        ----------
        weight
            The network's weights of all symbols, int32 [L, 256], sums below 2^29.
        streams
            Numbers of the streams, [L].
        symbols
            Their next symbols, [L].

        Returns
        -------
        Frequencies of a 1 among `total(2)` for each bit of the symbols, the high bits first, int64 [BITS, L].
        """
        contexts = find_contexts(self.state, weight, streams)
        predicted = predict_known(self.state, contexts, symbols)
        self._update(contexts, predicted, symbols)
        return predicted.probability << (PRECISION - LOGISTIC_BITS)

    def encode_steps(self, weight: Ints32, streams: Ints, symbols: Ints, edges: Ints) -> Ints:
        """Learn the symbols of several steps, behind each other, as `encode` does.

        edges: where each step begins, and where the last one ends, int64 [steps + 1]. Returns the frequencies of all
        steps behind each other, of each one those of all its first bits, then the second ones, int64 [BITS L].
        """
        found = [self.encode(weight[a:b], streams[a:b], symbols[a:b]).ravel() for a, b in pairwise(edges.tolist())]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def decode(self, weight: Ints32, streams: Ints, read: Read) -> Ints:
        """Inverse of `encode`: the symbols [L] whose bits `read` gives, one call for each bit."""
        contexts = find_contexts(self.state, weight, streams)
        counts, came = contexts.counts, contexts.counts.sum(0, dtype=np.int16)
        node, predicted = np.ones(len(streams), np.int64), []
        for k in range(BITS):
            plane = (contexts.symbols >> (BITS - 1 - k)) & 1
            ones = np.einsum("wol,wol->ol", counts, plane.astype(np.int16))
            said = latest(plane[None, :2].astype(np.int64), counts[None, :2] > 0)
            seen = Seen((came - ones)[None], ones[None], said)
            own = predict(self.state, contexts, LEFT[k : k + 1], node[None], seen)
            predicted.append(own)
            bit = read(own.probability[0] << (PRECISION - LOGISTIC_BITS))
            counts = counts * (plane == bit.astype(np.uint8))
            came = np.where(bit, ones, came - ones)
            node = 2 * node + bit
        symbols = node - SYMBOLS
        self._update(contexts, BitPredictions(*map(np.concatenate, zip(*predicted, strict=True))), symbols)
        return symbols

    def decode_from(self, weight: Ints32, streams: Ints, source: SymbolSource) -> Ints:
        """Return the symbols [L] of the bits that a source of symbols gives, see `decode`."""
        return self.decode(weight, streams, lambda ones: source.decode_rows(bit_frequencies(ones)).astype(np.int64))

    def _update(self, contexts: StepContexts, predicted: BitPredictions, symbols: Ints) -> None:
        """Learn from all bits of a step."""
        update(self.state, contexts, predicted, symbols)
