"""Sections 1 to 4 and 9 of the file format: the parts of a file and their checksums.

Nothing is decoded here: `methods` decodes payloads, `objects` makes objects of content and extras.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass, replace
from zlib import crc32

from reader.errors import DamagedError, LimitError, NewerError, NotOursError
from reader.lzma1 import decode_lzma
from reader.wire import Bytes

MAGIC, END = b"\xbf\x4e", b"\x4e\xbf"
BYTES, TEXT, PICTURE, ARRAY = range(4)
COMPACT, SEGMENTED, LONG = 4, 5, 6
BLOCK = 65_536  # of the payload of a file that another may follow
TRIES = 16
MOST_PIXELS = 1 << 28
ALONE = {0x85, 0x88, 0x8A}
"""Tags of bytes that no file may follow."""


@dataclass(frozen=True)
class PictureFields:
    """Fields of a picture. check: bytes of the CRC-32 of the file that it becomes. packed: what stands for tag 89."""

    exact: bool
    origin: int
    mode: int
    check: bytes
    packed: bytes = b""


@dataclass(frozen=True)
class ArrayFields:
    """Fields of an array. shape: in a segmented file without the first side."""

    kind: int
    item: int
    big: bool
    shape: tuple[int, ...]
    dimensions: int


Fields = PictureFields | ArrayFields | None
Extras = list[tuple[int, bytes]]
"""Tags without bit 6, and their values."""
Run = tuple[int, bytes]
"""Method and model of segments."""


@dataclass(frozen=True)
class Segment:
    """A segment. check: CRC-32 of the content, or its lower half. length: of the content, if the index has it."""

    method: int
    model: bytes
    payload: bytes
    check: bytes
    length: int | None = None


@dataclass(frozen=True)
class Frame:
    """A file in parts. grid: height, rows of tiles, width and columns of a segmented picture."""

    kind: int
    fields: Fields
    extras: Extras
    segments: list[Segment]
    end: int
    grid: tuple[int, ...] | None = None
    segmented: bool = False

    @property
    def tags(self) -> dict[int, bytes]:
        return dict(self.extras)


def varint(value: int) -> bytes:
    """The bytes of a varint."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


# ---- section 9 ----------------------------------------------------------------------------------


def read_frames(data: bytes, pixels: int = MOST_PIXELS) -> list[Frame]:
    """All files that stand one after the other. pixels: of the largest picture."""
    if not data or not MAGIC.startswith(data[:2]):
        raise NotOursError("expected BF 4E")
    frames = [read_frame(data, 0, pixels)]
    while (at := frames[-1].end) < len(data):
        if data[at : at + 2] != MAGIC:
            raise DamagedError(f"expected the end or BF 4E at byte {at}")
        frames.append(read_frame(data, at, pixels))
    if len(frames) > 1 and not all(map(joinable, frames)):
        raise DamagedError("files that cannot follow one another")
    return frames


def joinable(frame: Frame) -> bool:
    return frame.kind in (BYTES, TEXT) and not ALONE & set(frame.tags)


def end_of_compact(data: bytes, at: int) -> int:
    """Where a compact file ends."""
    ends, newer = joinable_ends(data, at), 0
    for place in places(data, at, ends):
        try:
            if begins_soundly(data, place):
                return place
        except NewerError:
            newer = newer or place
    return newer if newer and not ends_with_all(data, at, ends) else len(data)


def ends_with_all(data: bytes, at: int, ends: range) -> bool:
    return len(data) in ends and check_of_compact(data, at, len(data))


def joinable_ends(data: bytes, at: int) -> range:
    """Where a compact file may end that another may follow, nowhere for any other."""
    reader = Bytes(data)
    reader.at = at + 2
    try:
        flags = reader.byte()
        reader.take(4)
        blocks = read_blocks(reader, flags)
        reader.take(4 if flags >> 1 & 3 == 3 else 0)
        tags = [tag for tag, _ in raw_extras(reader.take(reader.varint()))] if flags & 1 else []
    except DamagedError:
        return range(0)
    is_plain = flags >> 5 in (COMPACT, LONG) and flags >> 3 & 3 in (BYTES, TEXT)
    return ends_of(reader.at, blocks) if is_plain and not ALONE & {tag & ~SQUEEZED for tag in tags} else range(0)


