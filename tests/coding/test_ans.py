"""The stack of bits: what was pushed is popped, the bits below are untouched, and nothing is made of nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bfncodec.coding.ans import AnsStack, EmptyStackError
from bfncodec.coding.rangecoder import total
from bfncodec.errors import DamagedError
from support.frequencies import SHAPES, bits, draws, intervals, rows
from support.tiny import content, random_stack, random_words

LEAST = 3  # words that must be left

words = st.lists(st.sampled_from([0, 1, 0xFFFFFFFF]) | st.integers(0, 2**32 - 1), min_size=2, max_size=12).map(
    lambda values: np.array(values, np.uint32)
)
parts = st.lists(
    st.tuples(
        st.sampled_from(["rows", "intervals", "bits"]),
        st.sampled_from([2, 3, 16, 27, 256]),
        st.sampled_from(SHAPES),
        st.integers(0, 30),
    ),
    max_size=6,
)


class Part:
    """Some symbols to be pushed in one of the three ways and popped again."""

    def __init__(self, rng: np.random.Generator, way: str, n: int, shape: str, count: int) -> None:
        self.way, self.count = way, min(count, 24)
        n = max(n, 3) if way == "intervals" else n  # two symbols need no intervals
        self.frequencies = rows(rng, count, n, shape)
        self.symbols = rng.integers(0, n, count).astype(np.int32)  # those of frequency 0 too
        self.value = int(rng.integers(0, 1 << self.count)) if way == "bits" else 0

    def push(self, stack: AnsStack) -> None:
        if self.way == "bits":
            stack.push_bits(self.value, self.count)
        elif self.way == "rows":
            stack.push_rows(self.symbols, self.frequencies.astype(np.float32))
        elif len(self.symbols):
            stack.push_intervals(*intervals(self.frequencies, self.symbols))

    def check(self, stack: AnsStack) -> None:
        """Pop, and compare."""
        if self.way == "bits":
            assert stack.pop_bits(self.count) == self.value
        else:
            np.testing.assert_array_equal(stack.pop_rows(self.frequencies.astype(np.float32)), self.symbols)


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6), given_parts=parts, below=words)
@example(seed=0, given_parts=[("rows", 3, "one", 30)], below=np.zeros(2, np.uint32))
@example(seed=0, given_parts=[("bits", 2, "even", 24)], below=np.full(2, 0xFFFFFFFF, np.uint32))
def test_popping_undoes_pushing_to_the_bit(
    seed: int, given_parts: list[tuple[str, int, str, int]], below: NDArray[np.uint32]
) -> None:
    """Whatever lies below: zeros at the top of the borrowed words too."""
    rng = np.random.default_rng(seed)
    stack = AnsStack(below, borrowed=True)
    before, pushed = [], []
    for way, n, shape, count in given_parts:
        before.append(stack.written())
        pushed.append(Part(rng, way, n, shape, count))
        pushed[-1].push(stack)
    stack = AnsStack(stack.written())  # through a file
    for part, expected in zip(reversed(pushed), reversed(before), strict=True):
        part.check(stack)
        np.testing.assert_array_equal(stack.written(), expected)
    np.testing.assert_array_equal(stack.returned(), below)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.sampled_from([3, 16, 256]), shape=st.sampled_from(SHAPES))
def test_rows_and_intervals_are_the_same_bits(seed: int, n: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    frequencies = rows(rng, 40, n, shape)
    symbols = rng.integers(0, n, 40).astype(np.int32)
    symbols[:2] = 0, n - 1
    one, other = random_stack(seed, 4), random_stack(seed, 4)
    one.push_rows(symbols, frequencies.astype(np.float32))
    other.push_intervals(*intervals(frequencies, symbols))
    np.testing.assert_array_equal(one.written(), other.written())


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.sampled_from([2, 16, 256]), shape=st.sampled_from(SHAPES))
def test_pushing_undoes_popping_to_the_bit(seed: int, n: int, shape: str) -> None:
    """The other way round, as an encoder does: bits are borrowed and come back."""
    frequencies = rows(np.random.default_rng(seed), 30, n, shape).astype(np.float32)
    stack = random_stack(seed, 30)
    before = stack.written()
    symbols = stack.pop_rows(frequencies)
    stack.push_rows(symbols, frequencies)
    np.testing.assert_array_equal(stack.written(), before)
    np.testing.assert_array_equal(stack.returned(), random_words(seed, 30))


@pytest.mark.parametrize("n", [2, 16, 256])
@pytest.mark.parametrize("shape", ["even", "random", "skewed", "sparse"])
def test_popping_random_bits_draws_from_the_distribution(n: int, shape: str) -> None:
    """Pearson's statistic over the symbols that are likely enough, the others together; and the bits they took."""
    rng = np.random.default_rng(n)
    row = rows(rng, 1, n, shape)
    count = 30_000
    stack = random_stack(7, count // 2)
    start = content(stack)
    symbols = stack.pop_rows(np.tile(row, (count, 1)).astype(np.float32))
    p = (row[0] + 1) / 2**24
    likely = p * count > 20
    found = np.bincount(symbols, minlength=n)
    observed = np.append(found[likely], found[~likely].sum())
    expected = np.append(p[likely], p[~likely].sum()) * count
    degrees = max(int(likely.sum()) - 1, 1)
    statistic = ((observed - expected) ** 2 / np.maximum(expected, 1)).sum()
    assert statistic < degrees + 5 * np.sqrt(2 * degrees) + 5
    taken = -np.log2(p[symbols]).sum()
    assert abs(start - content(stack) - taken) < 0.0002 * taken + 1


@pytest.mark.parametrize("n", [2, 3, 16, 256])
@pytest.mark.parametrize("shape", SHAPES)
def test_symbols_cost_their_information(n: int, shape: str) -> None:
    rng = np.random.default_rng(n)
    frequencies = np.tile(rows(rng, 500, n, shape), (30, 1))
    symbols = draws(rng, frequencies)
    symbols[::50] = rng.integers(0, n, len(symbols[::50]))
    ideal = bits(frequencies, symbols)
    assert ideal > 3_000
    stack = random_stack(1, 4)
    start, whole = content(stack), stack.bits
    stack.push_rows(symbols, frequencies.astype(np.float32))
    assert abs(content(stack) - start - ideal) < 0.0002 * ideal + 1
    assert abs(stack.bits - whole - ideal) < 0.0002 * ideal + 64


@pytest.mark.parametrize("count", [1, 2, 10, 16, 24])
def test_bits_cost_as_many(count: int) -> None:
    stack = random_stack(2, 4)
    start = content(stack)
    values = np.random.default_rng(count).integers(0, 1 << count, 500).tolist()
    values[:2] = [0, (1 << count) - 1]
    for value in values:
        stack.push_bits(value, count)
    assert content(stack) - start == pytest.approx(500 * count, abs=0.5)
    assert [stack.pop_bits(count) for _ in values] == values[::-1]


# --- what is not there -------------------------------------------------------------------------


@settings(max_examples=40)
@given(below=words, count=st.sampled_from([1, 7, 24]), borrowed=st.booleans())
def test_more_cannot_be_popped_than_there_is(below: NDArray[np.uint32], count: int, borrowed: bool) -> None:
    below = below if borrowed else np.append(below, np.uint32(1))
    stack = AnsStack(below, borrowed=borrowed)
    start, popped = stack.bits, 0
    try:
        while popped < start:
            stack.pop_bits(count)
            popped += 1
    except EmptyStackError as error:
        assert "expected more bits" in str(error)  # noqa: PT017
    assert popped * count <= max(0, start - 64)
    assert stack.lowest < LEAST * 32
    for _ in range(3):  # and nothing but the error from then on
        with pytest.raises(EmptyStackError):
            stack.pop_bits(count)
        with pytest.raises(EmptyStackError):
            stack.pop_rows(np.array([[total(2) - 5, 5]], np.float32))


def test_symbols_of_one_call_cannot_outlast_the_stack() -> None:
    even = np.full((1000, 16), total(16) // 16, np.float32)
    assert len(random_stack(0, 200).pop_rows(even)) == 1000  # 4,000 bits of 6,400
    with pytest.raises(EmptyStackError):
        random_stack(0, 120).pop_rows(even)


def test_the_lowest_mark_is_kept() -> None:
    stack = random_stack(0, 50)
    assert stack.lowest == stack.bits == 51 * 32
    symbols = [stack.pop_bits(24) for _ in range(20)]
    lowest = stack.bits
    for symbol in reversed(symbols):
        stack.push_bits(symbol, 24)
    stack.push_bits(5, 24)
    assert stack.lowest == lowest < stack.bits


@pytest.mark.parametrize("found", [[0], [5, 0], [1, 2, 3, 0]])
def test_words_that_no_stack_writes_are_named(found: list[int]) -> None:
    with pytest.raises(DamagedError, match="expected a stack of bits"):
        AnsStack(np.array(found, np.uint32))


def test_borrowed_words_that_do_not_come_out_whole_are_named() -> None:
    for found in ([], [7], [1, 2, 3], [9, 9, 9, 2]):
        with pytest.raises(DamagedError, match="whole words"):
            AnsStack(np.array(found, np.uint32)).returned()
    stack = random_stack(0, 5)
    stack.push_bits(1, 3)
    with pytest.raises(DamagedError, match="whole words"):
        stack.returned()


def test_nothing_pushed_is_nothing_written() -> None:
    stack = random_stack(0, 5)
    before = stack.written()
    none: Any = np.zeros(0, np.int32)
    stack.push_rows(none, np.zeros((0, 16), np.float32))
    stack.push_intervals(none, none, none, 16)
    stack.push_bits(0, 0)
    assert stack.pop_bits(0) == 0
    assert stack.pop_rows(np.zeros((0, 16), np.float32)).tolist() == []
    np.testing.assert_array_equal(stack.written(), before)
    np.testing.assert_array_equal(stack.returned(), random_words(0, 5))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6), n=st.sampled_from([3, 16, 27]), shape=st.sampled_from(SHAPES), most=st.integers(1, 40)
)
def test_inner_symbols_are_popped_or_nothing_is(seed: int, n: int, shape: str, most: int) -> None:
    frequencies = rows(np.random.default_rng(seed), most, n, shape).astype(np.float32)
    stack, other = random_stack(seed, 40), random_stack(seed, 40)
    before, expected = stack.written(), other.pop_rows(frequencies)
    found = stack.pop_inner_rows(frequencies)
    if found is None:
        assert expected.min() == 0 or expected.max() == n - 1
        np.testing.assert_array_equal(stack.written(), before)
        np.testing.assert_array_equal(stack.returned(), random_words(seed, 40))
    else:
        assert expected.min() > 0
        assert expected.max() < n - 1
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(stack.written(), other.written())


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), below=words)
def test_nothing_is_lost_where_more_is_tried_than_there_is(seed: int, below: NDArray[np.uint32]) -> None:
    """The stack runs empty under what is popped, and an outer symbol comes: everything is as it was."""
    frequencies = rows(np.random.default_rng(seed), 200, 16, "even").astype(np.float32)
    stack = AnsStack(below, borrowed=True)
    before = stack.written()
    assert stack.pop_inner_rows(frequencies) is None
    np.testing.assert_array_equal(stack.written(), before)
    np.testing.assert_array_equal(stack.returned(), below)
