"""Sections 3 to 6 of the file format: the object that a file holds.

kind, value = read(blob)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any
from zlib import crc32

from reader import files, frame, items
from reader.errors import DamagedError, LimitError, ModelMissingError, NewerError
from reader.frame import ARRAY, TEXT, ArrayFields, Frame, PictureFields, Segment
from reader.methods import (
    MODES,
    Limits,
    Mode,
    Model,
    Samples,
    check_modelled,
    decode_bytes,
    decode_picture,
    packed,
    unpacked,
)
from reader.palettes import read_palette
from reader.wire import Bytes

Models = Mapping[bytes, Sequence[Model]]
"""Models by the first four bytes of their hash."""
LIMITS = Limits()


@dataclass(frozen=True)
class Array:
    """An array: NumPy's name of its elements, its sides, its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Picture:
    """A Pillow image. palette: channels and entries."""

    mode: str
    height: int
    width: int
    samples: bytes
    palette: tuple[int, bytes] | None = None
    info: dict[str, Any] = field(default_factory=dict)


def read(blob: bytes, models: Models | None = None, limits: Limits = LIMITS) -> tuple[str, Any]:
    """Return what a file holds: `bytes`, `text`, `array`, `picture`, `file`, `folder` or `items`, and its value.

    Raises one of NotOursError, NewerError, DamagedError, ModelMissingError and LimitError.
    """
    frames = frame.read_frames(blob, limits.pixels)
    if 0x8A in frames[0].tags:
        return read_items(frames[0], models or {}, limits)
    contents = contents_of(frames, models or {}, limits)
    if len(frames) > 1:
        return join(frames, contents)
    return make(frames[0], contents[0])


def contents_of(frames: list[Frame], models: Models, limits: Limits) -> list[Any]:
    """The content of each; sizes come first for all of them."""
    found = [Content(each, models, limits) for each in frames]
    for each in found:
        each.check_sizes()
    return [each.whole() for each in found]


def join(frames: list[Frame], contents: list[Any]) -> tuple[str, Any]:
    """Section 9."""
    for each, content in zip(frames, contents, strict=True):
        bytes_of(each.tags.get(0x04), content)
    whole = b"".join(contents)
    return ("text", text_of(whole)) if all(each.kind == TEXT for each in frames) else ("bytes", whole)


def read_items(file: Frame, models: Models, limits: Limits) -> tuple[str, Any]:
    """Items in a list, or by their names, or the array whose rows they are."""
    if any(declared_size(segment) != segment.length for segment in file.segments):
        raise DamagedError("segments of another size than the index says")
    if file.tags[0x8A] not in (b"", b"\1"):
        raise NewerError("items of a newer sort")
    if any(segment.method > 1 for segment in file.segments):
        raise DamagedError("a row of items by another method than 0 and 1")
    segments = Content(file, models, limits)
    segments.check_tables()
    rows = items.rows_of(file, [segments.segment(s, (s.length,)) for s in file.segments])
    found = [item for row in rows for item in read_row(row, models, limits)]
    names = [name for row in rows for name in row.names or ()]
    if file.tags[0x8A]:
        return "array", stacked([value for _, value in found], named=bool(names))
    return "items", dict(zip(names, found, strict=True)) if names else found


def read_row(row: items.Row, models: Models, limits: Limits) -> list[tuple[str, Any]]:
    frames = [frame.read_only(blob, limits.pixels) for blob in row.files]
    if any({0x85, 0x8A} & set(each.tags) for each in frames):
        raise DamagedError("a folder, or items, for an item")
    found = list(map(make, frames, contents_of(frames, models, limits)))
    if not row.stacked:
        return found
    kind, array = found[0]
    if frames[0].kind != ARRAY or array.shape[:1] != (row.count,) or not array.data:
        raise DamagedError(f"no array of {row.count} rows")
    size = len(array.data) // row.count
    parts = [array.data[k : k + size] for k in range(0, len(array.data), size)]
    return [(kind, Array(array.dtype, array.shape[1:], part)) for part in parts]


def stacked(rows: list[Any], *, named: bool) -> Array:
    """The array of rows."""
    if named or not all(isinstance(row, Array) for row in rows) or len({(r.dtype, r.shape) for r in rows}) > 1:
        raise DamagedError("rows that are no arrays of one type and shape without names")
    return Array(rows[0].dtype, (len(rows), *rows[0].shape), b"".join(row.data for row in rows))


