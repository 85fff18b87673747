"""Forged files: a file taken apart, changed where it hurts, and put together with all lengths and checksums right.

Whoever forges a file can make its checksums right, so they protect nobody: what stands behind them must hold alone.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

from bfncodec.errors import BfncodecError, DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.container import MAGIC, Segment
from bfncodec.format.extras import Tag, write_extras
from bfncodec.format.wire import MAX_VARINT, Reader, varint

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 300, 4095, 4096, 4097, 16_383, 16_384, 65_535)
LARGE = (65_536, 1 << 20, 1 << 24, (1 << 24) + 1, 1 << 26, (1 << 26) + 1, 1 << 28, (1 << 31) - 1, 1 << 31, 1 << 32)
HUGE = (1 << 40, (1 << 53) + 1, 1 << 61, 1 << 62, (1 << 63) - 1)
_SQUEEZED = 0x40
Tree = list[Any]


@dataclass
class File:
    """A file in parts. segments: method with model number, and payload; of a compact file one."""

    flags: int
    look: int = 0  # a picture's origin and mode, an array's type
    shape: list[int] = field(default_factory=list)
    extras: list[tuple[int, bytes]] = field(
        default_factory=list
    )  # tags with the bit that says squeezed; values as meant
    axes: list[tuple[int, int]] = field(default_factory=list)
    models: list[bytes] = field(default_factory=list)
    segments: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def kind(self) -> int:
        return self.flags >> 4 & 3

    @property
    def is_segmented(self) -> bool:
        return bool(self.flags & 2)


# ---- apart and together -----------------------------------------------------------------------


def take_apart(blob: bytes) -> File:
    """The parts of a file that is at least put together as files are. DamagedError for any other."""
    reader = Reader(blob, 2)
    file = File(reader.byte("flags"))
    reader.take(4, "checksum")
    if not file.is_segmented and file.flags >> 2 & 3 == 3:
        file.models = [reader.take(4, "model")]
    if file.kind == 2:
        file.look = reader.byte("look")
    elif file.kind == 3:
        file.look = reader.byte("type")
        file.shape = [reader.varint("a side") for _ in range(file.look & 15)]
    if file.flags & 1:
        file.extras = _read_extras(reader)
    if not file.is_segmented:
        file.segments = [((file.flags >> 2 & 3) << 6, reader.rest())]
        return file
    sides = 2 if file.kind == 2 else 1
    file.axes = [(reader.varint("a length"), reader.varint("parts")) for _ in range(sides)]
    file.models = [reader.take(4, "model") for _ in range(min(reader.varint("models"), 999))]
    end = len(blob) - 10 - int.from_bytes(blob[-10:-6], "little")
    while reader.offset < end:
        head, size = reader.byte("method"), reader.varint("size")
        reader.take(4, "checksum")
        file.segments.append((head, reader.take(size, "payload")))
    return file


def _read_extras(reader: Reader) -> list[tuple[int, bytes]]:
    block, found = Reader(reader.take(reader.varint("size"), "extras")), []
    while block.offset < len(block.data):
        tag = block.byte("tag")
        value = block.take(block.varint("size"), "value")
        if tag & _SQUEEZED:
            try:
                value = lzmaraw.unpack(value, limit=1 << 22)
            except DamagedError:
                tag &= ~_SQUEEZED
        found.append((tag, value))
    return found


def put_together(file: File, contents: dict[int, bytes] | None = None) -> bytes:
    """The bytes of a file. contents: of the segments, for their checksums, by their number."""
    contents = contents or {}
    head = _head(file)
    extras = b""
    if file.flags & 1:
        for tag, value in file.extras:
            stored = lzmaraw.pack(value) if tag & _SQUEEZED else value
            extras += bytes([tag]) + varint(len(stored)) + stored
        extras = varint(len(extras)) + extras
    before = MAGIC + bytes([file.flags])
    if not file.is_segmented:
        model = (file.models or [bytes(4)])[0] if file.flags >> 2 & 3 == 3 else b""
        after = model + head + extras
        payload = file.segments[0][1] if file.segments else b""
        crc = _crc(contents.get(0, payload), before, after, payload)
        return before + crc + after + payload
    axes = b"".join(varint(min(number, MAX_VARINT)) for axis in file.axes for number in axis)
    after = head + extras + axes + varint(len(file.models)) + b"".join(file.models)
    crc = _crc(before, after)
    body, index = [], []
    for number, (which, payload) in enumerate(file.segments):
        entry = bytes([which]) + varint(len(payload))
        entry += _crc(contents.get(number, payload), crc, number.to_bytes(4, "little"), entry, payload)
        body += [entry, payload]
        index.append(entry)
    entries = b"".join(index)
    size = len(entries).to_bytes(4, "little")
    return b"".join([before, crc, after, *body, entries, size, _crc(crc, entries, size), MAGIC[::-1]])


def _head(file: File) -> bytes:
    if file.kind == 2:
        return bytes([file.look])
    if file.kind == 3:
        return bytes([file.look & 0xF0 | len(file.shape)]) + b"".join(map(varint, file.shape))
    return b""


def _crc(*parts: bytes) -> bytes:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc.to_bytes(4, "little")


def sealed(blob: bytes, decode: Callable[[bytes], object]) -> bytes:
    """A forged file with the checksums of its segments right, if these decode at all: they cover what is decoded."""
    contents: list[bytes] = []
    with accepting(contents.append), suppress(BfncodecError):
        decode(blob)
    return put_together(take_apart(blob), dict(enumerate(contents)))


def accepting(found: Callable[[bytes], object] = lambda content: None) -> Any:
    """A context in which the checksums of segments are taken to be right, as a forger can make them."""
    return patch.object(Segment, "check", lambda self, content: found(bytes(content)))


# ---- changes ----------------------------------------------------------------------------------


def number(rng: Random) -> int:
    """A size that may hurt."""
    return rng.choice(rng.choice((INTERESTING, INTERESTING, LARGE, HUGE)))


def mutated(blob: bytes, rng: Random, others: list[bytes]) -> bytes:
    """A file with one to four changes. others: files to take parts from."""
    if rng.random() < 0.1:
        return scrambled(blob, rng, others)
    try:
        file = take_apart(blob)
        donor = take_apart(rng.choice(others))
    except DamagedError:
        return scrambled(blob, rng, others)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        rng.choice(_CHANGES)(file, donor, rng)
    if rng.random() < 0.5:
        _fit(file)
    made = put_together(file)
    return scrambled(made, rng, others) if rng.random() < 0.05 else made


def scrambled(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Bytes with one to three changes that know nothing of their meaning."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = _scramble(data, rng, others)
    return data


def _scramble(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    size = rng.choice((1, 1, 1, 2, 4, 8, 16, 64))
    made = rng.choice((rng.randbytes(size), varint(number(rng)), bytes(size), b"\xff" * size, data[at : at + size]))
    kind = rng.randrange(6)
    if kind == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at + size :]
    if kind == 3:
        return data[:at] + made + data[at:]
    if kind == 4:
        other = rng.choice(others) if others else b""
        start = rng.randrange(len(other) + 1)
        return data[:at] + other[start : start + 4 * size] + data[at:]
    return data[:at] + made + data[at + len(made) :]


def _change_flags(file: File, donor: File, rng: Random) -> None:
    file.flags ^= 1 << rng.choice((0, 1, 2, 3, 4, 5))
    if file.is_segmented and not file.axes:
        file.axes = [(number(rng), 1)] * (2 if file.kind == 2 else 1)


def _change_look(file: File, donor: File, rng: Random) -> None:
    file.look = rng.choice((donor.look, rng.randrange(7) << 4 | rng.randrange(8), rng.randrange(256)))
    if rng.random() < 0.3:
        file.flags, file.shape, file.axes = donor.flags, donor.shape, donor.axes


def _change_shape(file: File, donor: File, rng: Random) -> None:
    if file.kind != 3:
        file.flags = file.flags & ~0x30 | 0x30
    shape = file.shape
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(3)
        if kind == 0 and len(shape) < 15:
            shape.insert(rng.randrange(len(shape) + 1), number(rng))
        elif shape and kind == 1:
            shape.pop(rng.randrange(len(shape)))
        elif shape:
            shape[rng.randrange(len(shape))] = number(rng)


def _change_extra(file: File, donor: File, rng: Random) -> None:
    file.flags |= 1
    extras = file.extras
    kind = rng.randrange(8)
    if kind == 0:
        extras.insert(rng.randrange(len(extras) + 1), (rng.choice(_TAGS), rng.choice(_VALUES)(rng)))
    elif kind == 1 and donor.extras:
        extras.insert(rng.randrange(len(extras) + 1), rng.choice(donor.extras))
    elif not extras:
        extras.append((rng.choice(_TAGS), rng.choice(_VALUES)(rng)))
    else:
        place = rng.randrange(len(extras))
        tag, value = extras[place]
        if kind == 2:
            extras.pop(place)
        elif kind == 3:
            extras[place] = rng.choice(_TAGS), value
        elif kind == 4:
            extras[place] = tag ^ _SQUEEZED, value
        elif kind == 5:
            extras[place] = tag, rng.choice(_VALUES)(rng)
        else:
            extras[place] = tag, scrambled(value, rng, [value for _, value in donor.extras])


def _change_axes(file: File, donor: File, rng: Random) -> None:
    if file.axes:
        place = rng.randrange(len(file.axes))
        length, parts = file.axes[place]
        file.axes[place] = rng.choice(
            ((number(rng), parts), (length, number(rng)), (parts, length), (length + 1, parts))
        )


def _change_models(file: File, donor: File, rng: Random) -> None:
    known = [*file.models, *donor.models, bytes(4)]
    if rng.random() < 0.5:
        file.models = [rng.choice(known) for _ in range(rng.choice((1, 1, 2, 64, 65)))]
    elif not file.is_segmented:
        file.flags |= 3 << 2
        file.models = [rng.choice(known)]


def _change_segment(file: File, donor: File, rng: Random) -> None:
    segments = file.segments
    place = rng.randrange(len(segments) + 1)
    kind = rng.randrange(10)
    if kind == 0 and donor.segments:
        segments.insert(place, rng.choice(donor.segments))
        file.flags |= 2
        file.axes = file.axes or [(number(rng), 2)] * (2 if file.kind == 2 else 1)
    elif place < len(segments):
        which, payload = segments[place]
        if kind == 1 and file.is_segmented:
            segments.pop(place)
        elif kind == 2:
            segments[place] = rng.choice((which ^ 1 << rng.randrange(8), rng.randrange(4) << 6)), payload
            if not file.is_segmented:
                file.flags = file.flags & ~0x0C | (segments[place][0] >> 6) << 2
        elif kind == 3 and donor.segments:
            segments[place] = which, rng.choice(donor.segments)[1]
        elif kind == 4:
            segments[place] = which, rng.choice(_VALUES)(rng)
        elif kind == 5:
            segments[place] = which, _relaid(payload, rng)
        else:
            segments[place] = which, scrambled(payload, rng, [payload for _, payload in donor.segments])


def _relaid(payload: bytes, rng: Random) -> bytes:
    """An LZMA payload whose content, or whose declared size, is another; any payload with other numbers in front."""
    for start in range(min(6, len(payload))):
        try:
            content = lzmaraw.unpack(payload[start:], limit=1 << 16)
        except DamagedError:
            continue
        return payload[:start] + lzmaraw.pack(scrambled(content, rng, []))
    reader = Reader(payload)
    count = rng.randrange(1, 4)
    try:
        numbers = [reader.varint("it") for _ in range(count)]
    except DamagedError:
        return payload
    numbers[rng.randrange(count)] = number(rng)
    return b"".join(map(varint, numbers)) + payload[reader.offset :]


def _fit(file: File) -> None:
    """Axes as long as their parts' payloads say, where these are stored, so that more of a reader is reached."""
    if file.is_segmented and len(file.axes) == 1 and file.axes[0][1] == len(file.segments):
        total = 0
        for which, payload in file.segments:
            try:
                total += len(payload) if which >> 6 == 0 else Reader(payload).varint("it")
            except DamagedError:
                return
        file.axes = [(total, len(file.segments))]


