"""Content added to a file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import bfncodec
from bfncodec.content.objects import content_of, content_of_array
from bfncodec.content.types import Content
from bfncodec.errors import InputError
from bfncodec.format.container import unpack
from bfncodec.format.extras import Extra, Tag
from bfncodec.segments.appending import appended
from bfncodec.segments.encode import Task
from bfncodec.segments.policy import DEFAULT_POLICY, Policy
from support.doubles import FakeModels, noise

MODELS = FakeModels()
TASK = Task("auto", MODELS, lambda done: None, 5, DEFAULT_POLICY)
CUT = Policy(plain_segment=1000, text_segment=1000)
TEXT = b"a line of words, and another line\n" * 99
ITEMS = np.arange(3000, dtype=">i4").reshape(60, 5, 10)


def content(value: Any) -> Content:
    return content_of_array(value) if isinstance(value, np.ndarray) else content_of(value)


def add(blob: bytes, value: Any) -> bytes:
    return b"".join(appended(blob, content(value), TASK))


def compress(value: Any, policy: Policy = CUT) -> bytes:
    return bfncodec.compress(value, codecs=MODELS, policy=policy)


@pytest.mark.parametrize("policy", [CUT, DEFAULT_POLICY], ids=["segmented", "compact"])
@pytest.mark.parametrize(
    ("first", "more"),
    [
        (TEXT, noise(3, 500).tobytes()),
        (noise(2, 3000).tobytes(), b"x"),
        (noise(2, 70_000).tobytes(), b"x"),
        (TEXT.decode(), "ä"),
        (ITEMS, ITEMS[7:9]),
    ],
    ids=["bytes", "noise", "long", "text", "array"],
)
def test_more_is_at_the_end(first: Any, more: Any, policy: Policy) -> None:
    blob = compress(first, policy)
    for times in range(1, 4):
        blob = add(blob, more)
        found = bfncodec.decompress(blob, codecs=MODELS)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(found, np.concatenate([first, *[more] * times]))
            assert found.dtype == first.dtype
        else:
            assert found == first + more * times


@pytest.mark.parametrize(
    ("first", "more"),
    [(b"", b"more"), ("", "more"), (ITEMS[:0], ITEMS[:2])],
    ids=["bytes", "text", "array"],
)
def test_what_is_empty_grows(first: Any, more: Any) -> None:
    np.testing.assert_array_equal(bfncodec.decompress(add(compress(first), more)), more)


def test_nothing_before_the_index_changes() -> None:
    blob = compress(TEXT)
    end = unpack(blob).entries[-1].end
    longer = add(blob, b"more")
    assert longer[:end] == blob[:end]
    assert len(longer) < len(blob) + 60
    assert all(one[end] >= 0xC0 for one in (blob,))
    assert unpack(longer).entries[: len(unpack(blob).entries)] == unpack(blob).entries


def test_metadata_stay() -> None:
    blob = compress(bytearray(TEXT))
    assert Extra(Tag.WRAPPER, b"\1") in unpack(blob).header.extras
    assert bfncodec.decompress(add(blob, b"more")) == bytearray(TEXT + b"more")


@pytest.mark.parametrize(
    ("first", "more", "said"),
    [
        (b"bytes", "text", "expected more bytes to add"),
        (ITEMS, ITEMS[:, :4], "expected elements >i4 of shape"),
        (ITEMS, ITEMS[0], "expected elements >i4 of shape"),
        (ITEMS, ITEMS.astype("<i4"), "expected elements >i4 of shape"),
        (np.array(3.5), np.array(3.5), "expected elements f8 of shape"),
        (noise(1, 5, 6, 3), b"x", "found a picture"),
        (b"bytes", b"", "nothing to add"),
    ],
)
def test_other_content_is_refused(first: Any, more: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        add(compress(first), more)


@pytest.mark.parametrize("block", [300, 4096, 1 << 20])
@pytest.mark.parametrize("first", [b"", b"a line\n", b"no end", TEXT, TEXT + b"no end", b"\n\n", TEXT * 4 + b"x"])
def test_lines_are_found_when_more_are_added(first: bytes, block: int) -> None:
    blob, whole = bfncodec.compress(first, "none", lines=True, block=block), first
    for more in (b" of this\nsecond\n", b"\n", b"unended", b" line\nthe last", TEXT, b"end\n"):
        blob, whole = add(blob, more), whole + more
        lines = io.BytesIO(whole).readlines()
        for number in {1, 2, len(lines) // 2, len(lines) - 1, len(lines)} & set(range(1, len(lines) + 1)):
            assert bfncodec.decompress(blob, line=number) == lines[number - 1]
        assert bfncodec.decompress(blob) == whole
        with pytest.raises(InputError, match=f"within the {len(lines)} there are"):
            bfncodec.decompress(blob, line=len(lines) + 1)
        assert bfncodec.describe(blob).lines in (None, len(lines))


def test_what_is_long_and_has_no_end_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bfncodec")
    first = TEXT * 50
    for start, end in ((first, b"\n"), (first + b"x" * 70_000, b"")):
        blob = bfncodec.compress(start + end, "none", lines=True, block=99)
        longer = add(blob, b"more\n")
        assert longer[: unpack(blob).entries[-1].end] == blob[: unpack(blob).entries[-1].end]
        assert bfncodec.decompress(longer) == start + end + b"more\n"
        assert bool(caplog.records) is not bool(end)
    with pytest.raises(InputError, match="within a long line"):
        bfncodec.decompress(longer, line=1)


def test_binary_data_grow_as_before() -> None:
    blob = compress(noise(2, 70_000).tobytes(), DEFAULT_POLICY)
    assert unpack(add(blob, b"x\n")).header.extra(Tag.LINES) is None


def test_files_that_cannot_grow() -> None:
    with pytest.raises(InputError, match="several one after the other"):
        add(compress(b"one") + compress(b"two"), b"three")


def test_a_damaged_file_is_not_added_to() -> None:
    blob = bytearray(compress(TEXT))
    blob[-20] ^= 1
    with pytest.raises(bfncodec.DamagedError):
        add(bytes(blob), b"more")
