"""Files taken apart, changed, and put together with all sizes and checksums right: sections 1 to 4 for writers."""

from __future__ import annotations

import lzma
from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from zlib import crc32

from reader import frame
from reader.errors import ReaderError
from reader.frame import BLOCK, COMPACT, END, LONG, MAGIC, PICTURE, SEGMENTED, Frame, Segment, varint
from reader.wire import Bytes

INTERESTING = (0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 16_383, 16_384, 65_535)
LARGE = (65_536, 1 << 24, 1 << 26, (1 << 28) - 1, 1 << 28, 1 << 31, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1)
TAGS = (*frame.KNOWN, 0x00, 0x09, 0x3F, 0x7F, 0x84, 0x86, 0x8A, 0xBF, 0xFF)


@dataclass
class Parts:
    """A file in parts.

    extras: tags as they stand, and values as they stand. layout, blocks: bits in which the layout and the number of
    blocks are others than due. index: what its numbers are changed to.
    """

    kind: int
    segmented: bool
    fields: bytes
    extras: list[tuple[int, bytes]]
    segments: list[Segment]
    grid: list[int] = field(default_factory=list)
    more: list[tuple[int, bytes]] = field(default_factory=list)
    layout: int = 0
    blocks: int = 0
    index: Callable[[list[int]], None] | None = None


def take_apart(blob: bytes) -> Parts:
    """The parts of a file that alone is one."""
    file = frame.read_frame(blob, 0)
    reader = Bytes(blob)
    reader.at = 5 if file.segmented else 11 if file.segments[0].method == 3 else 7
    reader.at += blob[2] >> 5 == LONG
    start = reader.at
    frame.read_fields(reader, file.kind, segmented=file.segmented)
    fields, extras = blob[start : reader.at], []
    if blob[2] & 1:
        extras = frame.raw_extras(reader.take(reader.varint()))
    parts = Parts(file.kind, file.segmented, fields, extras, file.segments, list(file.grid or ()))
    before = len(frame.told_by(file.fields)) + len([t for t, _ in extras if t & ~64 in frame.KNOWN])
    parts.more = file.extras[before:] if file.segmented else []
    return parts


def put_extras(extras: list[tuple[int, bytes]]) -> bytes:
    block = b"".join(bytes([tag]) + varint(len(value)) + value for tag, value in extras)
    return varint(len(block)) + block if extras else b""


def put_together(parts: Parts) -> bytes:
    return put_segmented(parts) if parts.segmented else put_compact(parts)


def put_compact(parts: Parts) -> bytes:
    segment = parts.segments[0]
    blocks = max(len(segment.payload) - 1, 0) // BLOCK if parts.kind < PICTURE else 0
    layout = (LONG if blocks else COMPACT) ^ parts.layout
    flags = layout << 5 | parts.kind << 3 | segment.method << 1 | bool(parts.extras)
    told = bytes([(blocks ^ parts.blocks) & 255] * (layout == LONG))
    model = (segment.model or b"abcd") if segment.method == 3 else b""
    rest = segment.check[:2] + told + model + parts.fields + put_extras(parts.extras) + segment.payload
    return checked(bytes([flags & 255]), rest)


def checked(flags: bytes, rest: bytes) -> bytes:
    check = crc_hqx(MAGIC + flags + rest, 0xFFFF)
    return MAGIC + flags + check.to_bytes(2, "little") + rest


def put_segmented(parts: Parts) -> bytes:
    flags = (SEGMENTED ^ parts.layout) << 5 | parts.kind << 1 | bool(parts.extras)
    grid = b"".join(map(varint, parts.grid))
    out = checked(bytes([flags & 255]), parts.fields + put_extras(parts.extras) + grid)
    link, model = out, b""
    for segment in parts.segments:
        part = run_head(segment.method, segment.model, model)
        model = segment.model or model
        part += varint(len(segment.payload)) + segment.payload
        link = crc32(link + segment.check + part).to_bytes(4, "little")
        out += part + segment.check + link
    return out + put_index(parts, link)


def run_head(method: int, model: bytes, before: bytes) -> bytes:
    new = bool(model) and model != before
    return bytes([method & 255 | 32 * new]) + (model if new else b"")


def put_index(parts: Parts, link: bytes) -> bytes:
    runs: list[tuple[int, bytes, int]] = []
    for segment in parts.segments:
        if runs and runs[-1][:2] == (segment.method, segment.model):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((segment.method, segment.model, 1))
    numbers = [count for *_, count in runs] + [len(segment.payload) for segment in parts.segments]
    if parts.kind != PICTURE:
        numbers += [segment.length or 0 for segment in parts.segments]
    if parts.index:
        parts.index(numbers)
    number = len(runs) if len(runs) < 32 else 0
    out, model = bytes([0xC0 | number << 1 | bool(parts.more)]) + (b"" if number else varint(len(runs))), b""
    for (method, named, _), count in zip(runs, numbers, strict=False):
        out += run_head(method, named, model) + varint(count)
        model = named or model
    out += b"".join(map(varint, numbers[len(runs) :])) + put_extras(parts.more)
    return out + crc32(out, crc32(link)).to_bytes(4, "little") + varint(len(out))[::-1] + END


# ---- changes ------------------------------------------------------------------------------------


def number(rng: Random, near: int = 0) -> int:
    """A number that may hurt."""
    kind = rng.randrange(4)
    if kind == 0:
        return max(near + rng.choice((-2, -1, 1, 2)), 0)
    return rng.choice(INTERESTING if kind < 3 else LARGE)