# ---- content ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """The content of a file, its segments decoded when they are asked for."""

    file: Frame
    models: Models
    limits: Limits

    @property
    def mode(self) -> Mode | None:
        """The mode of a picture."""
        return MODES[self.file.fields.mode] if isinstance(self.file.fields, PictureFields) else None

    @property
    def names(self) -> list[bytes]:
        """Hashes of models that the file tells."""
        return frame.read_names(self.file.tags.get(0x08, b""))

    def whole(self) -> bytes | Samples:
        """The content of all segments."""
        self.check_tables()
        if self.mode:
            return self.picture(self.mode)
        if isinstance(self.file.fields, ArrayFields):
            check_array(self.file, self.file.fields)
        parts = []
        for segment in self.file.segments:
            place = None if segment.length is None else (segment.length,)
            if isinstance(self.file.fields, ArrayFields) and not self.file.segmented:
                place = (self.file.fields.item * prod(self.file.fields.shape),)
            parts.append(self.segment(segment, place))
            if place and place != (len(parts[-1]),):
                raise DamagedError(f"expected a segment of {place[0]} bytes, found {len(parts[-1])}")
        return b"".join(parts)

    def check_sizes(self) -> None:
        """Check what payloads of all but pictures declare, which comes before what tables say."""
        for segment in () if self.mode else self.file.segments:
            if segment.method == 2 and not isinstance(self.file.fields, ArrayFields):
                raise DamagedError("a picture stream of bytes")
            if segment.length not in (None, declared_size(segment)):
                raise DamagedError(f"a payload of {declared_size(segment)} bytes in the place of {segment.length}")

    def check_tables(self) -> None:
        """Check the tables of files, parts and models, before anything is decoded."""
        tags = self.file.tags
        if {0x85, 0x88} & set(tags):
            size = sum(declared_size(s) if s.length is None else s.length for s in self.file.segments)
            if 0x85 in tags:
                files.read_members(tags[0x85], size)
            if 0x88 in tags:
                files.read_parts(tags[0x88], size)
        frame.read_names(tags.get(0x08, b""))

    def segment(self, segment: Segment, place: tuple[int, ...] | None = None) -> Any:
        """The content of a segment, by the first model that gives the right one. place: its size, if that is known."""
        self.check(segment, place)
        candidates = self.candidates(segment) if segment.method == 3 else [None]
        if not candidates:
            raise ModelMissingError(f"model {segment.model.hex()}")
        for model in candidates:
            content = self.decode(segment, model)
            data = content.data if isinstance(content, Samples) else content
            if crc32(data).to_bytes(4, "little").startswith(segment.check):
                return content
        raise DamagedError("the checksum of the content")

    def check(self, segment: Segment, place: tuple[int, ...] | None = None) -> None:
        """Check what needs no model."""
        if segment.method == 3:
            declared = check_modelled(self.mode, segment.payload, self.limits)
            if place not in (None, declared):
                raise DamagedError(f"a payload of {declared} in the place of {place}")

    def decode(self, segment: Segment, model: Model | None) -> Any:
        """Bytes or Samples of a segment."""
        if self.mode:
            return decode_picture(self.mode, segment.method, segment.payload, model, self.limits)
        return decode_bytes(segment.method, segment.payload, model, is_array=self.file.kind == ARRAY)

    def candidates(self, segment: Segment) -> Sequence[Model]:
        """Models of the hash that tag 08 tells, if it does; else all whose hash begins like that."""
        known = [sha256 for sha256 in self.names if sha256.startswith(segment.model)]
        found = self.models.get(segment.model, ())
        return [model for model in found if not known or model.sha256 in known]

    def picture(self, mode: Mode) -> Samples:
        """The tiles of a picture as one."""
        if self.file.grid is None:
            return self.segment(self.file.segments[0])
        height, rows, width, columns = self.file.grid
        tops = [height * k // rows for k in range(rows + 1)]
        lefts = [width * k // columns for k in range(columns + 1)]
        segments, bands = iter(self.file.segments), []
        for top, bottom in pairwise(tops):
            tiles = []
            for left, right in pairwise(lefts):
                place = (bottom - top, right - left)
                tiles.append(self.segment(next(segments), place))
                if (tiles[-1].height, tiles[-1].width) != place:
                    raise DamagedError("a tile of another size than its place")
            bands.append(side_by_side(mode, tiles))
        return Samples(height, width, b"".join(bands))


def declared_size(segment: Segment) -> int:
    """The bytes of content that a segment of bytes says it has."""
    return Bytes(segment.payload).varint() if segment.method else len(segment.payload)


def side_by_side(mode: Mode, tiles: list[Samples]) -> bytes:
    """The rows of tiles that lie in a row."""
    lines = []
    for row in range(tiles[0].height):
        line = b""
        for tile in tiles:
            size = mode.size(1, tile.width)
            part = tile.data[row * size : (row + 1) * size]
            line += unpacked(part, 1, tile.width) if mode.bilevel else part
        lines.append(packed(line, 1, len(line)) if mode.bilevel else line)
    return b"".join(lines)


# ---- objects ------------------------------------------------------------------------------------


def make(file: Frame, content: Any) -> tuple[str, Any]:
    """The object of a file that stands alone."""
    if file.kind == TEXT:
        return "text", text_of(content)
    if isinstance(file.fields, ArrayFields):
        return "array", array_of(file, file.fields, content)
    if isinstance(file.fields, PictureFields):
        return object_of_picture(file, file.fields, content)
    tags = file.tags
    if 0x85 in tags:
        return "folder", files.read_folder(tags[0x85], content, tags.get(0x05))
    if 0x88 in tags:
        return "file", files.File(files.moved_back(tags[0x88], content), same=True)
    return "bytes", bytes_of(tags.get(0x04), content)


def text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DamagedError(f"text that is not UTF-8: {error}") from None


def bytes_of(kind: bytes | None, content: bytes) -> bytes | bytearray | memoryview:
    if kind in (None, b"", b"\0"):
        return content
    if kind == b"\1":
        return bytearray(content)
    if kind == b"\2":
        return memoryview(content)
    raise NewerError(f"type {kind!r} of bytes")


def check_array(file: Frame, fields: ArrayFields) -> None:
    if fields.item * prod(side for side in fields.shape if side) >= 1 << 63:
        raise LimitError(f"an array of sides {fields.shape}")
    if file.segmented:
        size = sum(segment.length or 0 for segment in file.segments)
        one = fields.item * prod(fields.shape)
        if not one or size % one:
            raise DamagedError(f"{size} bytes for an array [?, {fields.shape}]")


def array_of(file: Frame, fields: ArrayFields, content: bytes) -> Array:
    shape = fields.shape
    if file.segmented:
        shape = (len(content) // (fields.item * prod(shape)), *shape)
    if len(content) != fields.item * prod(shape):
        raise DamagedError(f"{len(content)} bytes for an array {shape}")
    order = "|" if fields.item == 1 else ">" if fields.big else "<"
    return Array(f"{order}{'buifc'[fields.kind]}{fields.item}", shape, content)


def object_of_picture(file: Frame, fields: PictureFields, samples: Samples) -> tuple[str, Any]:
    mode = MODES[fields.mode]
    if fields.origin in (1, 7):
        sides = (samples.height, samples.width, *([mode.channels] if mode.channels > 1 else []))
        data, dtype = samples.data, "|u1" if mode.width == 1 else "<u2"
        if fields.origin == 7:
            data, dtype = swapped(data), ">u2"
        return "array", Array(dtype, sides, data)
    if fields.origin == 0:
        return "picture", image_of(file, mode, samples)
    found = files.rebuild(fields.origin, mode, samples, file.tags)
    return "file", files.checked(found, fields.check)


def swapped(data: bytes) -> bytes:
    out = bytearray(data)
    out[::2], out[1::2] = data[1::2], data[::2]
    return bytes(out)


def image_of(file: Frame, mode: Mode, samples: Samples) -> Picture:
    """The Pillow image of samples and extras."""
    tags, data, info = file.tags, samples.data, {}
    palette = (3, b"") if mode.name == "P" else None
    if 0x87 in tags:
        coded = read_palette(tags[0x87])
        data = coded.unchained(data)
        channels = 4 if coded.form & 1 else 3
        palette = channels, bytes(v for o, *rgb in coded.entries for v in (*rgb, o)[:channels])
        if coded.form & 2:
            info["transparency"] = coded.opacity()
        elif coded.form & 4:
            info["transparency"] = coded.opacities - 1
    elif 0x80 in tags:
        reader = Bytes(tags[0x80])
        palette = reader.byte(), reader.rest()
        if palette[0] not in (3, 4):
            raise DamagedError(f"a palette of {palette[0]} channels")
    for tag, value in file.extras:
        if tag in (0x01, 0x02, 0x06):
            info |= read_info(tag, value)
    return Picture(mode.name, samples.height, samples.width, data, palette, info)


def read_info(tag: int, value: bytes) -> dict[str, Any]:
    """Part of a Pillow image's info."""
    if tag == 0x02:
        name, zero, content = value.partition(b"\0")
        if not zero:
            raise DamagedError("info without a zero byte")
        try:
            return {name.decode(): content}
        except UnicodeDecodeError:
            raise DamagedError("a name that is not UTF-8") from None
    try:
        found = json.loads(text_of(value))
        if tag == 0x01:
            return {name: _tuples(item) for name, item in found.items()}
        return {name: _value(item) for name, item in found}
    except DamagedError:
        raise
    except (ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError, RecursionError) as error:
        raise DamagedError(f"info: {error}") from None


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if value is not None and not isinstance(value, int | float | str):
        raise DamagedError(f"info {value!r}")
    return value


def _value(value: Any) -> Any:
    """A value of tag 06."""
    if not isinstance(value, list):
        return value
    name, *rest = value
    if name in ("tuple", "list", "set", "frozenset"):
        return {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset}[name](map(_value, rest))
    if name == "dict":
        return {_value(key): _value(item) for key, item in rest}
    if name == "bytes":
        return base64.b64decode(*rest, validate=True)
    if name in ("Fraction", "IFDRational"):
        return Fraction(*rest)
    if name == "iTXt":
        text, language, keyword = rest
        return text, language, keyword
    raise DamagedError(f"info of type {name!r}")
