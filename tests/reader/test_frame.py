"""Files, read by the second reader and by bfncodec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bfncodec
from bfncodec.errors import NewerVersionError
from reader import frame
from reader.directories import models_in
from reader.errors import DamagedError, LimitError, ModelMissingError, NewerError, NotOursError
from reader.forge import Parts, put_together, squeezed
from reader.frame import varint
from reader.methods import Limits
from reader.mutants import described, ours_of, run, same, theirs_of
from reader.objects import Array, read
from reader.sources import longs, sources
from support.places import GOLDEN
from support.strategies import arrays, images, number_arrays

TINY = GOLDEN / "tiny"
FILES = sorted(GOLDEN.glob("*.bfn"))
texts = st.text(st.characters(codec=None), max_size=60)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_files(file: Path) -> None:
    """Files that need a network say which; damaged and newer ones say what they are."""
    assert same(ours_of(file.read_bytes()), theirs_of(file.read_bytes()))


@pytest.mark.parametrize("number", range(len(sources())))
def test_files_of_every_kind(number: int) -> None:
    found = ours_of(sources()[number])
    assert not isinstance(found, str)
    assert same(found, theirs_of(sources()[number]))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80) | texts | arrays() | number_arrays() | images())
def test_objects_come_back(given: Any) -> None:
    assert same(ours_of(bfncodec.compress(given, model="none")), described(given))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40) | texts, min_size=2, max_size=5), st.data())
def test_files_one_after_the_other(parts: list[bytes | str], data: st.DataObject) -> None:
    blob = b"".join(bfncodec.compress(part, model="none") for part in parts)
    assert same(ours_of(blob), theirs_of(blob))
    cut = data.draw(st.integers(0, len(blob)))
    assert same(ours_of(blob[:cut]), theirs_of(blob[:cut]))


def test_what_a_reader_returns() -> None:
    assert read(bfncodec.compress("Ende", model="none")) == ("text", "Ende")
    assert read(bfncodec.compress(np.zeros((1, 2), ">f4"), model="none")) == ("array", Array(">f4", (1, 2), bytes(8)))
    assert read((GOLDEN / "file_png.bfn").read_bytes())[0] == "file"


@pytest.mark.parametrize(
    ("blob", "error"),
    [
        (b"", NotOursError),
        (b"\x89PNG", NotOursError),
        (b"\xbf\x4e\xe0\0\0", NewerError),
        (b"\xbf\x4e\x88\xc4\x7a\x4d\xaa\x45\x6e\x64\x66", DamagedError),
        ((GOLDEN / "model_text.bfn").read_bytes(), ModelMissingError),
    ],
)
def test_what_a_reader_refuses(blob: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(blob)


@pytest.mark.parametrize("behind", [b"", bfncodec.compress(b"more", model="none")], ids=["alone", "in_a_row"])
@pytest.mark.parametrize("head", [4, 0x10, 0x40, 0x80])
def test_newer_segments(head: int, behind: bytes) -> None:
    """They are newer wherever the file ends, unless the checksum of the index does not hold."""
    check = crc32(b"abcd").to_bytes(4, "little")
    segments = [frame.Segment(0, b"", b"abcd", check, 4), frame.Segment(head, b"", b"abcd", check, 4)]
    blob = put_together(Parts(frame.BYTES, True, b"", [], segments))
    assert ours_of(blob + behind) == theirs_of(blob + behind) == "newer"
    _, check_at = frame.find_index(blob)
    other = blob[:check_at] + bytes([blob[check_at] ^ 1]) + blob[check_at + 1 :] + behind
    assert ours_of(other) == theirs_of(other) == "damaged"


def segmented(extras: list[tuple[int, bytes]], *segments: frame.Segment, counts: list[int] | None = None) -> bytes:
    """A file of bytes in segments. counts: of segments in each run, others than there are."""

    def change(numbers: list[int]) -> None:
        numbers[: len(counts or ())] = counts or []

    return put_together(Parts(frame.BYTES, True, b"", extras, list(segments), index=change))


def segment(content: bytes, method: int = 0, length: int | None = None) -> frame.Segment:
    payload = squeezed(content) if method == 1 else content
    size = len(content) if length is None else length
    return frame.Segment(method, b"", payload, crc32(content).to_bytes(4, "little"), size)


@pytest.mark.parametrize(("count", "verdict"), [(1, "newer"), (0, "damaged"), (1000, "damaged"), (1 << 40, "damaged")])
def test_a_run_that_cannot_be_comes_before_a_newer_one(count: int, verdict: str) -> None:
    old, new = segment(b"ab"), segment(b"cd", method=4)
    blob = segmented([], old, new, counts=[count, 1])
    assert ours_of(blob) == theirs_of(blob) == verdict
    blob = segmented([], new, old, counts=[1, count])
    assert ours_of(blob) == theirs_of(blob) == "newer"


TABLE = b"\1\1\1a\0\x2a\0"  # a folder of one picture of a mode that is newer


@pytest.mark.parametrize(
    ("extras", "part", "verdict"),
    [
        ([(0x85, TABLE)], segment(b"abc", 1), "newer"),
        ([(0x85, TABLE)], segment(b"abc", 1, length=4), "damaged"),  # than the payload declares
        ([(0x85, TABLE)], segment(b"abc", 2), "damaged"),  # a picture stream of bytes
        ([(0x85, TABLE), (0x08, b"\1x")], segment(b"abc"), "newer"),
        ([(0x8A, b"\2")], segment(b"abc", 1), "newer"),
        ([(0x8A, b"\2")], segment(b"abc", 1, length=4), "damaged"),
        ([(0x8A, b"\2"), (0x08, b"\1x")], segment(b"abc"), "newer"),
        ([(0x04, b"\7")], segment(b"abc", 1, length=4), "damaged"),
    ],
)
def test_sizes_come_before_tables(extras: list[tuple[int, bytes]], part: frame.Segment, verdict: str) -> None:
    blob = segmented(extras, part)
    assert ours_of(blob) == theirs_of(blob) == verdict


@pytest.mark.parametrize("place", [0, 1])
def test_continued_segments_are_newer(place: int) -> None:
    parts = [segment(b"ab"), segment(b"cd")]
    parts[place] = replace(parts[place], method=0x10)
    blob = segmented([], *parts)
    assert ours_of(blob) == "newer"
    with pytest.raises(NewerVersionError, match="goes on from the state of the one before"):
        bfncodec.decompress(blob)


def test_newer_extras_in_a_row() -> None:
    check = crc32(b"abcd").to_bytes(4, "little")
    newer = put_together(Parts(frame.BYTES, False, b"", [(0x8F, b"?")], [frame.Segment(0, b"", b"abcd", check)]))
    for blob in (newer, newer + newer, newer + bfncodec.compress("text", model="none")):
        assert ours_of(blob) == theirs_of(blob) == "newer"


def test_pictures_beyond_the_limit() -> None:
    blob = bfncodec.compress(np.zeros((9, 9), np.uint8), model="none")
    assert read(blob, limits=Limits(81))
    with pytest.raises(LimitError):
        read(blob, limits=Limits(80))


def test_a_file_that_becomes_another_one_is_told() -> None:
    pixels = varint(1) + varint(1) + b"\x80"
    content = crc32(b"\x80").to_bytes(4, "little")
    found = {}
    for check in range(256):
        fields = bytes([0x52, check])
        blob = put_together(Parts(frame.PICTURE, False, fields, [], [frame.Segment(0, b"", pixels, content)]))
        _, file = read(blob)
        assert file.data == b"P5\n1 1\n255\n\x80"
        found[check] = file.same
    assert [check for check, is_same in found.items() if is_same] == [crc32(file.data) & 255]


@pytest.mark.parametrize("file", [file for file in FILES if file.stem.startswith("segmented_")], ids=lambda f: f.stem)
def test_segments_are_found_by_the_index(file: Path) -> None:
    """They begin where they do for one who walks from the first to the last."""
    blob = file.read_bytes()
    found, at = frame.find_segments(blob), frame.read_head(blob, 0).end
    for segment, start in zip(frame.read_frame(blob, 0).segments, found, strict=True):
        assert start == at
        at = blob.index(segment.payload, start) + len(segment.payload) + 8


@pytest.mark.parametrize("name", ["mixed-text", "picture", "letters"])
def test_files_with_their_networks(name: str, load: Callable[[Any], Any]) -> None:
    """One of each role: texts, pictures, archives."""
    payload, codec = (TINY / name / "payload").read_bytes(), load(TINY / name)
    content = codec.decode(payload)
    check = crc32(bytes(content)).to_bytes(4, "little")
    is_picture = isinstance(content, np.ndarray) and codec.info.role == "image"
    fields, kind = (b"\x10", frame.PICTURE) if is_picture else (b"", frame.BYTES)
    blob = put_together(Parts(kind, False, fields, [], [frame.Segment(3, codec.info.id, payload, check)]))
    assert same(read(blob, models_in([TINY / name])), described(content if is_picture else bytes(content)))


@pytest.mark.slow
def test_verdicts_of_mutants() -> None:
    verdicts, apart = run(2000, 0, sources())
    assert not [blob.hex() for blob, *_ in apart]
    assert {"damaged", "newer", "bytes", "array"} <= set(verdicts)


@pytest.mark.slow
def test_verdicts_of_mutants_of_long_files() -> None:
    verdicts, apart = run(1000, 0, [*longs(), *sources()[:6]])
    assert not [blob.hex() for blob, *_ in apart]
    assert {"damaged", "newer", "bytes", "text"} <= set(verdicts)


@pytest.mark.long
def test_verdicts_of_many_mutants() -> None:
    _, apart = run(100_000, 1, sources())
    assert not [blob.hex() for blob, *_ in apart]