def bent(rng: Random, data: bytes) -> bytes:
    """Bytes with a change."""
    out, at = bytearray(data), rng.randrange(len(data) + 1)
    kind = rng.randrange(7)
    if kind == 0 and data:
        out[at % len(data)] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        out[at % len(data)] = rng.randrange(256)
    elif kind == 2:
        del out[at:]
    elif kind == 3:
        out[at:at] = rng.randbytes(rng.choice((1, 1, 2, 5)))
    elif kind == 4:
        del out[at : at + rng.choice((1, 2, 4))]
    elif kind == 5:
        out[at:at] = out[rng.randrange(len(data) + 1) :][: rng.randrange(1, 20)]
    else:
        out[at : at + 1] = varint(number(rng, out[at] if at < len(data) else 0))
    return bytes(out)


def change(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    """Change one thing."""
    steps = (_kind, _fields, _extra, _extra, _payload, _payload, _segment, _grid, _index, _swap, _layout)
    rng.choice(steps)(rng, parts, others)


def _kind(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    parts.kind = rng.randrange(5 if parts.segmented else 4)


def _layout(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    if rng.random() < 0.2:
        parts.layout = rng.randrange(8)
        parts.blocks = rng.choice((0, 0, 1, 2, 3, rng.randrange(256)))
    elif not parts.segmented and parts.kind < PICTURE:
        parts.segmented = True
    else:
        parts.segmented = not parts.segmented


def _fields(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    if parts.fields and rng.random() < 0.5:
        first = rng.choice((parts.fields[0] ^ 1 << rng.randrange(8), rng.randrange(256)))
        parts.fields = bytes([first]) + parts.fields[1:]
    else:
        parts.fields = bent(rng, parts.fields) if rng.random() < 0.7 else others().fields


def _extra(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    extras = parts.more if parts.segmented and rng.random() < 0.3 else parts.extras
    kind = rng.randrange(7)
    at = rng.randrange(len(extras)) if extras else 0
    if kind == 0 and extras:
        del extras[at]
    elif kind == 1 and extras:
        extras.append(extras[at])
    elif kind in (2, 3) and extras:
        extras[at] = extras[at][0], bent(rng, extras[at][1])
    elif kind == 4 and extras:
        extras[at] = rng.choice(TAGS), extras[at][1]
    elif kind == 5:
        extras.extend(others().extras)
    else:
        value = rng.randbytes(rng.randrange(6))
        extras.insert(at, (rng.choice(TAGS), value))
    if extras and rng.random() < 0.2:
        tag, value = extras[-1]
        extras[-1] = tag | 64, squeezed(value)


def squeezed(value: bytes) -> bytes:
    size = max(1 << max(len(value) - 1, 0).bit_length(), 4096)
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": size}]
    compressor = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters)
    return varint(len(value)) + bytes([93]) + compressor.compress(value) + compressor.flush()


def _payload(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    at = rng.randrange(len(parts.segments))
    segment = parts.segments[at]
    payload = bent(rng, segment.payload)
    if rng.random() < 0.4:  # sizes stand at the beginning
        payload = bent(rng, segment.payload[:6]) + segment.payload[6:]
    length = segment.length
    if length is not None and segment.method == 0:
        length = len(payload)
    parts.segments[at] = replace(segment, payload=payload, length=length)


def _segment(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    segments, at = parts.segments, rng.randrange(len(parts.segments))
    kind = rng.randrange(6)
    if kind == 0:
        method = rng.choice((0, 1, 2, 3, *([4, 16, 64, 128] if parts.segmented else [])))
        segments[at] = replace(segments[at], method=method, model=b"abcd" if method == 3 else b"")
    elif kind == 1 and parts.segmented:
        segments.insert(at, segments[-1])
    elif kind == 2 and len(segments) > 1:
        del segments[at]
    elif kind == 3:
        other = others().segments
        segments[at] = rng.choice(other)
    elif kind == 4:
        segments[at] = replace(segments[at], check=bent(rng, segments[at].check).ljust(4, b"\0")[:4])
    else:
        segments[at] = replace(segments[at], model=rng.choice([s.model for s in others().segments]))


def _grid(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    if parts.grid:
        at = rng.randrange(4)
        parts.grid[at] = number(rng, parts.grid[at])


def _index(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    def bend(numbers: list[int]) -> None:
        at = rng.randrange(len(numbers))
        numbers[at] = number(rng, numbers[at])

    parts.index = bend


def _swap(rng: Random, parts: Parts, others: Callable[[], Parts]) -> None:
    other = others()
    name = rng.choice(("fields", "extras", "segments", "grid", "kind"))
    setattr(parts, name, getattr(other, name))


def with_right_checks(parts: Parts, content_of: Callable[[Frame], list[bytes]]) -> Parts:
    """Parts with the checksums and lengths of the contents that their segments have, where they can be decoded."""
    try:
        file = frame.read_frame(put_together(parts), 0)
        file = replace(file, segments=[replace(s, check=b"", length=None) for s in file.segments])
        contents = content_of(file)
    except (ReaderError, OverflowError):
        return parts
    segments = [
        replace(s, check=crc32(content).to_bytes(4, "little"), length=len(content))
        for s, content in zip(parts.segments, contents, strict=False)
    ]
    return replace(parts, segments=segments)