def read_blocks(reader: Bytes, flags: int) -> int:
    """Blocks before the last byte of a payload, as far as that is told."""
    if flags >> 5 != LONG:
        return 0
    blocks = reader.byte()
    if not blocks or flags >> 3 & 3 not in (BYTES, TEXT):
        raise DamagedError("a long file of one block, or of a picture or an array")
    return blocks


def ends_of(start: int, blocks: int) -> range:
    """Where a payload may end that starts somewhere and has so many blocks before its last byte."""
    return range(start + BLOCK * blocks + bool(blocks), start + BLOCK * (blocks + 1) + 1)


def places(data: bytes, at: int, ends: range) -> list[int]:
    """Places with a magic number at which the CRC-16 of the file at `at` holds."""
    found: list[int] = []
    wanted = int.from_bytes(data[at + 3 : at + 5], "little")
    check, done = crc_hqx(data[at : at + 3], 0xFFFF), at + 5
    place = data.find(MAGIC, ends[0]) if ends else -1
    while place in ends and len(found) < TRIES:
        check, done = crc_hqx(data[done:place], check), place
        if check == wanted:
            found.append(place)
        place = data.find(MAGIC, place + 1)
    return found


def begins_soundly(data: bytes, at: int) -> bool:
    """Return whether a file begins at a place with the magic number. NewerError if a newer one may."""
    try:
        layout = read_layout(data, at)
        if layout == SEGMENTED:
            return bool(read_head(data, at))
    except DamagedError:
        return False
    ends = joinable_ends(data, at)
    return ends_with_all(data, at, ends) or bool(places(data, at, ends))


# ---- section 1 ----------------------------------------------------------------------------------


def read_frame(data: bytes, at: int, pixels: int = MOST_PIXELS) -> Frame:
    """The file that begins at a place."""
    return read_segmented(data, at, pixels) if read_layout(data, at) == SEGMENTED else read_compact(data, at)


def read_layout(data: bytes, at: int) -> int:
    """The layout of a file."""
    if len(data) < at + 5:
        raise DamagedError("cut off in its first five bytes")
    layout = data[at + 2] >> 5
    if layout > LONG:
        raise NewerError(f"layout {layout}")
    if layout < COMPACT:
        raise DamagedError(f"layout {layout}, which no release wrote")
    return layout


def check_of_compact(data: bytes, at: int, end: int) -> bool:
    check = crc_hqx(data[at + 5 : end], crc_hqx(data[at : at + 3], 0xFFFF))
    return check == int.from_bytes(data[at + 3 : at + 5], "little")


def read_only(data: bytes, pixels: int = MOST_PIXELS) -> Frame:
    """The one file that takes all of the bytes."""
    is_segmented = read_layout(data, 0) == SEGMENTED
    frame = read_segmented(data, 0, pixels) if is_segmented else read_compact(data, 0, len(data))
    if frame.end != len(data):
        raise DamagedError(f"bytes behind the file that ends at byte {frame.end}")
    return frame


def read_compact(data: bytes, at: int, end: int = 0) -> Frame:
    """The compact file that begins at a place. end: its own, if that is known."""
    flags = data[at + 2]
    kind, method = flags >> 3 & 3, flags >> 1 & 3
    end = end or end_of_compact(data, at)
    if not check_of_compact(data, at, end):
        raise DamagedError(f"CRC-16 of the file at byte {at}")
    reader = Bytes(data[at:end])
    reader.take(5)
    check, blocks = reader.take(2), read_blocks(reader, flags)
    model = reader.take(4) if method == 3 else b""
    fields = read_fields(reader, kind, segmented=False)
    extras = told_by(fields) + (read_extras(reader.take(reader.varint())) if flags & 1 else [])
    payload = reader.rest()
    if kind in (BYTES, TEXT) and len(payload) not in ends_of(0, blocks):
        raise DamagedError(f"a compact payload of {len(payload)} bytes")
    frame = Frame(kind, fields, extras, [Segment(method, model, payload, check)], end)
    check_tags(frame)
    return frame


# ---- section 2 ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """The head of a segmented file."""

    kind: int
    fields: Fields
    extras: bytes
    grid: tuple[int, ...] | None
    end: int


