"""Phrases: the longest known context says what comes, kernels say the same, and files that know them cost less."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfncodec.coding.bitcoder import BitDecoder
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.matches import BITS, FORMS, NONE
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.phrases import (
    ENTRIES,
    MARK_BITS,
    MOST_LENGTH,
    MOST_LENGTHS,
    ROW,
    Phrases,
    phrases_of,
    recall,
)
from bfncodec.coding.mixing.state import HASH_POWERS, REACH, START, STATES, phrase_hits
from bfncodec.coding.rangecoder import information
from bfncodec.errors import ModelError
from support.mixing import phrases, reader, uniform


def sums(*texts: bytes) -> np.ndarray:
    """Return the sums over the latest bytes of some texts, [REACH, L]."""
    history = np.full((len(texts), REACH), START)
    for own, text in zip(history, texts, strict=True):
        own[REACH - min(len(text), REACH) :] = list(text[-REACH:])
    return np.cumsum((history.T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)


def recalled(own: Phrases, *texts: bytes) -> list[tuple[int, int]]:
    byte, form = recall(own, sums(*texts))
    return list(zip(byte.tolist(), form.tolist(), strict=True))


def test_the_longest_known_context_says_what_comes() -> None:
    own = phrases({b"ab": (b"c", 3), b"_ab": (b"d", 7), b"zz": (b"\0", 0)})
    assert recalled(own, b"ab", b"__ab", b"ba", b"zz", b"") == [
        (ord("c"), 3 * MOST_LENGTHS),
        (ord("d"), 7 * MOST_LENGTHS + 1),
        (NONE, 0),
        (0, 0),
        (NONE, 0),
    ]


def test_a_bucket_holds_eight_contexts() -> None:
    known = {bytes([k, k]): (bytes([255 - k]), k) for k in range(ENTRIES)}
    own = phrases(known, buckets=1)
    assert [byte for byte, _ in recalled(own, *known)] == [255 - k for k in range(ENTRIES)]


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=3), st.tuples(st.binary(min_size=1, max_size=1), st.integers(0, 7)), max_size=40
    )
)
def test_kernels_recall_the_same(known: Mapping[bytes, tuple[bytes, int]]) -> None:
    compiled = pytest.importorskip("bfncodec.coding.mixing.compiled.mixer")
    own = phrases({b"ab": (b"c", 3), **known}, buckets=3)
    rng = np.random.default_rng(len(known))
    text = rng.choice(np.frombuffer(b"abc\0\xff", np.uint8), (25, 2)).astype(np.int64)
    first, second = (kind(text.size, 2, phrases=own) for kind in (ContextMixer, compiled.CompiledMixer))
    for step in text:
        weights = rng.integers(1, 1 << 16, (2, 256)).astype(np.int32)
        np.testing.assert_array_equal(*(mixer.encode(weights, np.arange(2), step) for mixer in (first, second)))
    assert (first.state.weights == second.state.weights).all()
    assert (first.state.hits == second.state.hits).all()


def spend(text: bytes, own: Phrases | None) -> float:
    """Return the bits of a text in one stream whose network knows nothing."""
    mixer, spent = ContextMixer(len(text), 1, phrases=own), 0.0
    for symbol in text:
        ones = mixer.encode(uniform(1), np.arange(1), np.array([symbol]))
        spent += float(information(bit_intervals(ones.ravel(), bits_of(np.array([symbol])).ravel()).frequency).sum())
    return spent


def test_texts_that_are_known_cost_less_and_others_no_more() -> None:
    text = b"many hands make light work"
    own = phrases({text[max(k - 4, 0) : k]: (text[k : k + 1], 7) for k in range(4, len(text))})
    assert spend(text, own) < 0.6 * spend(text, None)
    other = b"zwei kochen zu viel, oder?"
    assert spend(other, own) == spend(other, phrases({b"????": (b"!", 7)}))
    assert spend(other, own) < 1.001 * spend(other, None)


def test_texts_with_phrases_decode() -> None:
    text = np.frombuffer(b"to be or not to be to be or not", np.uint8).astype(np.int64)
    own = phrases({b"to": (b" ", 5), b"or n": (b"o", 6), b" b": (b"e", 1)})
    writer, mixer = ContextMixer.encoder(), ContextMixer(len(text), 1, phrases=own)
    for symbol in text:
        ones = mixer.encode(uniform(1), np.arange(1), symbol[None])
        writer.append(bit_intervals(ones.ravel(), bits_of(symbol[None]).ravel()))
    decoder, again = BitDecoder(writer.finish()), ContextMixer(len(text), 1, phrases=own)
    assert [int(again.decode(uniform(1), np.arange(1), reader(decoder))[0]) for _ in text] == text.tolist()


def test_maps_begin_with_how_often_phrases_were_right_elsewhere() -> None:
    right = np.full((FORMS, BITS), 1 << 15, np.uint16)
    right[5, 3] = 60_000
    hits = phrase_hits(right.ravel())
    state = 2 * (5 * BITS + 3)
    assert hits[state + 2] == 20 * 60_000
    assert hits[state + 1] == (20 << 16) - 20 * 60_000
    assert len(hits) == STATES
    assert (np.delete(hits, [state + 1, state + 2]) == 10 << 16).all()


def test_files_of_phrases_are_checked() -> None:
    good = {
        "entries": np.zeros((2, ROW), np.uint8),
        "lengths": np.array([2, 5]),
        "right": np.zeros((FORMS, BITS), np.uint16),
    }
    assert phrases_of(good, "some").lengths.tolist() == [2, 5]
    bad = {
        "entries": [np.zeros((0, ROW), np.uint8), np.zeros((2, ROW + 1), np.uint8), np.zeros((2, ROW), np.int8)],
        "lengths": [np.array([5, 2]), np.array([0, 2]), np.array([MOST_LENGTH + 1]), np.arange(1, 10), np.array([[1]])],
        "right": [np.zeros((FORMS, BITS), np.int16), np.zeros((FORMS,), np.uint16)],
    }
    for name, values in bad.items():
        for value in values:
            with pytest.raises(ModelError, match=r"some: expected"):
                phrases_of({**good, name: value}, "some")
        with pytest.raises(ModelError, match=r"expected the tensors entries, lengths and right"):
            phrases_of({key: value for key, value in good.items() if key != name}, "some")


def test_marks_and_confidences_fill_a_word() -> None:
    assert (1 << 16 - MARK_BITS) * MOST_LENGTHS == FORMS
