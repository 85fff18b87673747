"""The coders of the second reader against those of the package, and the vectors of the page."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfncodec.coding import ans, bitcoder, rangecoder, tables
from bfncodec.coding.cdf import softmax_frequencies
from bfncodec.coding.mixing.bits import bit_intervals
from bfncodec.errors import DamagedError
from reader import arithmetic
from reader.ans import Stack
from reader.errors import DamagedPayloadError
from reader.frequencies import in_proportion, total
from reader.rangecoder import RangeDecoder, RangeEncoder
from support.places import ROOT

PAGE = (ROOT / "docs" / "payloads.md").read_text(encoding="utf-8")
A, B, C, Z = [10000000, 6777208, 5], [16777214, 0], [1, 2, 3, 16777206], [0, 16777214]
D, E = [16000000, 777214], [8388607, 8388607]
Symbols = list[tuple[int, list[int]]]
CODES: dict[str, Symbols] = {
    "": [(0, B)] * 1000,
    "99": [(1, A)],
    "FFFFFA": [(2, A)],
    "98967C": [(0, A), (1, A), (2, A)],
    "989680FFFD80C9C9": [(0, A), (1, B), (3, C), (2, A), (0, Z)],
    "FFFFFFFFFE000005FFFFFFFFFFD7FFFFFFFFFFFFFFBF": [(2, A)] * 8,
    "FFFFFFFFFE000000FF01": [(1, B)] * 3,
    "98967B653C8CF7BEF94F8846FEAE87D5FF9E": [((i * i + i // 3) % 3, A) for i in range(20)],
}

BIT_CODES: dict[str, Symbols] = {
    "": [(0, B)] * 1000,
    "F5": [(1, D)],
    "FFFFFFFFFEFFFFFFFF01": [(1, B)] * 3,
    "FFFFFF3E": [(1, E), (0, B), (1, B), (0, E), (1, D)],
    "F3126EE8AFA7452C": [((i * i + i // 3) % 2, D) for i in range(40)],
}


def row(frequencies: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([frequencies], np.float32)


@st.composite
def frequencies(draw: st.DrawFn) -> list[int]:
    """Rows of all shapes: zeros, ones, and nearly everything on one symbol."""
    weights = draw(st.lists(st.one_of(st.just(0), st.integers(1, 3), st.integers(1, 1 << 24)), min_size=2, max_size=20))
    return in_proportion([*weights, 1])


@st.composite
def symbols(draw: st.DrawFn) -> Symbols:
    """Symbols with their frequencies; unlikely ones as often as others."""
    rows = draw(st.lists(frequencies(), max_size=40))
    return [(draw(st.integers(0, len(row) - 1)), row) for row in rows]


@pytest.mark.parametrize("name", ["exp2_table", "logistic_table", "normal_table"])
def test_tables_are_those_of_the_package_and_of_the_page(name: str) -> None:
    found = np.array(getattr(arithmetic, name)(), "<i4")
    assert (found == getattr(tables, name)()).all()
    assert hashlib.sha256(found.tobytes()).hexdigest() in PAGE


@pytest.mark.parametrize("code", CODES)
def test_codes_of_the_page(code: str) -> None:
    assert f"| {code or '(empty)'} |" in PAGE
    encoder, theirs = RangeEncoder(), rangecoder.RangeEncoder()
    for symbol, f in CODES[code]:
        encoder.symbol(symbol, f)
        theirs.encode_rows(np.array([symbol]), row(f))
    assert encoder.finish() == theirs.finish() == bytes.fromhex(code)
    decoder = RangeDecoder(bytes.fromhex(code))
    assert [decoder.symbol(f) for _, f in CODES[code]] == [symbol for symbol, _ in CODES[code]]


@pytest.mark.parametrize("code", BIT_CODES)
def test_codes_of_bits_of_the_page(code: str) -> None:
    assert f"| {code or '(no byte)'} |" in PAGE
    encoder, theirs = RangeEncoder(3), bitcoder.BitEncoder()
    for bit, f in BIT_CODES[code]:
        encoder.symbol(bit, f)
        theirs.append(bit_intervals(np.array(f[1:]), np.array([bit])))
    assert encoder.finish() == theirs.finish() == bytes.fromhex(code)
    decoder, other = RangeDecoder(bytes.fromhex(code), 3), bitcoder.BitDecoder(bytes.fromhex(code))
    assert [decoder.symbol(f) for _, f in BIT_CODES[code]] == [bit for bit, _ in BIT_CODES[code]]
    assert [other.decode_rows(row(f))[0] for _, f in BIT_CODES[code]] == [bit for bit, _ in BIT_CODES[code]]


@pytest.mark.slow
@settings(max_examples=50)
@given(symbols())
def test_range_coders_write_the_same_and_read_each_other(coded: Symbols) -> None:
    encoder, theirs = RangeEncoder(), rangecoder.RangeEncoder()
    for symbol, f in coded:
        encoder.symbol(symbol, f)
        theirs.encode_rows(np.array([symbol]), row(f))
    code = encoder.finish()
    assert code == theirs.finish()
    decoder = RangeDecoder(code)
    assert [decoder.symbol(f) for _, f in coded] == [symbol for symbol, _ in coded]


@settings(max_examples=50)
@given(st.one_of(st.binary(max_size=40), st.integers(1, 40).map(lambda n: b"\xff" * n)), st.lists(frequencies()))
def test_range_decoders_make_the_same_of_any_bytes(code: bytes, rows: list[list[int]]) -> None:
    ours, theirs = RangeDecoder(code), rangecoder.RangeDecoder(code)
    for f in rows:
        try:
            expected = int(theirs.decode_rows(row(f))[0])
        except DamagedError:
            with pytest.raises(DamagedPayloadError):
                ours.symbol(f)
            return
        assert ours.symbol(f) == expected


STACKS: list[tuple[list[int], list[int | None], list[int]]] = [
    ([1, 2, 3, 4, 1], [0], [1, 2, 3, 0xAD4BC9D7, 1]),
    ([1, 2, 3, 4, 1], [0, 1, 2], [1, 2, 3, 0x65FFFFFE, 0xB12623]),
    ([1, 2, 3, 4, 1], [0, 1, 2, 2, 2, 2], [1, 2, 3, 0x65FFFFFE, 0x5BFFFFFB, 0xFFFFFFFE, 0xD1FFFF]),
    ([0xDEADBEEF, 0x1234567, 0x89ABCDEF, 0xFEDCBA98], [None] * 3, [0xDEADBEEF, 0x1234567, 0x551EDAA, 0x10CCB140]),
]


@pytest.mark.parametrize(("before", "operations", "after"), STACKS)
def test_stacks_of_the_page(before: list[int], operations: list[int | None], after: list[int]) -> None:
    assert ", ".join(f"{word:X}" for word in after) in PAGE
    stack, theirs = Stack(before), ans.AnsStack(np.array(before, np.uint32))
    for symbol in operations:
        if symbol is None:
            assert stack.pop(A) == theirs.pop_rows(row(A))[0] == 1
        else:
            stack.push(symbol, A)
            theirs.push_rows(np.array([symbol]), row(A))
    assert stack.written() == theirs.written().tolist() == after


def test_even_bits_of_the_page() -> None:
    stack = Stack([1, 2, 3, 4, 1])
    stack.push_bits(5, 3)
    stack.push_bits(0xABCD, 16)
    assert stack.written() == [1, 2, 3, 0xABCD04, 0x800A0]
    assert (stack.pop_bits(16), stack.pop_bits(3), stack.borrowed()) == (0xABCD, 5, [1, 2, 3, 4])


WORDS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 0xFFFFFFFF)), max_size=12)
EVEN_BITS = st.integers(1, 16).flatmap(lambda n: st.tuples(st.integers(0, (1 << n) - 1), st.just(n)))


@settings(max_examples=50)
@given(WORDS, st.lists(st.tuples(st.booleans(), st.one_of(frequencies(), EVEN_BITS)), max_size=40))
def test_stacks_do_the_same(words: list[int], operations: list[tuple[bool, object]]) -> None:
    """Pushing and popping, of rows and of even bits, from any words, to the same error where there is one."""
    try:
        theirs = ans.AnsStack(np.array(words, np.uint32))
    except DamagedError:
        with pytest.raises(DamagedPayloadError):
            Stack(words)
        return
    ours = Stack(words)
    for push, given_ in operations:
        try:
            _both(ours, theirs, push, given_)
        except DamagedError:
            return
        assert ours.written() == theirs.written().tolist()
    try:
        borrowed = theirs.returned().tolist()
    except DamagedError:
        with pytest.raises(DamagedPayloadError):
            ours.borrowed()
    else:
        assert ours.borrowed() == borrowed


def _both(ours: Stack, theirs: ans.AnsStack, push: bool, given_: object) -> None:
    """Do one thing to both stacks. Raises DamagedError where both say that there is no more."""
    if isinstance(given_, tuple):
        value, bits = given_
        if push:
            ours.push_bits(value, bits)
            theirs.push_bits(value, bits)
            return
        mine, their = lambda: ours.pop_bits(bits), lambda: theirs.pop_bits(bits)
    else:
        assert isinstance(given_, list)
        f = given_
        if push:
            ours.push(len(f) // 2, f)
            theirs.push_rows(np.array([len(f) // 2]), row(f))
            return
        mine, their = lambda: ours.pop(f), lambda: int(theirs.pop_rows(row(f))[0])
    try:
        expected = their()
    except DamagedError:
        with pytest.raises(DamagedPayloadError):
            mine()
        raise
    assert mine() == expected


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=256).filter(any))
def test_frequencies_in_proportion_are_those_of_the_package(weights: list[int]) -> None:
    expected = softmax_frequencies(np.array([weights], np.int32))[0].astype(int).tolist()
    assert in_proportion(weights) == expected
    assert sum(expected) == total(len(weights))