def read_head(data: bytes, at: int) -> Head:
    """The head of a segmented file, its CRC-16 checked."""
    reader = Bytes(data)
    reader.at = at + 2
    flags = reader.byte()
    reader.take(2)
    kind = flags >> 1 & 15
    fields = read_fields(reader, kind, segmented=True)
    extras = reader.take(reader.varint()) if flags & 1 else b""
    grid = tuple(reader.varint() for _ in range(4)) if kind == PICTURE else None
    if not check_of_compact(data, at, reader.at):
        raise DamagedError(f"CRC-16 of the head at byte {at}")
    return Head(kind, fields, extras, grid, reader.at)


def read_segmented(data: bytes, at: int, pixels: int) -> Frame:
    head = read_head(data, at)
    extras = told_by(head.fields) + read_extras(head.extras)
    frame = Frame(head.kind, head.fields, extras, [], 0, head.grid, segmented=True)
    check_tags(frame)
    if head.grid:
        check_grid(head.grid, len(data), pixels)
    reader = Bytes(data)
    reader.at = head.end
    try:
        segments, link = walk(reader, data[at : head.end])
        index = read_index(reader, link, head.kind)
    except DamagedError:
        if index_is_newer(data, at, head.end):
            raise NewerError("segments of a newer version") from None
        raise
    if index.runs != [(s.method, s.model) for s in segments] or index.sizes != [len(s.payload) for s in segments]:
        raise DamagedError("the index says something else than the segments")
    if head.grid and len(segments) != head.grid[1] * head.grid[3]:
        raise DamagedError(f"{len(segments)} tiles of {head.grid}")
    lengths = index.lengths or [None] * len(segments)
    segments = [replace(segment, length=length) for segment, length in zip(segments, lengths, strict=True)]
    frame = replace(frame, extras=frame.extras + index.extras, segments=segments, end=reader.at)
    check_tags(frame)
    return frame


def walk(reader: Bytes, link: bytes) -> tuple[list[Segment], bytes]:
    """(the segments, the last four bytes of the last one). link: the head. Newer segments are taken for known ones."""
    segments: list[Segment] = []
    model = b""
    while reader.data[reader.at : reader.at + 1] < b"\xc0":
        start = reader.at
        method, model = read_run(reader, model)
        size = reader.varint()
        if size >> 28:
            raise DamagedError(f"a payload of {size} bytes")
        payload = reader.take(size)
        covered = reader.data[start : reader.at]
        check, chained = reader.take(4), reader.take(4)
        if crc32(link + check + covered) != int.from_bytes(chained, "little"):
            raise DamagedError(f"CRC-32 of the segment at byte {start}")
        link = chained
        segments.append(Segment(method, model if method == 3 else b"", payload, check))
    if not segments:
        raise DamagedError("no segments")
    return segments, link


NAMED = 0x20


def read_run(reader: Bytes, before: bytes) -> Run:
    """Method of a segment or a run, above 3 of a newer one, and the model named last. before: named before."""
    head = reader.byte()
    method, named = head & ~NAMED, reader.take(4) if head & NAMED else b""
    if method < 3 and named:
        raise DamagedError("a model of a method that has none")
    if method == 3 and (named == before or not (named or before)):
        raise DamagedError("a model is named where none is new, or the reverse")
    return method, named or before


@dataclass(frozen=True)
class Index:
    """The index, what is true of runs told of each segment."""

    runs: list[Run]
    sizes: list[int]
    lengths: list[int]
    extras: Extras


def read_index(reader: Bytes, link: bytes, kind: int) -> Index:
    """The index from its first byte to the end mark."""
    start = reader.at
    flags = reader.byte()
    runs = read_runs(reader, flags >> 1 & 31 or reader.varint())
    sizes = [reader.varint() for _ in runs]
    lengths = [] if kind == PICTURE else [reader.varint() for _ in runs]
    extras = reader.take(reader.varint()) if flags & 1 else b""
    covered = reader.data[start : reader.at]
    if crc32(covered, crc32(link)) != reader.uint32():
        raise DamagedError(f"CRC-32 of the index at byte {start}")
    tail = varint(len(covered))[::-1] + END
    if reader.take(len(tail)) != tail:
        raise DamagedError(f"expected the size of the index and the end mark before byte {reader.at}")
    if any(method > 3 for method, _ in runs):
        raise NewerError("segments of a newer version")
    if len(runs) > 1 and 0 in lengths:
        raise DamagedError("an empty segment")
    if any(tag & MUST for tag, _ in raw_extras(extras)):
        raise DamagedError("a tag in the index that a reader must understand")
    return Index(runs, sizes, lengths, read_extras(extras))


