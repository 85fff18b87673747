"""Weights, texts and readers for tests of byte contexts."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding.mixing.bits import bit_frequencies
from bfncodec.coding.mixing.mixer import ContextMixer, Read
from bfncodec.coding.mixing.state import SYMBOLS
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
    parts = [own.pop(name)._asdict() for name in ("matches", "numerals")]
    return own | parts[0] | parts[1]


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
