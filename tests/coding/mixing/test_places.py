"""Where a byte stands: what its hashes are made of, and what a table gains by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.places import (
    AGREED,
    MARKS,
    MOST_AGREED,
    NEXT,
    PLACE_SETS,
    PLACES,
    SKIPS,
    WIDTH,
    counterparts,
    go_on,
    place_hashes,
)
from bfncodec.coding.mixing.state import CONTEXTS, Contexts
from bfncodec.coding.rangecoder import information
from support.mixing import uniform

WORD, WORDS, COLUMN, SHAPE, KEY, LINE_NUMBER, NUMERAL, BESIDE, AGREEING, FORETOLD, BEFORE, BETWEEN = range(
    PLACES + SKIPS
)


def read(*texts: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return where some texts, each a stream, end: marks, lines, columns, their last three bytes."""
    marks, lines = np.zeros((len(texts), MARKS), np.uint64), np.zeros((len(texts), 2, WIDTH), np.uint8)
    column, history = np.zeros(len(texts), np.int64), np.full((len(texts), 3), 256)
    for stream, text in enumerate(texts):
        for symbol in text:
            history[stream] = [*history[stream, 1:], symbol]
            go_on(marks, lines, column, np.array([stream]), history[stream, 2:])
    return marks, lines, column, history


def hashes(*texts: bytes) -> NDArray[np.uint64]:
    """Return the hashes behind some texts, each a stream, [PLACES + SKIPS, L]."""
    return place_hashes(*read(*texts), np.zeros(len(texts), np.uint64), np.zeros(len(texts), np.int64))


def counterpart(text: bytes) -> bytes:
    """The byte of the line above that corresponds to the one behind a text."""
    marks, lines, _, _ = read(text)
    return bytes(counterparts(marks, lines)[0].tolist())


def same(one: bytes, other: bytes) -> set[int]:
    """Numbers of the contexts that two texts share."""
    found = hashes(one, other)
    return set(np.flatnonzero(found[:, 0] == found[:, 1]).tolist())


def test_a_word_is_its_letters_whatever_stands_before() -> None:
    assert {WORD, WORDS} <= same(b"the wor", b"a; The Wor")
    assert WORD in same(b"a wor", b"the wor")
    assert WORDS not in same(b"a wor", b"the wor")
    assert WORD not in same(b"the wor", b"the war")


def test_a_key_names_the_fields_behind_it() -> None:
    assert KEY in same(b'\n"name": "a', b'x\n"name" :"a')
    assert KEY not in same(b'{"x": 1, "name": "a', b'"name": "a')  # another number
    assert KEY not in same(b'"name": "a', b'"size": "a')


def test_a_line_is_known_by_its_first_field_and_counts_its_fields() -> None:
    assert LINE_NUMBER in same(b"GET a b c", b"x\nGET d e c")
    assert LINE_NUMBER not in same(b"GET a b c", b"GET a c")
    assert LINE_NUMBER not in same(b"GET a b c", b"PUT a b c")


def test_a_shape_is_of_tokens_whatever_names_are_called_and_blanks_stand_between() -> None:
    assert SHAPE in same(b'{"size": 12, "na', b'{"b_2" :345,\t"na')
    assert SHAPE not in same(b'{"size": 12, "na', b'{"size": x2, "na')  # a name
    assert SHAPE not in same(b'{"size": 12, "na', b'{"size": 12; "na')
    assert SHAPE not in same(b'{"size": 12, "na', b'{"size": 12, "no')
    assert SHAPE not in same(b"f(a, b)", b"f(a b)")
    assert SHAPE not in same(b"f(a b", b"f(ab")
    assert SHAPE in same(b"x = f(a, b, c, d)", b"y; z f(a, b, c, d)")  # eight tokens
    assert SHAPE in same("größe = ".encode(), b"_a1 = ")


def test_above_stands_the_line_before_at_the_same_column() -> None:
    assert COLUMN in same(b"ab12cd\nxyz", b"qb12cX\nwwz")
    assert COLUMN not in same(b"ab12cd\nxyz", b"ab13cd\nxyz")
    assert same(b"\n" + b"a" * 300, b"\n" + b"a" * 400) >= {COLUMN}  # no line is kept so far


def test_fields_have_their_counterparts_above_whatever_their_lengths() -> None:
    above = b"1999,ab,2.50\n"
    for text, expected in {b"": b"1", b"2": b"9", b"20123": b",", b"20123,": b"a", b"7,x": b"b", b"7,x,": b"2"}.items():
        assert counterpart(above + text) == expected
    assert counterpart(above + b"7;") == b"9"  # there is no such delimiter
    assert counterpart(above + b"7,x,3,,,,") == b"."
    assert counterpart(b"no line above") == b"\0"


