"""Dictionaries: a text begins with what they have taught, kernels say the same, and nothing changes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfncodec.coding.bitcoder import BitDecoder
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.dictionary import Dictionary
from bfncodec.coding.mixing.matches import NONE, behind, new_matches, sums_of
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import (
    HASH_POWERS,
    LEARNED_DECISIONS,
    NEIGHBOURS,
    TAG,
    WAYS,
    learned_in,
    new_state,
)
from bfncodec.coding.rangecoder import information
from support.mixing import reader, state, uniform

ROWS = b"".join(b'{"id": %d, "name": "wren %d", "kind": "bird"}\n' % (k * 37 % 101, k % 7) for k in range(40))


def learned(text: bytes, kind: type[ContextMixer] = ContextMixer, streams: int = 1) -> Dictionary:
    """Return a dictionary that was learned with a network that knows nothing."""
    mixer = kind(len(text), streams, dictionary=Dictionary(text))
    for column in np.frombuffer(text[: len(text) // streams * streams], np.uint8).reshape(streams, -1).T:
        mixer.encode(uniform(streams), np.arange(streams), column.astype(np.int64))
    return learned_in(mixer.state, text)


def spend(text: bytes, dictionary: Dictionary | None) -> float:
    """Return the bits of a text in one stream whose network knows nothing."""
    mixer, spent = ContextMixer(len(text), 1, dictionary=dictionary), 0.0
    for symbol in text:
        ones = mixer.encode(uniform(1), np.arange(1), np.array([symbol]))
        spent += float(information(bit_intervals(ones.ravel(), bits_of(np.array([symbol])).ravel()).frequency).sum())
    return spent


def test_texts_of_a_kind_that_is_known_cost_less() -> None:
    row, known = b'{"id": 999, "name": "wren 3", "kind": "bird"}\n', learned(ROWS)
    assert spend(row, known) < 0.2 * spend(row, None)
    assert spend(row, learned(bytes(range(256)))) > 0.9 * spend(row, None)


@pytest.mark.parametrize("streams", [1, 3])
def test_texts_with_a_dictionary_decode(streams: int) -> None:
    text = np.frombuffer(ROWS[: 90 * streams], np.uint8).reshape(streams, -1).astype(np.int64)
    known, lanes = learned(ROWS[300:]), np.arange(streams)
    writer, mixer = ContextMixer.encoder(), ContextMixer(text.size, streams, dictionary=known)
    for column in text.T:
        ones = mixer.encode(uniform(streams), lanes, column)
        writer.append(bit_intervals(ones.ravel(), bits_of(column).ravel()))
    decoder, again = BitDecoder(writer.finish()), ContextMixer(text.size, streams, dictionary=known)
    for column in text.T:
        np.testing.assert_array_equal(again.decode(uniform(streams), lanes, reader(decoder)), column)


def test_nothing_changes_a_dictionary() -> None:
    known = learned(ROWS)
    assert known.learned is not None
    before = [array.copy() for array in known.learned]
    first, second = spend(ROWS[:80], known), spend(ROWS[:80], known)
    assert first == second
    assert all((a == b).all() for a, b in zip(known.learned, before, strict=True))
    assert ContextMixer(50, 1, dictionary=known).state.decisions.max() == LEARNED_DECISIONS


def test_a_new_context_begins_with_the_row_of_the_dictionary_but_for_those_of_a_stream() -> None:
    mixer = ContextMixer(64, 1, dictionary=learned(b"abababababababababab"))
    for symbol in b"ab":
        mixer.encode(uniform(1), np.arange(1), np.array([symbol]))
    mixer.encode(uniform(1), np.arange(1), np.array([ord("a")]))  # behind ab, for the first time in this text
    rows = mixer.state.table[mixer.state.table[:, TAG + WAYS] > 0]
    seen = rows[rows[:, TAG] == ord("a"), TAG + WAYS]
    assert seen.max() > 5  # what the dictionary counted, and once more
    assert (seen == 1).any()  # the stream's own contexts
    assert len(mixer.state.dictionary) > NEIGHBOURS


def test_matches_are_found_in_a_dictionary() -> None:
    text = b"0123456789 in a dictionary"
    own = behind(new_matches((8,), 30, 2), text, 30)
    assert own.text.shape == (3, len(text))
    assert own.known.tolist() == [0, 0, len(text)]
    assert own.text[2].tobytes() == text
    sums = sums_of(np.frombuffer(text, np.uint8), 8)
    wanted = np.cumsum((np.frombuffer(text[:8], np.uint8)[::-1] + np.uint64(1)) * HASH_POWERS[:8])[-1]
    assert sums[0] == wanted
    assert len(sums) == len(text) - 8
    assert sorted(own.heads[own.heads > 0].tolist()) == [2 * len(text) + place + 1 for place in range(8, len(text))]
    assert (own.place == NONE).all()
    for short in (b"s", b"short", b"too short of a byte"):
        assert not behind(new_matches((20,), 30, 1), short, 30).heads.any()


def test_a_dictionary_of_another_size_leaves_the_table_to_the_text() -> None:
    known = learned(ROWS)
    small, plain = new_state(100, 1, dictionary=known), new_state(100, 1)
    assert small.table.shape == plain.table.shape
    assert not small.table.any()
    assert known.learned is not None
    assert small.dictionary is known.learned.table
    assert len(small.bias_two) == len(known.learned.bias_two)


@settings(max_examples=20, deadline=None)
@given(
    dictionary=st.binary(min_size=1, max_size=60) | st.just(ROWS[:400]),
    text=st.binary(min_size=1, max_size=30) | st.just(ROWS[200:260]),
    streams=st.integers(1, 2),
)
def test_kernels_learn_the_same(dictionary: bytes, text: bytes, streams: int) -> None:
    compiled = pytest.importorskip("bfncodec.coding.mixing.compiled.mixer")
    text = text[: len(text) // streams * streams] or text * streams
    both = [learned(dictionary, kind) for kind in (ContextMixer, compiled.CompiledMixer)]
    for a, b in zip(*(known.learned or () for known in both), strict=True):
        np.testing.assert_array_equal(a, b)
    first = ContextMixer(len(text), streams, dictionary=both[0])
    second = compiled.CompiledMixer(len(text), streams, dictionary=both[1])
    for column in np.frombuffer(text, np.uint8).reshape(streams, -1).T.astype(np.int64):
        pair = (mixer.encode(uniform(streams), np.arange(streams), column) for mixer in (first, second))
        np.testing.assert_array_equal(*pair)
    assert state(first) == state(second)
