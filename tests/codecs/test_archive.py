"""Archives of many items: the codec of the Gaussian senders, and the files that are cut between items."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.archive import GROUP, ArchiveCodec
from bfncodec.codecs.chain import Sizes
from bfncodec.errors import BfncodecError, DamagedError, InputError, SalvageableError, Salvaged
from bfncodec.format import lzmaraw
from bfncodec.format.compact import CODED_CHECK, CONTENT_CHECK
from bfncodec.format.kinds import Method
from bfncodec.format.wire import varint
from bfncodec.segments.bytes import cut_for
from bfncodec.segments.policy import Policy
from support.archives import ITEM, archive, decode_damaged, noisy
from support.check import check_codec
from support.doubles import FakeArchive, FakeModels
from support.forge import put_together, take_apart
from support.frames import segments_of
from support.tiny import CONFIGS, KINDS, MODELS_WIN, archive_codec, export_archive

pytestmark = pytest.mark.slow  # models at work: together they take minutes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        export_archive(folder / f"tiny-{kind}", kind)
    return folder


@pytest.fixture(scope="module")
def codecs(folder: Path) -> dict[str, ArchiveCodec]:
    return {kind: archive_codec(folder / f"tiny-{kind}", kind) for kind in KINDS}


@pytest.fixture
def on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny models are where models are looked for."""
    monkeypatch.setenv("BFNCODEC_MODELS", str(folder))
    return folder


SHORT = {"levels": 9, "grey": 12, "binary": 14, "letters": 35, "staggered": 35}  # items: a head and a few groups
LIKE = ("own", "slopes", "noise", "small", "capitals", "two", "pair", "one", "zeros", "three", "no zero")


kinds = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in ("staggered", "binary") else kind for kind in KINDS]
)


# --- the codec ---------------------------------------------------------------------------------