# ---- values -----------------------------------------------------------------------------------


def _numbers(rng: Random) -> bytes:
    return b"".join(varint(number(rng)) for _ in range(rng.randrange(1, 9)))


def _json(rng: Random) -> bytes:
    depth = rng.choice((2, 90, 1_100, 200_000))
    name = rng.choice((b"dpi", b"transparency", b"icc_profile", b"exif", b"comment", b"duration", b"loop", b"gamma"))
    value = rng.choice(
        (
            b"[" * depth + b"]" * depth,
            b'{"a":' * depth + b"1" + b"}" * depth,
            b"9" * rng.choice((5, 400, 5_000)),
            b"-1e999",
            b"NaN",
            b"[1,2]",
            b'["a",null,true]',
            b'"text"',
            b'"\\ud800"',
            b"{}",
            b"3",
            b"1.5",
            b"-1",
            b"null",
            b"[[1],[2]]",
        )
    )
    return rng.choice((b'{"' + name + b'":' + value + b"}", value, b"\xff\xfe", b'{"a":1,"a":2}'))


def _named(rng: Random) -> bytes:
    name = rng.choice((b"icc_profile", b"exif", b"transparency", b"xmp", b"", b"\xff"))
    return name + b"\0" * rng.randrange(2) + rng.randbytes(rng.randrange(40))


