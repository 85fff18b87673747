"""Forged files: a file taken apart, changed where it hurts, and put together with all lengths and checksums right.

Whoever forges a file can make its checksums right, so they protect nobody: what stands behind them must hold alone.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random
from typing import Any
from unittest.mock import patch

from bfncodec.errors import BfncodecError, DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.checks import crc16, crc32
from bfncodec.format.extras import Tag, write_extras
from bfncodec.format.frame import COMPACT, LONG, MAGIC, SEGMENTED, Frame, Segment
from bfncodec.format.wire import MAX_VARINT, Reader, varint

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 300, 4095, 4096, 4097, 16_383, 16_384, 65_535)
LARGE = (65_536, 1 << 20, 1 << 24, (1 << 24) + 1, 1 << 26, (1 << 26) + 1, 1 << 28, (1 << 31) - 1, 1 << 31, 1 << 32)
HUGE = (1 << 40, (1 << 53) + 1, 1 << 61, 1 << 62, (1 << 63) - 1)
_SQUEEZED, _NAMED, _INDEX = 0x40, 0x20, 0xC0
_IDENTICAL, _LONG_TYPE, _MODEL = 0x80, 15, 3
_PICTURE, _ARRAY = 2, 3
Tree = list[Any]
Extras = list[tuple[int, bytes]]
"""Tags with the bit that says squeezed; values as meant."""


@dataclass
class Piece:
    """A segment. length: of its content, as the index tells it. odd: bits of its first byte that are other than due."""

    method: int
    payload: bytes
    model: bytes = b""
    length: int = 0
    odd: int = 0


@dataclass
class File:
    """A file in parts.

    look: a picture's origin and mode, an array's type and a number of dimensions that is not looked at. source: the
    checksum of the file that a picture becomes. shape: of an array; in the segmented form without the first side.
    blocks: of a long compact file. marked: there is a block of extras, be it empty. sides: height, rows, width and
    columns of a segmented picture. later: extras in the index. spoil: scrambles the index.
    """

    layout: int
    kind: int
    blocks: int = 0
    look: int = 0
    source: bytes = b""
    dtype: int = 0
    shape: list[int] = field(default_factory=list)
    extras: Extras = field(default_factory=list)
    marked: bool = False
    sides: list[int] = field(default_factory=list)
    segments: list[Piece] = field(default_factory=list)
    later: Extras = field(default_factory=list)
    spoil: Callable[[bytes], bytes] = bytes

    @property
    def is_segmented(self) -> bool:
        return self.layout == SEGMENTED

    @property
    def check_bytes(self) -> int:
        """Number of bytes that there are of the checksum of the file that a picture becomes."""
        origin, mode = self.look >> 4 & 7, self.look & 15
        if not 2 <= origin <= 6 and not (origin == 7 and mode < 6):
            return 0
        return 4 if self.look & _IDENTICAL and self.is_segmented else 1


# ---- apart and together -----------------------------------------------------------------------


def take_apart(blob: bytes) -> File:
    """The parts of a file that is at least put together as files are. DamagedError for any other."""
    reader = Reader(blob, 2)
    flags = reader.byte("flags")
    segmented = flags >> 5 == SEGMENTED
    file = File(flags >> 5, flags >> 1 & 15 if segmented else flags >> 3 & 3)
    reader.take(2 if segmented else 4, "checksums")
    file.blocks = reader.byte("blocks") if file.layout == LONG else 0
    method = flags >> 1 & 3
    model = reader.take(4, "model") if not segmented and method == _MODEL else b""
    _read_fields(file, reader)
    if flags & 1:
        file.marked, file.extras = True, _read_extras(reader)
    if not segmented:
        file.segments = [Piece(method, reader.rest(), model)]
        return file
    if file.kind == _PICTURE:
        file.sides = [reader.varint("a side") for _ in range(4)]
    _read_index(file, reader, _read_pieces(file, reader))
    return file


def _read_fields(file: File, reader: Reader) -> None:
    if file.kind == _PICTURE:
        file.look = reader.byte("look")
        file.source = reader.take(file.check_bytes, "checksum of the file")
    elif file.kind == _ARRAY:
        file.look = reader.byte("type")
        file.dtype = reader.byte("type") if file.look >> 4 == _LONG_TYPE else 0
        file.shape = [reader.varint("a side") for _ in range((file.look & 15) - file.is_segmented)]


def _read_pieces(file: File, reader: Reader) -> int:
    """Read all segments; return the first byte of the index."""
    last = b""
    while (byte := reader.byte("a segment")) & _INDEX != _INDEX:
        model = reader.take(4, "model") if byte & _NAMED else last if byte & 15 == _MODEL else b""
        last = model or last
        payload = reader.take(reader.varint("size"), "payload")
        file.segments.append(Piece(byte & 15, payload, model, odd=byte & 0xD0))
        reader.take(8, "checksums")
    return byte


def _read_index(file: File, reader: Reader, byte: int) -> None:
    for _ in range(min(byte >> 1 & 31 or reader.varint("runs"), len(file.segments))):
        if reader.byte("a run") & _NAMED:
            reader.take(4, "model")
        reader.varint("segments")
    for _ in file.segments:
        reader.varint("size")
    for piece in file.segments if file.kind != _PICTURE else ():
        piece.length = reader.varint("length")
    if byte & 1:
        file.later = _read_extras(reader)


def _read_extras(reader: Reader) -> Extras:
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
    crcs = [crc32((contents or {}).get(number, piece.payload)) for number, piece in enumerate(file.segments)]
    return _put_segmented(file, crcs) if file.is_segmented else _put_compact(file, crcs)


def _put_compact(file: File, crcs: list[int]) -> bytes:
    piece = (file.segments or [Piece(0, b"")])[0]
    start = MAGIC + bytes([file.layout << 5 | (file.kind & 3) << 3 | (piece.method & 3) << 1 | file.marked])
    model = (piece.model or bytes(4)) if piece.method & 3 == _MODEL else b""
    check = ((crcs or [0])[0] & 0xFFFF).to_bytes(2, "little")
    rest = (
        check
        + bytes([file.blocks] * (file.layout == LONG))
        + model
        + _fields(file)
        + _block(file.extras, file.marked)
        + piece.payload
    )
    return start + crc16(start, rest).to_bytes(2, "little") + rest


def _put_segmented(file: File, crcs: list[int]) -> bytes:
    start = MAGIC + bytes([file.layout << 5 | file.kind << 1 | file.marked])
    rest = _fields(file) + _block(file.extras, file.marked)
    if file.kind == _PICTURE:
        rest += b"".join(varint(min(side, MAX_VARINT)) for side in (file.sides + [1] * 4)[:4])
    link = start + crc16(start, rest).to_bytes(2, "little") + rest
    out, last = [link], b""
    for piece, crc in zip(file.segments, crcs, strict=True):
        body = _first(piece, last) + varint(len(piece.payload)) + piece.payload + crc.to_bytes(4, "little")
        last = piece.model or last
        link = crc32(link, body[-4:], body[:-4]).to_bytes(4, "little")
        out += [body, link]
    index = file.spoil(_index(file))
    return b"".join([*out, index, crc32(link, index).to_bytes(4, "little"), varint(len(index))[::-1], MAGIC[::-1]])


def _index(file: File) -> bytes:
    runs, last, count = b"", b"", 0
    for _, group in groupby(file.segments, lambda piece: (piece.method, piece.model, piece.odd)):
        pieces = list(group)
        runs += _first(pieces[0], last) + varint(len(pieces))
        last, count = pieces[0].model or last, count + 1
    sizes = b"".join(varint(len(piece.payload)) for piece in file.segments)
    lengths = b"".join(varint(min(piece.length, MAX_VARINT)) for piece in file.segments)
    head = bytes([_INDEX | (count if count < 32 else 0) << 1 | bool(file.later)]) + (
        varint(count) if count > 31 else b""
    )
    return head + runs + sizes + (lengths if file.kind != _PICTURE else b"") + _block(file.later, bool(file.later))


def _first(piece: Piece, last: bytes) -> bytes:
    """The first byte of a segment, and its model if that is another than the last."""
    named = piece.model not in (b"", last)
    return bytes([(piece.method & 15 | _NAMED * named) ^ piece.odd]) + (piece.model if named else b"")


def _fields(file: File) -> bytes:
    if file.kind == _PICTURE:
        size = file.check_bytes
        return bytes([file.look]) + (file.source + bytes(4))[:size]
    if file.kind == _ARRAY:
        sides = len(file.shape) + file.is_segmented
        name = bytes([file.dtype]) if file.look >> 4 == _LONG_TYPE else b""
        return bytes([file.look & 0xF0 | sides & 15]) + name + b"".join(map(varint, file.shape))
    return b""


def _block(extras: Extras, marked: bool) -> bytes:
    out = b""
    for tag, value in extras:
        stored = lzmaraw.pack(value) if tag & _SQUEEZED else value
        out += bytes([tag]) + varint(len(stored)) + stored
    return varint(len(out)) + out if marked else b""


def sealed(blob: bytes, decode: Callable[[bytes], object]) -> bytes:
    """A forged file with the checksums of its segments right, if these decode at all: they cover what is decoded."""
    contents: list[bytes] = []
    with accepting(contents.append), suppress(BfncodecError):
        decode(blob)
    return put_together(take_apart(blob), dict(enumerate(contents)))


@contextmanager
def accepting(found: Callable[[bytes], object] = lambda content: None) -> Iterator[None]:
    """A context in which checksums of segments, coded and decoded, are taken to be right, as a forger makes them."""
    segment = Frame.segment
    with (
        patch.object(Segment, "verify", lambda self, content: found(bytes(content))),
        patch.object(Frame, "segment", lambda self, number, salvage=False: segment(self, number, True)),
    ):
        yield


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
    kind = rng.randrange(4)
    if kind == 0:
        file.layout = rng.choice((COMPACT, SEGMENTED, SEGMENTED, rng.randrange(8)))
        file.blocks = rng.choice((file.blocks, 1, 2, rng.randrange(256)))
    elif kind == 1:
        file.kind = rng.choice((donor.kind, rng.randrange(4), rng.randrange(16) if file.is_segmented else 0))
    elif kind == 2 and file.segments:
        file.segments[0].method = rng.randrange(4)
    else:
        file.marked = not file.marked
    if file.is_segmented and not file.sides:
        file.sides = [number(rng), 1, number(rng), 1]


def _change_look(file: File, donor: File, rng: Random) -> None:
    file.look = rng.choice((donor.look, file.look ^ _IDENTICAL, rng.randrange(8) << 4 | rng.randrange(10)))
    if rng.random() < 0.2:
        file.look, file.dtype = rng.randrange(256), rng.randrange(256)
    if rng.random() < 0.3:
        file.layout, file.kind, file.shape, file.sides = donor.layout, donor.kind, donor.shape, donor.sides


def _change_shape(file: File, donor: File, rng: Random) -> None:
    file.kind, shape = _ARRAY, file.shape
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(3)
        if kind == 0 and len(shape) < 15:
            shape.insert(rng.randrange(len(shape) + 1), number(rng))
        elif shape and kind == 1:
            shape.pop(rng.randrange(len(shape)))
        elif shape:
            shape[rng.randrange(len(shape))] = number(rng)


def _change_extra(file: File, donor: File, rng: Random) -> None:
    extras, others = (
        (file.later, donor.later) if file.is_segmented and rng.random() < 0.3 else (file.extras, donor.extras)
    )
    file.marked = bool(file.extras) or extras is file.extras
    kind = rng.randrange(8)
    if kind == 0:
        extras.insert(rng.randrange(len(extras) + 1), (rng.choice(_TAGS), rng.choice(_VALUES)(rng)))
    elif kind == 1 and others:
        extras.insert(rng.randrange(len(extras) + 1), rng.choice(others))
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


def _change_cut(file: File, donor: File, rng: Random) -> None:
    """Other sides of a picture and its tiles, another length of a segment; sometimes an index that is none."""
    if rng.random() < 0.2:
        seed = rng.randrange(1 << 30)
        file.spoil = lambda index: scrambled(index, Random(seed), [])
    elif file.sides:
        place = rng.randrange(4)
        side = file.sides[place]
        file.sides[place] = rng.choice((number(rng), file.sides[place ^ 1], side + 1))
    elif file.segments:
        piece = rng.choice(file.segments)
        piece.length = rng.choice((number(rng), piece.length + 1, max(piece.length - 1, 0)))


def _change_models(file: File, donor: File, rng: Random) -> None:
    known = [piece.model for piece in (*file.segments, *donor.segments)] + [bytes(4)]
    for piece in rng.sample(file.segments, rng.randrange(len(file.segments) + 1)):
        piece.model = rng.choice(known)
        piece.method = _MODEL if rng.random() < 0.8 else piece.method
        piece.odd = rng.choice((0, 0, 0, _NAMED, 0x10))


def _change_segment(file: File, donor: File, rng: Random) -> None:
    segments = file.segments
    place = rng.randrange(len(segments) + 1)
    kind = rng.randrange(10)
    if kind == 0 and donor.segments:
        segments.insert(place, replace(rng.choice(donor.segments)))
        file.layout, file.sides = SEGMENTED, file.sides or [number(rng), 1, number(rng), 2]
    elif place < len(segments):
        piece = segments[place]
        if kind == 1 and file.is_segmented:
            segments.pop(place)
        elif kind == 2:
            if rng.random() < 0.5:
                piece.method = rng.randrange(4)
            else:
                piece.odd ^= 1 << rng.randrange(8)
        elif kind == 3 and donor.segments:
            piece.payload = rng.choice(donor.segments).payload
        elif kind == 4:
            piece.payload = rng.choice(_VALUES)(rng)
        elif kind == 5:
            piece.payload = _relaid(piece.payload, rng)
        else:
            piece.payload = scrambled(piece.payload, rng, [other.payload for other in donor.segments])


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
    """Lengths as the payloads say, so that more of a reader is reached."""
    for piece in file.segments:
        with suppress(DamagedError):
            piece.length = len(piece.payload) if piece.method == 0 else Reader(piece.payload).varint("it")


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
    _change_cut,
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