def test_a_line_longer_than_is_kept_has_no_counterparts_behind_it() -> None:
    for above in (b"a" * 400, b",a" * 200):
        assert counterpart(above + b"\n" + b"b" * 400) in (b"\0", b",")
        assert counterpart(above + b"\n" + b",b" * 400) in (b"\0", b",", b"a")


def test_bytes_that_equal_their_counterparts_are_counted() -> None:
    for text, expected in {b"": 0, b"ab": 2, b"abx": 0, b"ab,": 3, b"a,": 0, b"abcd\n": 0}.items():
        assert read(b"ab,cd\n" + text)[0][0, AGREED] == expected


def test_weight_sets_of_places_are_as_many_as_are_said() -> None:
    marks, lines, _, _ = read(b"\n" + b"," * 99, b"ab\n", b"abcdef\nabcdef")
    first = counterparts(marks, lines)[1]
    assert first.tolist() == [PLACE_SETS - (MOST_AGREED + 1) * NEXT * 8, 0, MOST_AGREED * NEXT * 8]
    marks[:, AGREED] = 99
    assert counterparts(marks, lines)[1].max() + NEXT * 8 == PLACE_SETS


def test_beside_a_counterpart_stand_others() -> None:
    assert {BESIDE, AGREEING} <= same(b"12,abc\n92,a", b"x7,abc,e\n97,a")
    assert BESIDE in same(b"12,abc\n12,ab", b"7,abc\n7,ab")
    assert BESIDE not in same(b"12,abc\n12,ab", b"7,abc\n7,xb")
    assert AGREEING not in same(b"ab,c\nab,", b"ab,c\nb,")


def test_a_numeral_is_less_or_more_than_the_one_above() -> None:
    assert NUMERAL in same(b"1,250\n7,24", b"3,280\n1,26")
    assert NUMERAL not in same(b"1,250\n7,24", b"1,250\n7,26")
    assert NUMERAL not in same(b"1,250\n7,25", b"1,250\n7,26")
    assert NUMERAL not in same(b"1,250\n7,24", b"1,250\n24")
    assert NUMERAL not in same(b"9,222\n7,1", b"9,222\n7,12")
    assert NUMERAL in same(b"1,250\n7,24,", b"1,250\n7,26,")


def test_a_byte_is_skipped() -> None:
    assert BEFORE in same(b"xabc", b"yabd")
    assert BEFORE not in same(b"abc", b"aec")
    assert BETWEEN in same(b"xabc", b"yadc")
    assert BETWEEN not in same(b"abc", b"ebc")


def test_what_a_match_foretells_stands_beside_the_last_byte() -> None:
    assert FORETOLD in same(b"abc", b"xyc")
    assert FORETOLD not in same(b"abc", b"abd")
    found = place_hashes(*read(b"abc", b"abc"), np.array([0, 98], np.uint64), np.zeros(2, np.int64))
    assert np.flatnonzero(found[:, 0] != found[:, 1]).tolist() == [FORETOLD]


def test_what_a_numeral_goes_on_with_stands_there_first() -> None:
    found = place_hashes(*read(b"1,2", b"1,3", b"1,3"), np.array([0, 98, 98], np.uint64), np.array([7, 7, 8]))
    assert found[FORETOLD, 0] == found[FORETOLD, 1] != found[FORETOLD, 2]


def test_steps_of_many_streams_are_those_of_each_alone() -> None:
    texts = [b'one two\n"k": 3,', b"\n\n\n\n\n\n\n\nab= cd", b"Zeile\tzwei\xff\xfe;:|"]
    column = np.zeros(3, np.int64)
    marks, lines = np.zeros((3, MARKS), np.uint64), np.zeros((3, 2, WIDTH), np.uint8)
    for symbols in zip(*(text[:14] for text in texts), strict=True):
        go_on(marks, lines, column, np.arange(3), np.array(symbols))
    history = np.array([list(text[11:14]) for text in texts])
    found = place_hashes(marks, lines, column, history, np.zeros(3, np.uint64), np.zeros(3, np.int64))
    np.testing.assert_array_equal(found, hashes(*(text[:14] for text in texts)))


def test_a_table_is_learned_by_its_columns() -> None:
    """Half of each line repeats the one above, behind numbers that do not."""
    rng = np.random.default_rng(3)
    text = "".join(f"{rng.integers(10**5, 10**6)} {name}\n" for name in "ab" for _ in range(8)).encode()

    def bits(contexts: Contexts) -> float:
        mixer, spent = ContextMixer(len(text), 1, contexts), 0.0
        for symbol in text:
            found = np.array([symbol], np.int64)
            ones = mixer.encode(uniform(1), np.zeros(1, np.int64), found)
            spent += information(bit_intervals(ones.ravel(), bits_of(found).ravel()).frequency).sum()
        return spent

    assert bits(CONTEXTS) < 0.95 * bits(CONTEXTS._replace(places=()))