def _chunks(rng: Random) -> bytes:
    """PNG and WebP chunks that a reader of pictures looks at."""
    made = b"" if rng.random() < 0.5 else bytes([rng.randrange(256)])
    for _ in range(rng.randrange(4)):
        name = rng.choice(
            (b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"zTXt", b"iCCP", b"IHDR", b"VP8X", b"ANIM")
        )
        body = rng.choice((b"", rng.randbytes(13), _numbers(rng), b"a\0\0" + zlib.compress(bytes(1 << 14))))
        made += name + varint(len(body)) + body
    return made


def _files(rng: Random) -> bytes:
    """Tables of files with paths that lead elsewhere."""
    parts = (b"a", b"..", b".", b"", b"CON", b"nul.txt", b"a ", b"a.", b"C:", b"\\b", b"\xff", b"x" * 300, b"A")
    paths = sorted(
        {b"/".join(rng.choice(parts) for _ in range(rng.randrange(1, 5))) for _ in range(rng.randrange(1, 5))}
    )
    looks = bytes(rng.choice((0, 0x20, 0x32, 0x60, 0xFF)) for _ in paths)
    head = b"".join(map(varint, (rng.choice((1, 4, number(rng))), 4, rng.choice((len(paths), number(rng))))))
    sizes = b"".join(varint(rng.choice((0, 1, number(rng)))) for look in looks if not look)
    return head + b"".join(path + b"\0" for path in paths) + looks + sizes + bytes(sum(look > 0 for look in looks))


_TAGS = (*map(int, Tag), 0x10, 0xFE)
_VALUES: tuple[Callable[[Random], bytes], ...] = (
    _numbers,
    _json,
    _json,
    _named,
    _chunks,
    _files,
    lambda rng: rng.randbytes(rng.randrange(40)),
    lambda rng: b"",
    lambda rng: write_extras((), squeeze=False) * rng.randrange(3),
)
_CHANGES: tuple[Callable[[File, File, Random], None], ...] = (
    _change_flags,
    _change_look,
    _change_shape,
    _change_extra,
    _change_extra,
    _change_extra,
    _change_axes,
    _change_models,
    _change_segment,
    _change_segment,
    _change_segment,
)


def bomb(size: int) -> bytes:
    """An LZMA payload of zeros that are never at hand: as many bytes as `size` says in a 7000th of them."""
    stream = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=lzmaraw._filters(size, 3, 0, 2))
    block, made = bytes(1 << 20), b""
    for start in range(0, size, len(block)):
        made += stream.compress(block[: size - start])
    return varint(size) + bytes([93]) + made + stream.flush()
