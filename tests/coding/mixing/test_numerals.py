"""Expected numerals: by columns and differences, or as numbers of single precision."""

from __future__ import annotations

import numpy as np
import pytest

from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.compiled.mixer import CompiledMixer
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.numerals import (
    BOUND,
    DIGIT_SETS,
    END,
    ENDED,
    ERROR,
    FIRST_FOLLOWED,
    FOLLOWS,
    HIGHEST,
    KNOWN,
    LOWEST,
    NEW,
    VALUE,
    YES,
    NumeralState,
    expected,
    foreseen,
    go_on,
    new_numerals,
)
from bfncodec.coding.mixing.places import OTHER, classes
from bfncodec.coding.mixing.state import CONTEXTS, Contexts
from bfncodec.coding.rangecoder import information
from reader.numerals import Numerals
from support.mixing import uniform

NONE = np.zeros(1, np.int64)


def read(text: str) -> tuple[NumeralState, int]:
    """Return what is kept behind a text, and the number of the field that goes on."""
    own, field = new_numerals(1), 0
    for symbol in text.encode():
        go_on(own, np.array([field]), NONE, np.array([symbol]))
        field = 0 if symbol == 10 else field + int(classes()[symbol] != OTHER)
    return own, field


def code(text: str) -> int:
    own, field = read(text)
    return int(expected(own, np.array([field]), NONE)[0])