def read_runs(reader: Bytes, number: int) -> list[Run]:
    """Method and model of each segment."""
    runs: list[Run] = []
    model = b""
    for _ in range(number):
        method, model = read_run(reader, model)
        count = reader.varint()
        if not 1 <= count <= len(reader.data):
            raise DamagedError(f"a run of {count} segments")
        runs += [(method, model if method == 3 else b"")] * count
        if len(runs) > len(reader.data):
            raise DamagedError("more segments than bytes")
    return runs


def index_is_newer(data: bytes, at: int, end: int) -> bool:
    """Return whether the index at the end of all is sound, and tells of newer segments before a run that cannot be.

    at, end: of the head.
    """
    try:
        start, stop = find_index(data)
        link = data[start - 4 : start] if start > end else data[at:end]
        if crc32(link + data[start:stop]).to_bytes(4, "little") != data[stop : stop + 4] or data[start] < 0xC0:
            return False
        reader, model, total = Bytes(data[start:stop]), b"", 0
        for _ in range(reader.byte() >> 1 & 31 or reader.varint()):
            method, model = read_run(reader, model)
            if method > 3:
                return True
            count = reader.varint()
            total += count
            if not count or total > (len(data) - at) // 10:
                return False
    except DamagedError:
        pass
    return False


def find_index(data: bytes) -> tuple[int, int]:
    """(where the index of a segmented file begins, where its checksum does), found from the end."""
    reader = Bytes(data[:-12:-1])
    if reader.take(2) != END[::-1]:
        raise DamagedError("expected the end mark")
    size = reader.varint()
    stop = len(data) - reader.at - 4
    if size > stop:
        raise DamagedError("an index larger than the file")
    return stop - size, stop


def find_segments(data: bytes) -> list[int]:
    """Where each segment begins, by the index and the head alone."""
    head, reader = read_head(data, 0), Bytes(data)
    place, _ = find_index(data)
    reader.at, found, model = place, [], b""
    index = read_index(reader, data[place - 4 : place], head.kind)
    for (method, named), size in zip(index.runs, index.sizes, strict=True):
        found.append(1 + 4 * (method == 3 and named != model) + len(varint(size)) + size + 8)
        model = named or model
    for k in reversed(range(len(found))):
        place -= found[k]
        found[k] = place
    if place != head.end:
        raise DamagedError("segments do not fill the space between head and index")
    return found


def check_grid(grid: tuple[int, ...], size: int, pixels: int) -> None:
    """Check a picture's grid. size: of the file."""
    height, rows, width, columns = grid
    if not (1 <= rows <= height and 1 <= columns <= width) or rows * columns > size // 10:
        raise DamagedError(f"a grid of {grid}")
    if height * width > pixels:
        raise LimitError(f"a picture of {height} x {width}")


# ---- sections 3 and 4 ---------------------------------------------------------------------------


MODES_OF = (
    *(range(7), (0, 1, 2, 3, 6, 7, 8, 9), range(10), (0, 1)),
    *((0, 1, 2, 4, 5), (0, 2, 5, 6, 7), range(10), (6, 7, 8, 9)),
)
"""Modes by origin."""


def read_fields(reader: Bytes, kind: int, *, segmented: bool) -> Fields:
    if kind == PICTURE:
        byte = reader.byte()
        exact, origin, mode, packed = bool(byte >> 7), byte >> 4 & 7, byte & 15, b""
        if origin == 7 and mode < 6:
            origin, packed = 2, b"\x99"
        if mode not in MODES_OF[origin]:
            raise NewerError(f"mode {mode} of origin {origin}")
        if exact and not 2 <= origin <= 6:
            raise DamagedError("an object that is said to be a file that comes back byte for byte")
        size = 0 if not 2 <= origin <= 6 else 4 if exact and segmented else 1
        return PictureFields(exact, origin, mode, reader.take(size), packed)
    if kind == ARRAY:
        return read_array_fields(reader, segmented=segmented)
    if kind > ARRAY:
        raise NewerError(f"kind {kind}")
    return None


def told_by(fields: Fields) -> Extras:
    """Extras that fields stand for."""
    return [(0x89, fields.packed)] if isinstance(fields, PictureFields) and fields.packed else []


