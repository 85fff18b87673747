"""Weights, texts and readers for tests of byte contexts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding.mixing.bits import bit_frequencies
from bfncodec.coding.mixing.matches import BITS, FORMS
from bfncodec.coding.mixing.mixer import ContextMixer, Read
from bfncodec.coding.mixing.phrases import ENTRIES, MARK_BITS, Phrases, phrases_of
from bfncodec.coding.mixing.phrases import buckets as places
from bfncodec.coding.mixing.state import HASH_POWERS, SYMBOLS
from bfncodec.coding.rangecoder import SymbolSource
from bfncodec.runtime.arrays import Array


def uniform(streams: int) -> NDArray[np.int32]:
    return np.full((streams, SYMBOLS), 1 << 16, np.int32)


def one_hot(*symbols: int) -> NDArray[np.int32]:
    weights = np.zeros((len(symbols), SYMBOLS), np.int32)
    weights[np.arange(len(symbols)), symbols] = 1 << 20
    return weights


def reader(decoder: SymbolSource) -> Read:
    return lambda ones: decoder.decode_rows(bit_frequencies(ones)).astype(np.int64)


def arrays(mixer: ContextMixer) -> dict[str, Array]:
    """The arrays of a mixer's state, of its matches and numerals."""
    own = mixer.state._asdict()
    parts = [own.pop(name)._asdict() for name in ("matches", "numerals", "phrases")]
    return own | parts[0] | parts[1] | parts[2]


def state(mixer: ContextMixer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in arrays(mixer).items()}


rows = st.one_of(
    st.integers(0, 255).map(lambda k: one_hot(k)[0]),
    st.integers(0, 999).map(lambda seed: np.random.default_rng(seed).integers(0, 1 << 21, SYMBOLS)),  # sums near 2^28
    st.integers(0, 999).map(lambda seed: 1 << np.random.default_rng(seed).integers(0, 21, SYMBOLS)),
    st.integers(0, 255).map(lambda k: np.eye(SYMBOLS, dtype=int)[k]),  # the least that sums to something
    st.sampled_from([np.ones(SYMBOLS, int), np.full(SYMBOLS, (1 << 21) - 1)]),
)


def texts(most: int) -> st.SearchStrategy[list[bytes]]:
    """The symbols of some steps, those of all streams, at most so many, together."""
    return st.integers(1, most).flatmap(
        lambda streams: st.lists(
            st.binary(min_size=streams, max_size=streams) | st.sampled_from([b"a" * streams, b"\xff" * streams]),
            min_size=1,
            max_size=40,
        )
    )


def phrases(known: Mapping[bytes, tuple[bytes, int]], buckets: int = 64) -> Phrases:
    """Return phrases, see `tensors`."""
    return phrases_of(tensors(known, buckets), "phrases")


def tensors(known: Mapping[bytes, tuple[bytes, int]], buckets: int = 64) -> dict[str, Array]:
    """Return the tensors of phrases of contexts, each with the byte behind it and a confidence from 0 to 7; the first
    of a bucket stay, and of those with one mark the first.
    """
    lengths = sorted({len(context) for context in known})
    entries, symbols = np.zeros((buckets, ENTRIES), np.uint16), np.zeros((buckets, ENTRIES), np.uint8)
    for context, (symbol, confidence) in known.items():
        latest = np.frombuffer(context, np.uint8)[::-1].astype(np.uint64) + np.uint64(1)
        bucket, mark = places(buckets, (latest * HASH_POWERS[: len(latest)]).sum(keepdims=True), len(context))
        way = int((entries[bucket[0]] > 0).sum())
        if way < ENTRIES:
            entries[bucket[0], way] = int(mark[0]) | confidence << MARK_BITS
            symbols[bucket[0], way] = symbol[0]
    table = np.concatenate([entries.view(np.uint8), symbols], 1)
    right = np.full((FORMS, BITS), 60_000, np.uint16)
    return {"entries": table, "lengths": np.array(lengths, np.int64), "right": right}