def halves(text: str) -> float:
    """Return what the next digit would have to be."""
    assert 0 < code(text) < FIRST_FOLLOWED
    return ((code(text) - 1) // 3 // (NEW + 1) + LOWEST) / 2


def said(text: str) -> int:
    """The digit that the binary number which a text follows goes on with."""
    assert code(text) >= FIRST_FOLLOWED
    return (code(text) - FIRST_FOLLOWED) // 16


def test_the_next_digit_is_that_of_the_numeral_above() -> None:
    assert [halves("a,4.02\nb," + part) for part in ("", "4.", "4.0")] == [4, 0, 2]


def test_weight_sets_of_numerals_are_as_many_as_are_said() -> None:
    said = np.arange(END + 1) * 16 + FIRST_FOLLOWED
    byte, first = foreseen(np.concatenate([np.arange((HIGHEST - LOWEST + 1) * (NEW + 1) * 3 + 1), said]))
    each = DIGIT_SETS // (ENDED + 1)
    assert sorted(set(first.tolist())) == [-1, *range(0, DIGIT_SETS, each)]
    assert set(byte[1:-1].tolist()) == set(b"0123456789")
    assert (byte[0], first[0], byte[-1], first[-1]) == (-1, -1, -1, ENDED * each)


def test_what_was_read_is_taken_off_what_is_expected() -> None:
    """Behind 3 a digit of 10 would reach 4.02, behind 5 one of -9.8."""
    assert halves("a,4.02\nb,3.") == 10
    assert halves("a,4.02\nb,3.9") == HIGHEST / 2
    assert halves("a,4.02\nb,5.") == LOWEST / 2


def test_a_column_goes_on_by_the_differences_that_erred_least() -> None:
    steps = "".join(f"x,{n}\n" for n in range(110, 190, 10))
    assert halves(steps + "x,1") == 9
    squares = "".join(f"x,{n * n}\n" for n in range(20, 30))
    assert [halves(squares + "x," + part) for part in ("", "9", "90")] == [9, 0, 0]
    same = "x,52\nx,54\n" * 3 + "x,52\nx,52\nx,52\nx,52\n"
    assert [halves(same + "x," + part) for part in ("", "5")] == [5, 2]


def test_errors_tell_which_digits_can_be_known() -> None:
    fine = [(code("x,11.00\nx,11.51\nx,1" + part) - 1) // 3 % (NEW + 1) for part in ("", "1.", "1.5")]
    assert fine == sorted(fine)
    assert fine[0] < fine[-1]
    assert (code("x,11.00\nx,") - 1) // 3 % (NEW + 1) == NEW


def test_numerals_may_have_other_decimals_signs_and_zeros_before_them() -> None:
    assert [halves("x,1.5\nx,1.25\nx," + part) for part in ("", "1.", "1.2")] == [1, 2.5, 5]
    assert code("x,-12\ny,") == 0
    assert halves("x,-12\ny,-") == 1
    assert halves("x,-12\ny,-1") == 2
    assert halves("2020-01-09\n2020-01-") == 0.5
    assert halves("2020-01-09\n2020-01-0") == 9


def test_nothing_is_expected_where_there_was_no_numeral() -> None:
    assert code("") == code("a,b\nc,") == code("1,b\n1,") == 0
    assert code("x,15\nx,y") == 0  # the field begins otherwise
    assert code("x,15\nx,15") == code("x,1.5\nx,1.5") == 0  # nothing follows


def test_numerals_are_kept_exactly_or_not_at_all() -> None:
    own, _ = read("1234567890123456\n")
    assert own.columns[0, 0, VALUE] == 1234567890123456
    assert not read("12345678901234567\n")[0].columns.any()
    own, _ = read("12345678901.2345678901234\n")
    assert own.columns[0, 0, VALUE] == 1234567890123456
    own, _ = read("1234567890123456\n0.000000000000001\n")
    assert own.columns[0, 0, KNOWN] == 1  # both fit no unit
    rng, most = np.random.default_rng(1), 0
    text = "".join(f"{'-' * (n % 3 == 0)}{rng.integers(10**15, 10**16)}{'.' * (n % 2)}{n % 7}\n" for n in range(60))
    for column in read(text)[0].columns[0]:
        most = max(most, int(np.abs(column[VALUE:KNOWN]).max()), int(np.abs(column[ERROR:]).max()))
    assert most < 20 * BOUND < 2**63 / 4


@pytest.mark.parametrize("value", [0.1, -3.3, 10.970438, 404.123, 65537.01, 0.0123, 8388607.5])
def test_a_number_of_single_precision_is_followed_to_its_end(value: float) -> None:
    text = repr(float(np.float32(value)))
    found = [k for k in range(len(text)) if read(text[:k])[0].read[0, FOLLOWS] == YES and text[k - 1] != "-"]
    assert found == list(range(found[0], len(text))) if found else len(text) < 12
    assert [said(text[:k]) for k in found] == [int(text[k]) for k in found]
    if found:
        assert said(text) == END


def test_most_numbers_of_single_precision_are_followed() -> None:
    rng, digits, right = np.random.default_rng(2), 0, 0
    for value in rng.normal(size=40) * 10.0 ** rng.integers(-2, 4, 40):
        text = repr(float(np.float32(value)))
        for k in range(max(len(text) - 6, 0), len(text)):
            digits += 1
            right += code(text[:k]) >= FIRST_FOLLOWED and said(text[:k]) == int(text[k])
    assert right > 0.95 * digits


def test_a_digit_that_is_none_of_the_number_ends_it() -> None:
    assert code("0.1000000014") >= FIRST_FOLLOWED
    assert code("0.1000000013") < FIRST_FOLLOWED


def bits(text: bytes, contexts: Contexts) -> float:
    mixer, spent = CompiledMixer(len(text), 1, contexts), 0.0
    for symbol in np.frombuffer(text, np.uint8).astype(np.int64)[:, None]:
        ones = mixer.encode(uniform(1), np.zeros(1, np.int64), symbol)
        spent += float(information(bit_intervals(ones.ravel(), bits_of(symbol).ravel()).frequency).sum())
    return spent


def test_tables_take_less() -> None:
    rng = np.random.default_rng(3)
    smooth = "".join(f"{n},{10 * np.sin(n / 9):.3f}\n" for n in range(90)).encode()
    single = "".join(f"{float(np.float32(x))!r}\n" for x in rng.normal(size=80)).encode()
    without = CONTEXTS._replace(places=tuple(place for place in CONTEXTS.places if place != 9))
    assert bits(smooth, CONTEXTS) < 0.95 * bits(smooth, without)
    assert bits(single, CONTEXTS) < 0.85 * bits(single, without)


def noisy(seed: int) -> bytes:
    """Numerals of all kinds, and what is none."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(60):
        digits = "".join(rng.choice(list("0123456789"), rng.integers(1, 20)))
        at = int(rng.integers(0, 2 * len(digits)))
        single = repr(float(np.float32(rng.normal() * 10.0 ** rng.integers(-6, 9))))
        parts.append(str(rng.choice([digits[:at] + "." + digits[at:], single, "a", "-" + digits, "+", "1.5.2"])))
        parts.append(str(rng.choice([",", "\n", " ", "-", "x"], p=[0.4, 0.3, 0.1, 0.1, 0.1])))
    return "".join(parts).encode()


@pytest.mark.parametrize("seed", range(3))
def test_another_reader_expects_the_same(seed: int) -> None:
    own, other, field = new_numerals(1), Numerals(), 0
    for symbol in noisy(seed):
        found = expected(own, np.array([field]), NONE)
        assert found[0] == other.code(field)
        byte, first = foreseen(found)
        assert (byte[0], first[0] // (DIGIT_SETS // (ENDED + 1))) == other.foreseen(field)
        end = bool(classes()[symbol] != OTHER)
        go_on(own, np.array([field]), NONE, np.array([symbol]))
        other.reveal(symbol, field, end)
        field = 0 if symbol == 10 else field + int(end)


def test_kernels_equal_numpy() -> None:
    streams = 4
    text = np.stack([np.frombuffer(noisy(seed)[:250], np.uint8) for seed in range(streams)], 1).astype(np.int64)
    one, other = ContextMixer(text.size, streams), CompiledMixer(text.size, streams)
    for symbols in text:
        found = [mixer.encode(uniform(streams), np.arange(streams), symbols) for mixer in (one, other)]
        np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(one.state.numerals.columns, other.state.numerals.columns)