def read_array_fields(reader: Bytes, *, segmented: bool) -> ArrayFields:
    byte = reader.byte()
    code, dimensions = byte >> 4, byte & 15
    if code not in (0, 1, 15):
        raise NewerError(f"array type {code}")
    full = {0: 0x10, 1: 0x11}.get(code)
    if full is None:
        full = reader.byte()
        check_type(full)
    shape = tuple(reader.varint() for _ in range(dimensions - segmented))
    if segmented and not dimensions:
        raise DamagedError("an array without dimensions in segments")
    item = 1 << (full & 15)
    return ArrayFields(full >> 4 & 7, item, bool(full >> 7), shape, dimensions)


def check_type(byte: int) -> None:
    """Check an array type that has a byte of its own."""
    big, kind, size = byte >> 7, byte >> 4 & 7, byte & 15
    first, last = {0: (0, 0), 1: (0, 3), 2: (0, 3), 3: (1, 3), 4: (3, 4)}.get(kind, (1, 0))
    if not first <= size <= last or (big and not size) or byte in (0x10, 0x11):
        raise NewerError(f"array type {byte:02X}")


MUST, SQUEEZED = 0x80, 0x40
KNOWN = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x80, 0x81, 0x82, 0x83, 0x85, 0x87, 0x88, 0x89, 0x8A}


def raw_extras(block: bytes) -> Extras:
    """Tags and values as they stand."""
    reader, found = Bytes(block), []
    while reader.at < len(block):
        tag = reader.byte()
        found.append((tag, reader.take(reader.varint())))
    return found


def read_extras(block: bytes) -> Extras:
    """Tags and values of a block, without those that are not known and may be skipped."""
    reader, found = Bytes(block), []
    while reader.at < len(block):
        tag = reader.byte()
        value, plain = reader.take(reader.varint()), tag & ~SQUEEZED
        if plain in KNOWN:
            found.append((plain, decode_lzma(value) if tag & SQUEEZED else value))
        elif tag & MUST:
            raise NewerError(f"tag {tag:02X}")
    return found


def read_names(value: bytes) -> list[bytes]:
    """The hashes of models in tag 08."""
    reader, found = Bytes(value), []
    while reader.at < len(value):
        name = reader.take(reader.varint())
        try:
            is_name = len(name) >= 32 and name[32:].decode().isprintable()
        except UnicodeDecodeError:
            is_name = False
        if not is_name:
            raise DamagedError("expected the hash and the name of a model")
        found.append(name[:32])
    return found


def check_once(tags: list[int]) -> None:
    if any(tags.count(tag) > 1 for tag in tags if tag != 0x02):
        raise DamagedError("a tag is there twice")


def check_tags(frame: Frame) -> None:
    """Check that every tag may stand where it does."""
    tags = [tag for tag, _ in frame.extras]
    check_once(tags)
    for tag in tags:
        if not may_stand(tag, frame, set(tags)):
            raise DamagedError(f"tag {tag:02X} in such a file")


def may_stand(tag: int, frame: Frame, tags: set[int]) -> bool:
    """The table of section 4."""
    is_bytes, fields = frame.kind == BYTES, frame.fields
    origin, mode = (fields.origin, fields.mode) if isinstance(fields, PictureFields) else (None, None)
    return {
        0x01: origin == 0,
        0x02: origin == 0,
        0x06: origin == 0,
        0x03: origin is not None,
        0x04: is_bytes and 0x8A not in tags,
        0x05: is_bytes and 0x85 in tags,
        0x07: frame.kind in (BYTES, TEXT) and frame.segmented and not ALONE & tags,
        0x08: True,
        0x09: is_bytes and frame.segmented and 0x8A in tags,
        0x80: origin == 0 and mode == 4 and 0x87 not in tags,
        0x81: origin in (2, 3),
        0x82: origin in (4, 5),
        0x83: origin == 6,
        0x85: is_bytes and not {0x07, 0x88, 0x8A} & tags,
        0x87: origin in (0, 2) and mode == 4 and 0x80 not in tags,
        0x89: origin == 2,
        0x88: is_bytes and not {0x07, 0x85, 0x8A} & tags,
        0x8A: is_bytes and frame.segmented and not {0x04, 0x07, 0x85, 0x88} & tags,
    }[tag]
