"""Both codecs on tiny networks with random weights: every round trip exact, every payload as long as its ideal bits.

The weights come from integers, so that the networks, and with them the payloads, are the same on every machine.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.streams import Batch, Part, Sizes, _spans, shares
from bfncodec.codecs.text import TextCodec
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.errors import BfncodecError, DamagedError
from bfncodec.flow import Comb
from bfncodec.format.wire import varint
from bfncodec.networks.acceleration import SWITCH
from bfncodec.networks.transformer.config import FAR
from bfncodec.runtime.threads import torch_threads
from support.check import check_batches, check_codec, check_length
from support.doubles import noise
from support.models import (
    CONTEXT,
    LEAST_MIXED,
    LENGTH,
    MOST,
    TEETH,
    WINDOW,
)
from support.strategies import samples

Image = NDArray[np.uint8]


lengths = st.one_of(st.integers(0, 4), st.integers(0, 200), st.sampled_from([31, 32, 33, 39, 40, 41, 64, 65, 149, 150]))
contents = st.one_of(st.binary(max_size=60), lengths.flatmap(lambda n: samples((n,)).map(lambda a: a.tobytes())))


# --- text --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_texts(text_codec: TextCodec) -> None:
    """Neighbours in a batch have other lengths and other numbers of teeth."""
    sizes = [33, 0, 200, 1, 45, 150, 41, 64, 90, 100, 380, 32, 151, 2100]
    check_codec(text_codec, [noise(i, size).tobytes() for i, size in enumerate(sizes)])


@pytest.mark.slow
@settings(max_examples=25)
@given(x=contents)
@example(x=b"")
@example(x=noise(1, 200).tobytes())
def test_texts_round_trip(text_codec: TextCodec, x: bytes) -> None:
    payload = text_codec.encode(x)
    assert text_codec.decode(payload) == x
    report = text_codec.codelength(x)
    assert report.dims == len(x)
    assert len(report.kl) == text_steps(len(x))
    assert report.reconstruction == 0
    check_length(text_codec, x, payload, lucky=True)


def text_steps(length: int) -> int:
    """Steps of the longest lane."""
    lanes = min(-(-length // LENGTH), MOST)
    teeth = [m for least, m in TEETH if least <= length][-1]
    return Comb(-(-length // lanes), teeth).n_steps if length else 0


@pytest.mark.slow
def test_a_long_text_is_as_long_as_its_ideal_bits(text_codec: TextCodec) -> None:
    x = noise(2, 2200).tobytes()
    payload = text_codec.encode(x)
    assert text_codec.codelength(x).bits > 16_000
    check_length(text_codec, x, payload)
    assert text_codec.decode(payload) == x


def test_empty_text_is_one_byte(text_codec: TextCodec) -> None:
    assert text_codec.encode(b"") == varint(0)


def test_batching_gives_the_same_bytes(text_codec: TextCodec) -> None:
    xs = [noise(i, 380).tobytes() for i in range(3)]
    payloads = text_codec.encode_batch(xs)
    other = text_codec.with_sizes(Sizes(batch=7, encode_streams=4, block=50))
    assert other.encode_batch(xs) == payloads
    assert other.decode_batch(payloads) == xs


# --- text that learns from itself --------------------------------------------------------------

# From nothing to as many lanes as there may be, with one, two and four teeth.
mixed_lengths = st.one_of(st.integers(0, 40), st.integers(0, 4 * LENGTH), st.integers(0, 13 * LENGTH))


@st.composite
def mixed_contents(draw: st.DrawFn) -> bytes:
    """Noise, or a short string again and again with some bytes of it changed."""
    size, seed = draw(mixed_lengths), draw(st.integers(0, 99))
    period = draw(st.none() | st.integers(1, 40))
    if period is None:
        return noise(seed, size).tobytes()
    text = np.resize(noise(seed, period), size)
    if size:
        for place, value in draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 255)), max_size=3)):
            text[place] = value
    return text.tobytes()


@pytest.mark.slow
@settings(max_examples=15)
@given(x=mixed_contents())
@example(x=b"")
@example(x=b"\0" * 300)
@example(x=noise(1, LEAST_MIXED - 1).tobytes())
@example(x=noise(1, LEAST_MIXED).tobytes())
@example(x=noise(1, MOST * LENGTH).tobytes())
@example(x=noise(1, MOST * LENGTH + 1).tobytes())
def test_texts_that_learn_round_trip(mixed_codec: TextCodec, x: bytes) -> None:
    payload = mixed_codec.encode(x)
    assert mixed_codec.decode(payload) == x


@pytest.mark.slow
@settings(max_examples=5)
@given(xs=st.lists(mixed_contents(), min_size=2, max_size=3))
@example(xs=[noise(k, n).tobytes() for k, n in enumerate([20, 16, 15, 0, 31, 39, 20])])  # one tooth, unequal lengths
@example(xs=[noise(k, n).tobytes() for k, n in enumerate([402, 440])])  # the same of many lanes
@example(xs=[noise(7, 64).tobytes()] * 2 + [noise(7, 63).tobytes()])  # what one says helps none of the others
def test_texts_that_learn_side_by_side(mixed_codec: TextCodec, xs: list[bytes]) -> None:
    check_batches(mixed_codec, xs, [mixed_codec.encode(x) for x in xs])


@pytest.mark.slow
def test_texts_that_learn(mixed_codec: TextCodec) -> None:
    check_codec(mixed_codec, [noise(i, size).tobytes() for i, size in enumerate([20, 16, 15, 0, 31, 39, 300])])


@pytest.mark.parametrize("x", [noise(3, 600).tobytes(), noise(4, 70).tobytes() * 9, b"", noise(5, 15).tobytes()])
def test_a_text_that_learns_is_as_long_as_its_ideal_bits(mixed_codec: TextCodec, x: bytes) -> None:
    payload, report = mixed_codec.encode(x), mixed_codec.codelength(x)
    assert report.dims == len(x)
    assert len(report.kl) == text_steps(len(x))
    check_length(mixed_codec, x, payload, lucky=len(x) < 99)


def test_texts_learn_from_themselves(mixed_codec: TextCodec, text_codec: TextCodec) -> None:
    again, once = noise(4, 50).tobytes() * 24, noise(5, 600).tobytes()
    assert len(mixed_codec.encode(again)) < 0.5 * len(text_codec.encode(again))
    assert len(mixed_codec.encode(once)) < 1.005 * len(text_codec.encode(once))
    short = noise(6, LEAST_MIXED - 1).tobytes()
    assert mixed_codec.encode(short) == text_codec.encode(short)  # too short to learn


@pytest.mark.slow
def test_contexts_do_not_depend_on_how_lanes_are_run(mixed_folder: Path, mixed_codec: TextCodec) -> None:
    xs = [(noise(i, 54) % 7).tobytes() * 3 for i in range(3)]  # four teeth
    before, payloads = torch.get_num_threads(), mixed_codec.encode_batch(xs)
    try:
        for threads, least in ((1, 32), (2, 1), (3, 4)):
            codec = bfncodec.load(mixed_folder, threads=threads).with_sizes(
                Sizes(encode_least=least, decode_least=least)
            )
            assert torch.get_num_threads() == before
            assert codec.encode_batch(xs) == payloads
            assert codec.decode_batch(payloads) == xs
            assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)
    codec = mixed_codec.with_sizes(Sizes(batch=3, encode_streams=2, block=50))
    assert codec.encode_batch(xs) == payloads
    assert codec.decode_batch(payloads) == xs


@pytest.mark.slow
def test_steps_of_kernels_alone_are_those_through_python(
    mixed_folder: Path, mixed_codec: TextCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    xs = [noise(k, size).tobytes() for k, size in enumerate([13 * LENGTH, 20, 451, LEAST_MIXED])]
    # Whole steps end where the shortest lane does: what matches learned must be that of one step there, not of two.
    xs += [b"to be or not to be, that is " * 20 + b"to be"]
    payloads, counts = mixed_codec.encode_batch(xs), Counter[str]()
    monkeypatch.setenv(SWITCH, "always")
    for threads in (1, 3):
        codec = bfncodec.load(mixed_folder, threads=threads).with_sizes(Sizes(kernels_least=1))
        assert isinstance(codec, TextCodec)
        assert codec.decode_batch(payloads) == xs
        assert codec.decode_items(payloads, lambda count: counts.update({"bytes": count})) == xs
    assert counts["bytes"] == 2 * sum(map(len, xs))


@pytest.mark.slow
def test_what_stops_steps_of_kernels_ends_their_threads(mixed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv(SWITCH, "always")
    codec = bfncodec.load(mixed_folder, threads=3).with_sizes(Sizes(kernels_least=1))
    assert isinstance(codec, TextCodec)
    x, before = noise(0, 13 * LENGTH).tobytes(), threading.active_count()

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        codec.decode_items([codec.encode(x)], stop)
    with pytest.raises(DamagedError):
        codec.decode(varint(len(x)) + b"\xff" * 300)
    assert threading.active_count() == before


def test_the_contexts_of_a_lane_are_its_own_past(mixed_codec: TextCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(2, 13 * WINDOW + 5)  # one tooth
    made: list[ContextMixer] = []
    pasts: list[Any] = []

    class Watched(ContextMixer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

        def encode(self, weight: Any, streams: Any, symbols: Any) -> Any:
            pasts.extend(self.state.history[streams].tolist())
            return super().encode(weight, streams, symbols)

    monkeypatch.setenv(SWITCH, "never")  # kernels have contexts of their own
    monkeypatch.setattr("bfncodec.codecs.text.ContextMixer", Watched)
    mixed_codec.encode(x.tobytes())
    assert len(made) == 1
    assert made[0].state.bits == (16 * len(x) - 1).bit_length()
    starts = [len(x) * lane // MOST for lane in range(MOST)]  # where each lane begins; it ends where the next begins
    expected = []
    for start, end in zip(starts, [*starts[1:], len(x)], strict=True):
        lane = [256] * 24 + x[start:end].tolist()
        expected += [lane[i : i + 24] for i in range(end - start)]
    assert sorted(pasts) == sorted(expected)


@given(count=st.integers(1, 600), parts=st.integers(1, 40), threads=st.integers(1, 9))
def test_spans_cover_the_lanes(count: int, parts: int, threads: int) -> None:
    parts, threads = min(parts, count), min(threads, count)
    spans = _spans(count, parts, threads)
    assert [k for span in spans for k in range(span.start, span.stop)] == list(range(count))
    sizes = [span.stop - span.start for span in spans]
    assert 0 < min(sizes) <= max(sizes) <= min(min(sizes) + 1, -(-count // parts))
    assert len(spans) % threads == 0 or len(spans) == count


@given(count=st.integers(1, 600), threads=st.integers(1, 9), beside=st.floats(0.01, 2000))
@example(count=9, threads=2, beside=3.0)
def test_spans_leave_time_for_what_lies_beside(count: int, threads: int, beside: float) -> None:
    spans = _spans(count, 1, threads, beside)
    assert [k for span in spans for k in range(span.start, span.stop)] == list(range(count))
    sizes, most = [span.stop - span.start for span in spans], min(count, threads)
    assert max(1, most - 1) <= len(sizes) <= most
    assert min(sizes) > 0
    alone, shared = max(sizes[: most - 1], default=0), (sizes[-1] if len(sizes) == most else 0)
    ideal = max((count + beside) / most, beside if most > 1 else 0, count / max(1, most - 1) if shared == 0 else 0)
    assert max(alone, shared + beside) <= ideal + 1


@settings(max_examples=50)
@given(
    size=st.integers(0, 20 * WINDOW) | st.integers(0, 30_000) | st.integers(MOST * FAR * WINDOW - 9, 1 << 24),
    machine=st.booleans(),
)
@example(size=LEAST_MIXED - 1, machine=False)
@example(size=LEAST_MIXED, machine=True)
def test_lanes_cover_the_text(mixed_codec: TextCodec, size: int, machine: bool) -> None:
    found = [batch.parts for batch in mixed_codec._batches([0, size], [False, machine])]
    assert len(found) == (size > 0)
    for (part,) in found:
        edges, lengths = part.schedule.edges, np.diff(part.schedule.edges)
        assert (edges[0], edges[-1]) == (0, size)
        assert 0 < lengths.min() <= lengths.max() <= lengths.min() + 1
        assert lengths.max() <= FAR * WINDOW  # positions reach that far
        assert len(lengths) == max(min(-(-size // LENGTH), MOST), -(-size // (FAR * WINDOW)))
        assert lengths.max() <= LENGTH or len(lengths) >= MOST
        assert (part.item, part.mixed, part.machine) == (1, size >= LEAST_MIXED, machine)


def test_texts_that_learn_are_apart_from_others(mixed_codec: TextCodec) -> None:
    """Whole steps of kernels are of texts that learn alone."""
    sizes = [LEAST_MIXED, LEAST_MIXED - 1, LEAST_MIXED + 2, LEAST_MIXED - 3]
    found = [{part.item for part in batch.parts} for batch in mixed_codec._batches(sizes, [False] * len(sizes))]
    assert sorted(map(sorted, found)) == [[0, 2], [1, 3]]


@given(sizes=st.lists(st.integers(0, 2000), max_size=40), threads=st.integers(1, 4), least=st.integers(1, 4))
def test_shares_are_alike(sizes: list[int], threads: int, least: int) -> None:
    found = shares(sizes, threads, least)
    assert sorted(itertools.chain(*found)) == list(range(len(sizes)))
    assert len(found) in (1, threads)
    if len(found) > 1:
        held = [sum(sizes[i] for i in own) for own in found]
        assert max(held) - min(held) <= max(sizes)
        assert min(map(len, found)) >= least


@pytest.mark.slow
def test_texts_in_shares_are_those_alone(mixed_codec: TextCodec) -> None:
    xs = [noise(k, 40 + k % 5).tobytes() for k in range(9)]
    alone = [mixed_codec.encode(x) for x in xs]
    with torch_threads(2):
        assert mixed_codec.encode_batch(xs) == alone
        assert mixed_codec.decode_batch(alone) == xs


def test_a_symbol_attends_to_its_context_only(text_codec: TextCodec) -> None:
    """Two layers look 2 (CONTEXT - 1) slots back, hashed n-grams a few more: what came before changes nothing."""
    x, reach = noise(1, LENGTH), 2 * (CONTEXT - 1) + 3
    y = x.copy()
    y[: LENGTH - 1 - reach] ^= 5
    with_x, with_y = (text_codec.network.exact.start(1, 1, LENGTH, LENGTH) for _ in range(2))
    for run, text in ((with_x, x), (with_y, y)):
        run.reveal(0, text[None, None])
    weights = [run.predict(0, LENGTH) for run in (with_x, with_y)]
    assert np.array_equal(weights[0][:, -1], weights[1][:, -1])
    assert not np.array_equal(weights[0][:, -1 - reach], weights[1][:, -1 - reach])


@pytest.mark.slow
def test_damaged_texts_that_learn(mixed_codec: TextCodec) -> None:
    """Bits of the body may be anything; the length, which is the first byte here, says how much comes out."""
    x = noise(8, 20).tobytes() * 3
    payload = mixed_codec.encode(x)
    damaged = [payload[:cut] for cut in range(0, len(payload), 10)]
    damaged += [flip(payload, bit) for bit in (*range(0, 7, 2), *range(8, 8 * len(payload), 61))]
    for bad in damaged:
        try:
            found = mixed_codec.decode(bad)
        except BfncodecError:
            continue
        assert len(found) == bad[0]


def flip(payload: bytes, bit: int) -> bytes:
    changed = bytearray(payload)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.slow
@settings(max_examples=10)
@given(size=st.integers(0, 100), body=st.binary(max_size=60))
def test_garbage_texts_that_learn(mixed_codec: TextCodec, size: int, body: bytes) -> None:
    try:
        found = mixed_codec.decode(varint(size) + body)
    except DamagedError:
        return
    assert len(found) == size


@pytest.mark.slow
@settings(max_examples=30)
@given(size=st.integers(0, 100), body=st.binary(max_size=60))
def test_garbage_texts(text_codec: TextCodec, size: int, body: bytes) -> None:
    try:
        found = text_codec.decode(varint(size) + body)
    except DamagedError:
        return
    assert len(found) == size


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\x80\x00", varint(1 << 40), b"\xff" * 12])
def test_impossible_text_sizes(text_codec: TextCodec, payload: bytes) -> None:
    with pytest.raises(DamagedError, match=r"expected|cut off"):
        text_codec.decode(payload)


# --- bits by place -------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["text_codec", "mixed_codec"])
def test_surprise_is_the_ideal_by_place(which: str, request: pytest.FixtureRequest) -> None:
    codec: TextCodec = request.getfixturevalue(which)
    for size in (0, 1, 45, 150, 3 * LENGTH + 5):
        x = noise(size, size).tobytes()
        found = codec.surprise(x)
        schedule = codec.schedule(size)
        by_step = np.bincount(schedule.step_of, found, schedule.n_steps)
        np.testing.assert_allclose(by_step, codec.codelength(x).kl, rtol=1e-9)


def test_surprise_changes_only_from_a_changed_byte_on(text_codec: TextCodec) -> None:
    """In its stream: the others know nothing of it."""
    x = bytearray(noise(1, 3 * LENGTH).tobytes())
    assert text_codec.schedule(len(x)).streams == 3
    before = text_codec.surprise(bytes(x))
    x[LENGTH + 7] ^= 1
    (changed,) = np.nonzero(text_codec.surprise(bytes(x)) != before)
    assert LENGTH + 7 in changed
    assert changed.min() >= LENGTH + 7
    assert changed.max() < 2 * LENGTH


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5), teeth=st.integers(1, 3), streams=st.integers(1, 4))
@example(lengths=[7], teeth=1, streams=3)
@example(lengths=[2, 5, 9], teeth=2, streams=2)
def test_runs_have_every_slot_of_every_step_once_in_order(lengths: list[int], teeth: int, streams: int) -> None:
    batch = Batch(tuple(Part(k, Comb(length, teeth, streams), False) for k, length in enumerate(lengths)))
    found, steps = np.zeros((batch.streams * teeth, batch.n_steps), int), []
    for run in batch.runs:
        steps += list(run.steps)
        assert run.count == sum(len(own) for *_, own in run.slots)
        for k, place, own in run.slots:
            numbers = np.arange(len(found))[place]
            np.testing.assert_array_equal(numbers - batch.rows[k].start * teeth, own)
            for i in run.steps:
                found[numbers, i] += 1
    assert steps == list(range(batch.n_steps))
    np.testing.assert_array_equal(found, batch.exists.reshape(found.shape))