@kinds
def test_archives(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    """The first is a head and a few groups, the others are heads alone. A group costs up to 80 bits."""
    codec, items = codecs[kind], [noisy(kind, SHORT[kind]), b"", archive(kind, 5)]
    groups = len(codec.groups(codec.encode(items[0])))
    check_codec(codec, items, share=0.005, bits=200 + 80 * groups)


def test_archives_of_many_groups(codecs: dict[str, ArchiveCodec]) -> None:
    check_codec(codecs["grey"], [archive("grey", size) for size in (0, 5, 900)], share=0.005, bits=600)


@kinds
@settings(max_examples=8)
@given(
    items=st.sampled_from([0, 1, 2, 9, 30]) | st.integers(0, 40),
    rest=st.integers(0, 47),
    seed=st.integers(0, 1000),
    like=st.sampled_from(LIKE),
)
@example(items=0, rest=0, seed=0, like="own")
@example(items=0, rest=1, seed=0, like="own")
@example(items=1, rest=0, seed=0, like="own")
@example(items=40, rest=3, seed=0, like="own")
@example(items=40, rest=5, seed=0, like="one")
@example(items=40, rest=5, seed=0, like="zeros")
@example(items=40, rest=5, seed=0, like="three")
@example(items=40, rest=5, seed=0, like="no zero")
@example(items=40, rest=5, seed=0, like="capitals")
def test_archives_come_back(
    codecs: dict[str, ArchiveCodec], kind: str, items: int, rest: int, seed: int, like: str
) -> None:
    codec = codecs[kind]
    data = archive(kind, items * ITEM[kind] + rest % ITEM[kind], seed, like)
    done: list[int] = []
    payload = codec.encode(data)
    assert codec.decode(payload, done.append) == data
    assert sum(done) == len(data)
    found = codec._chain(payload)
    assert (found.size, found.head + sum(found.groups) * ITEM[kind]) == (len(data), len(data))
    assert all(1 <= group <= GROUP for group in found.groups)


@kinds
def test_a_chain_grows(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    """Only the first items are without the model, and groups grow with the stack; the last is what is left."""
    codec = codecs[kind]
    payload = codec.encode(noisy(kind, 120))
    found = codec._chain(payload)
    assert found.head < 35 * ITEM[kind]
    assert all(later >= group for group, later in zip(found.groups, found.groups[1:-1], strict=False))
    assert max(found.groups) > {"levels": 40, "grey": 40, "binary": 10, "letters": 1, "staggered": 1}[kind]
    assert codec.decode(payload) == noisy(kind, 120)


@kinds
def test_an_archive_is_as_long_as_its_game(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    """The head, L^n of all other items, and nothing else. The chain drew its noise once: within 5%;
    tests/coding/test_bitsback.py has it to a part in a thousand."""
    codec = codecs[kind]
    data = noisy(kind, 120)
    payload = codec.encode(data)
    found = codec._chain(payload)
    head = lzmaraw.pack(data[: found.head])
    values = codec.item_values.of_bytes(np.frombuffer(data, np.uint8)[found.head :], found.white)
    ideal = codec.ideal(values) + codec.ideal(values, seed=1)
    assert ideal.dims == 2 * (len(data) - found.head)
    runs = len(list(groupby(found.groups)))
    assert len(payload) - 4 * len(found.words) - codec.protection(payload) < 14 + 2 * runs
    assert 32 * len(found.words) - 8 * len(head) == pytest.approx(ideal.bits / 2, rel=0.05)
    assert codec.codelength(data).bits_per_dim == pytest.approx(ideal.bits_per_dim, rel=0.05)
    assert codec.initial_bits(data, payload) == 8 * len(head)


@pytest.mark.parametrize("like", ["zeros", "three", "no zero", "noise"])
def test_what_is_not_of_two_values_is_all_head(codecs: dict[str, ArchiveCodec], like: str) -> None:
    data = archive("binary", 40 * ITEM["binary"] + 3, 0, like)
    found = codecs["binary"]._chain(codecs["binary"].encode(data))
    assert (found.head, found.groups) == (len(data), ())


@pytest.mark.slow
@pytest.mark.parametrize(("like", "white"), [("two", 255), ("pair", 1), ("one", 7)])
def test_two_values_are_a_zero_and_another(codecs: dict[str, ArchiveCodec], like: str, white: int) -> None:
    """Return what does not fill an item may be anything."""
    data = b"\3\4" + archive("binary", 120 * ITEM["binary"], 0, like)
    found = codecs["binary"]._chain(codecs["binary"].encode(data))
    assert found.white == white
    assert (len(found.groups) > 0) == (like != "one")  # what LZMA makes next to nothing of has nothing to lend
    assert codecs["binary"].decode(codecs["binary"].encode(data)) == data


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_and_cpu_write_the_same_payloads(codecs: dict[str, ArchiveCodec], folder: Path, kind: str) -> None:
    other = archive_codec(folder / f"tiny-{kind}", kind, torch.device("cuda"))
    data = noisy(kind, 40)
    payload = codecs[kind].encode(data)
    assert other.encode(data) == payload
    assert other.decode(payload) == codecs[kind].decode(payload) == data


# --- damage ------------------------------------------------------------------------------------


_payloads: dict[str, bytes] = {}


def damageable(codec: ArchiveCodec, kind: str) -> bytes:
    if kind not in _payloads:
        _payloads[kind] = codec.encode(noisy(kind, SHORT[kind]))
        assert len(codec._chain(_payloads[kind]).groups) > 1
    return _payloads[kind]


@kinds
def test_every_flipped_bit_is_noticed_and_repaired(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    codec, data = codecs[kind], noisy(kind, SHORT[kind])
    payload = damageable(codec, kind)
    for bit in range(0, 8 * len(payload), 1 if kind == "grey" else 7):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SalvageableError, match=f"all {len(data) // ITEM[kind]} items") as error:
            codec.decode(bytes(damaged))
        if bit % 511 == 0:
            assert error.value.salvage() == Salvaged(data, ())


def beyond_repair(payload: bytes, first: int, many: int = 3) -> bytes:
    """Bytes of a single column of the parity are changed."""
    columns = -(-(len(payload) - 4) // 255)
    damaged = bytearray(payload)
    for place in range(first, first + many * columns, columns):
        damaged[place] ^= 0x55
    return bytes(damaged)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["levels", "grey"])
def test_what_is_popped_before_the_damage_comes_back(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    """Groups dig as deep into the stack as they borrow; of binary data and letters that is all of a short one."""
    codec, data = codecs[kind].with_sizes(Sizes(check=64)), noisy(kind, 200)
    payload = codec.encode(data)
    with pytest.raises(SalvageableError) as error:
        codec.decode(beyond_repair(payload, int(0.8 * len(payload))))
    found = error.value.salvage()
    head = codec.head_size(payload)
    assert found.lost[:1] == ((0, head),)
    start = found.lost[1][0] if len(found.lost) > 1 else len(data)
    assert found.content == bytes(head) + data[head:start] + bytes(len(data) - start)
    kept = (start - head) // ITEM[kind]
    assert kept > 50
    assert f" {kept} of 200 items" in str(error.value)


@pytest.mark.slow
def test_a_payload_that_was_cut_off_keeps_its_first_items(codecs: dict[str, ArchiveCodec]) -> None:
    codec, data = codecs["grey"], noisy("grey", 1200)
    payload = codec.encode(data)
    with pytest.raises(SalvageableError) as error:
        codec.decode(payload[: len(payload) * 2 // 3])
    found = error.value.salvage()
    (_, head), (start, _) = found.lost
    assert found.content[head:start] == data[head:start]
    assert start - head > len(data) / 2


@kinds
def test_every_truncation_is_noticed(codecs: dict[str, ArchiveCodec], kind: str) -> None:
    payload = damageable(codecs[kind], kind)
    lengths = {*range(24), len(payload) // 2, *range(len(payload) - 9, len(payload))}
    for length in sorted(lengths):
        assert decode_damaged(codecs[kind], payload[:length], len(noisy(kind, SHORT[kind]))), length


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 200) | st.integers(0, 2**62), max_size=6), rest=st.binary(max_size=60))
@example(sizes=[0, 0, 0], rest=b"")
@example(sizes=[0, 0, 0], rest=bytes(8))
@example(sizes=[], rest=b"")
def test_garbage_is_an_error_or_bytes_of_its_size(
    codecs: dict[str, ArchiveCodec], kind: str, sizes: list[int], rest: bytes
) -> None:
    payload = b"".join(map(varint, sizes)) + rest
    try:
        found = codecs[kind].decode(payload)
    except BfncodecError:
        return
    assert len(found) == codecs[kind]._chain(payload).size


@pytest.mark.parametrize("size", [2**39, 2**40 - 1, 2**40, 2**62])
@pytest.mark.parametrize("kind", ["grey", "binary"])
def test_impossible_sizes_allocate_nothing(codecs: dict[str, ArchiveCodec], kind: str, size: int) -> None:
    """A head as large as all of it needs no stack of its size."""
    white = b"\1" if kind == "binary" else b""
    with pytest.raises(DamagedError):
        codecs[kind].decode(varint(size) + varint(size) + white + varint(0) + bytes(3) + b"\1")


# --- files -------------------------------------------------------------------------------------


def check(blob: bytes, data: Any) -> None:
    found = bfncodec.decompress(blob, threads=1)
    if isinstance(data, np.ndarray):
        assert (found.dtype, found.shape) == (data.dtype, data.shape)
        np.testing.assert_array_equal(found, data)
    else:
        assert found == data


def random_items(kind: str, items: int) -> NDArray[np.uint8]:
    return np.frombuffer(noisy(kind, items), np.uint8).reshape(items, *CONFIGS[kind].shape)


def npy(array: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def coded_by_model(blob: bytes) -> list[bool]:
    return [part.method is Method.MODEL for part in segments_of(blob)]


def cut_to(kind: str, items: int) -> Policy:
    return replace(MODELS_WIN, archive_segment=items * ITEM[kind])


@pytest.mark.slow
def test_samples_are_coded_by_the_model(on_path: Path) -> None:
    """Return what random bits decode to, no other coder knows anything about."""
    data = b"".join(archive_codec(on_path / "tiny-binary", "binary").draw(200, (), np.random.SeedSequence(0)))
    assert len(data) == 200 * ITEM["binary"]
    blob = bfncodec.compress(data, model="tiny-binary", threads=1)
    assert coded_by_model(blob) == [True]
    assert len(blob) < len(bfncodec.compress(data, model="none"))
    check(blob, data)


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("kind", ["levels", "grey", "binary"])
def test_arrays_of_items_come_back(kind: str) -> None:
    array = random_items(kind, 32)
    blob = bfncodec.compress(array, model=f"tiny-{kind}", threads=1, policy=cut_to(kind, 12))
    assert coded_by_model(blob) == [True] * 3
    edges = [part.extent[0][1] / ITEM[kind] for part in segments_of(blob)]
    assert edges == [10, 21, 32]
    check(blob, array)


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("whole", [True, False])
def test_npy_files_are_cut_between_items(whole: bool) -> None:
    """The head of the file goes with the first items. Cut off within an item, the rest goes with the last."""
    data = npy(random_items("levels", 30))[: None if whole else -5]
    blob = bfncodec.compress(data, model="tiny-levels", threads=1, policy=cut_to("levels", 12))
    assert coded_by_model(blob) == [True] * 3
    edges = [part.extent[0] for part in segments_of(blob)]
    ends = [128 + 10 * 48, 128 + 20 * 48] if whole else [128 + 9 * 48, 128 + 19 * 48]
    assert edges == [(0, ends[0]), (ends[0], ends[1]), (ends[1], len(data))]
    check(blob, data)


@pytest.mark.usefixtures("on_path")
def test_text_is_cut_so_that_the_last_item_ends_with_it() -> None:
    text = "abc" + noisy("letters", 80).decode()
    blob = bfncodec.compress(text, model="tiny-letters", threads=1, policy=cut_to("letters", 40))
    assert [part.extent[0][1] for part in segments_of(blob)] == [3 + 8 * end for end in (26, 53, 80)]
    assert coded_by_model(blob) == [True] * 3
    check(blob, text)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 3000), largest=st.integers(1, 500), item=st.sampled_from(KINDS), head=st.booleans())
def test_cuts_are_between_items(size: int, largest: int, item: str, head: bool) -> None:
    """Segments tile the content and begin where an item does, whatever the sizes."""
    data = (npy(np.zeros((5, 4), np.uint8)) if head else b"") + bytes(size)
    cut = cut_for(data, FakeArchive(CONFIGS[item].shape), Policy(archive_segment=largest))
    edges = [extent[0] for extent in cut.extents]
    assert (edges[0][0], edges[-1][1]) == (0, len(data))
    assert all(stop == start for (_, stop), (start, _) in pairwise(edges))
    assert all(start < stop for start, stop in edges) or not data
    first = min(128, len(data)) if head else size % ITEM[item]
    assert all((start - first) % ITEM[item] == 0 for start, _ in edges[1:])


REFUSED: list[tuple[str, Any, str]] = [
    ("letters", b"Capitals, commas. And \xff bytes " * 40, "small letters and spaces only, found b'C' at byte 0"),
    ("staggered", "häßlich " * 100, r"found b'\\xc3' at byte 1"),
    ("binary", bytes(range(256)) * 8, "two values, 0 and one other, found 256 values"),
    ("binary", b"\1\2" * 800, "two values, 0 and one other, found 2 values"),
    ("binary", b"", "codes items of"),
    ("grey", b"", "codes items of 4 x 4 x 1, 16 bytes each, found 0 bytes"),
    ("levels", b"a" * 47, "48 bytes each, found 47 bytes"),
    ("levels", archive("levels", 48), "too few"),
    ("letters", archive("letters", 8 * 5), "too few"),
    ("binary", np.arange(3 * 4 * 4 * 9, dtype=np.uint16).reshape(3, 4, 4, 9), "found an array of u2"),
    ("letters", np.zeros((0, 5, 5, 5), np.uint8), "found 0 bytes"),
]


@pytest.mark.parametrize(("kind", "data", "message"), REFUSED)
def test_other_data_are_refused_with_the_reason(on_path: Path, kind: str, data: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"model tiny-{kind} .*({message}).*auto"):
        bfncodec.compress(data, model=f"tiny-{kind}", threads=1)
    assert bfncodec.compress(data, codecs=FakeModels())


def test_pictures_are_not_for_archive_models(on_path: Path) -> None:
    with pytest.raises(InputError, match="arrays or text of many items"):
        bfncodec.compress(np.zeros((8, 8, 3), np.uint8), model="tiny-levels", threads=1)


def test_archives_are_never_chosen_unasked(on_path: Path) -> None:
    data = b"".join(archive_codec(on_path / "tiny-binary", "binary").draw(200, (), np.random.SeedSequence(0)))
    blob = bfncodec.compress(np.frombuffer(data, np.uint8).reshape(200, 4, 4, 1), threads=1)
    assert coded_by_model(blob) == [False]


def test_models_on_disk_are_the_ones_in_memory(on_path: Path, codecs: dict[str, ArchiveCodec]) -> None:
    for kind in KINDS:
        loaded = bfncodec.load(f"tiny-{kind}", threads=1)
        assert isinstance(loaded, ArchiveCodec)
        assert loaded.encode(noisy(kind, 12)) == codecs[kind].encode(noisy(kind, 12))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grey", "letters"])
def test_measure_tells_the_noise_of_a_draw_from_the_coders_loss(on_path: Path, kind: str) -> None:
    data = noisy(kind, 150)
    found = bfncodec.measure(data, f"tiny-{kind}", threads=1, draws=3, policy=MODELS_WIN)
    codec = archive_codec(on_path / f"tiny-{kind}", kind)
    payload = codec.encode(data)
    assert found.ideal is not None
    assert found.ideal.dims == len(data) - codec.head_size(payload)
    assert found.initial_bits == codec.initial_bits(data, payload)
    assert found.protection_bits == 8 * codec.protection(payload)
    assert found.model_bits + found.initial_bits + found.protection_bits == 8 * len(payload)
    assert found.frame_bits + 8 * len(payload) == 8 * found.container_bytes
    assert 0 < found.ideal.error < 0.05 * found.ideal.bits
    assert abs(found.path_bits - found.ideal.bits) < 6 * 3**0.5 * found.ideal.error  # one draw against the mean of 3
    groups = len(codec.groups(payload))
    assert -40 < found.difference < 0.005 * found.path_bits + 80 * groups + 200


# --- salvage -----------------------------------------------------------------------------------


def salvage(blob: bytes) -> tuple[Any, list[bfncodec.Damage]]:
    damages: list[bfncodec.Damage] = []
    return bfncodec.decompress(blob, threads=1, on_damage=damages.append), damages


def segment_at(blob: bytes, number: int) -> tuple[int, int, tuple[int, int]]:
    """Where its payload begins in a file and how long it is, and its byte range of the content."""
    part = segments_of(blob)[number]
    return blob.index(part.payload), len(part.payload), part.extent[0]


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_salvage_repairs_a_flipped_bit(damaged: int) -> None:
    """Nothing is lost, and that there is damage is told with an empty place."""
    data = npy(random_items("grey", 28))  # and 8 items of head
    blob = bfncodec.compress(data, model="tiny-grey", threads=1, policy=cut_to("grey", 12))
    at, size, (start, _) = segment_at(blob, damaged)
    for place in (at + 3, at + size // 2, at + size - 1):
        flipped = blob[:place] + bytes([blob[place] ^ 4]) + blob[place + 1 :]
        with pytest.raises(DamagedError, match=f"segment {damaged + 1} of 3: checksum mismatch of the coded bytes"):
            bfncodec.decompress(flipped, threads=1)
        found, damages = salvage(flipped)
        assert [(d.segment, d.count, d.extent, d.repaired) for d in damages] == [(damaged, 3, ((start, start),), True)]
        assert found == data


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_salvage_loses_what_is_popped_after_the_damage(damaged: int) -> None:
    """Zeros in its place, and its bytes are named."""
    data = npy(random_items("grey", 28))
    blob = bfncodec.compress(data, model="tiny-grey", threads=1, policy=cut_to("grey", 12))
    at, size, (start, stop) = segment_at(blob, damaged)
    broken = blob[:at] + beyond_repair(blob[at : at + size], size * 3 // 4) + blob[at + size :]
    with pytest.raises(DamagedError, match=f"segment {damaged + 1} of 3"):
        bfncodec.decompress(broken, threads=1)
    found, damages = salvage(broken)
    assert {(d.segment, d.count, d.repaired) for d in damages} == {(damaged, 3, False)}
    expected = bytearray(data)
    for d in damages:
        ((first, last),) = d.extent
        assert start <= first < last <= stop
        expected[first:last] = bytes(last - first)
    assert found == bytes(expected)


@pytest.mark.usefixtures("on_path")
def test_a_file_of_one_segment_is_salvaged_too(codecs: dict[str, ArchiveCodec]) -> None:
    data, source = random_items("grey", 200), FakeModels()
    source.codecs["archive"] = codecs["grey"].with_sizes(Sizes(check=64))
    blob = bfncodec.compress(data, model="tiny-grey", codecs=source, policy=MODELS_WIN)
    at, size, _ = segment_at(blob, 0)
    broken = blob[:at] + beyond_repair(blob[at:], size * 3 // 4)
    for damaged in (broken, blob[:-5]):
        with pytest.raises(DamagedError, match="checksum mismatch of the coded bytes"):
            bfncodec.decompress(damaged, threads=1)
        found, damages = salvage(damaged)
        same = (found == data).reshape(200, -1).all(1)
        assert same.sum() > 30
        lost = sum((d.extent[0][1] - d.extent[0][0]) // ITEM["grey"] for d in damages)
        assert same.sum() >= 200 - lost
    for place in (CODED_CHECK, CONTENT_CHECK):
        wrong_checksum = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        with pytest.raises(DamagedError, match="checksum mismatch of the coded bytes"):
            bfncodec.decompress(wrong_checksum, threads=1)
        found, damages = salvage(wrong_checksum)
        np.testing.assert_array_equal(found, data)
        assert [d.repaired for d in damages] == [True]
    with pytest.raises(DamagedError, match="all items match"):  # the content's checksum is wrong, and covered
        bfncodec.decompress(put_together(take_apart(blob), {0: b"other"}), threads=1)


@pytest.mark.usefixtures("on_path")
def test_a_file_that_was_cut_off_keeps_its_first_items() -> None:
    array = random_items("grey", 30)
    blob = bfncodec.compress(array, model="tiny-grey", threads=1, policy=cut_to("grey", 12))
    found, damages = salvage(blob[: len(blob) * 19 // 20])
    expected = array.copy()
    for damage in damages[:-1]:
        ((start, stop),) = damage.extent
        assert (damage.segment, start >= 20 * ITEM["grey"], stop > start) == (2, True, True)
        expected.reshape(-1)[start:stop] = 0
    np.testing.assert_array_equal(found, expected)
    assert len(found) == 30
    assert damages[-1].unknown  # without the index nobody knows how many there were
