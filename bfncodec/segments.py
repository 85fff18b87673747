"""Content to coded segments and back: which segments, and which coder for each.

Everything is coded twice where that can pay, by a model in small segments and without one in
large ones, and the smaller is kept, for each segment and for the whole. Where a sample says that
the model cannot win, its time is not spent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, repeat
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from bfncodec import lzmaraw
from bfncodec.container import Coded, Frame, Segment
from bfncodec.errors import DamagedError, FormatError
from bfncodec.header import (
    FINEST,
    Axes,
    Box,
    Grain,
    Header,
    Kind,
    Limits,
    Method,
    Mode,
    boxes,
    lengths,
    plausible,
)
from bfncodec.tiles import decode_tile, encode_tile, estimate_tile, to_samples
from bfncodec.wire import Reader, varint

if TYPE_CHECKING:
    import numpy as np

    from bfncodec.flow.report import CodeLength
    from bfncodec.models import ModelInfo

    Pixels = np.ndarray[Any, Any]

__all__ = ["Choice", "Codec", "Plan", "decode", "encode_bytes", "encode_pixels", "model_input"]

Progress = Callable[[int], None]
"""Called with the number of further bytes or subpixels done."""

_TEXT_SEGMENT = 1 << 20  # bytes a text model codes at once: what learns from itself learns anew in each
_ARCHIVE_SEGMENT = 1 << 22  # bytes a chain of items holds
_PLAIN_SEGMENT = 1 << 24  # bytes LZMA codes at once
_MODEL_TILE = 512  # side of the largest tile an image model codes at once
_PLAIN_TILE = 4096  # side of the largest tile WebP codes at once
_BATCH = {"image": 1 << 21, "text": 1 << 20, "archive": 1}  # pixels or bytes handed to a codec at once
_ASK = 512 * 512  # pixels up to which the model codes a picture without being asked first: asking takes a third as long
_COMPARING = 4  # tiles compared with WebP at once, which lets other threads run meanwhile
_SEGMENT_COST = 12  # bytes of frame a segment takes, twice its head
_OPACITY = Header(Kind.IMAGE, mode=Mode.L)
_TINY = 8  # bytes: a model's identity and sizes alone take more than it could save
_SHORT = 2048  # bytes a model may code without being asked first
_RANDOM = 7.6  # bits a byte of LZMA: above, the content is compressed already


class Codec(Protocol):
    """What a model's codec must offer here; see :func:`bfncodec.load`."""

    @property
    def info(self) -> ModelInfo:
        """The model."""

    def encode_batch(self, xs: Sequence[Any], progress: Progress | None = None) -> list[bytes]:
        """One payload for each x: bytes for text, ``uint8 [H, W, 3]`` for images."""

    def decode_batch(self, payloads: Sequence[bytes], progress: Progress | None = None) -> list[Any]:
        """The inverse; :class:`DamagedError` for sizes that cannot be."""

    def codelength(self, x: Any) -> CodeLength:
        """The ideal number of bits, without coding."""


@dataclass(frozen=True)
class Choice:
    """The codec to use and whether to use it without asking a sample.

    find: gives the codec, None for none; called only where a model may win, as loading one takes a while.
    """

    find: Callable[[], Codec | None]
    forced: bool = False


@dataclass(frozen=True)
class Plan:
    """Coded segments and how the content was cut for them."""

    axes: Axes
    coded: tuple[Coded, ...]
    grain: Grain = FINEST

    @property
    def size(self) -> int:
        """Bytes of payload and segment heads."""
        return sum(len(coded.payload) + _SEGMENT_COST for coded in self.coded)


# ---- bytes ------------------------------------------------------------------------------------


def encode_bytes(data: bytes, choice: Choice, progress: Progress) -> Plan:
    """Segments of plain bytes: a text model, LZMA or stored."""
    plain = _plain_bytes(data)
    hopeless = not choice.forced and _beyond_models(data, plain)
    codec = None if hopeless else choice.find()
    if codec is None or not (choice.forced or _text_may_win(data, plain, codec)):
        progress(len(data))
        return plain
    axes, grain = _cuts(data, codec)
    pieces = [data[slice(*box[0])] for box in boxes(axes, grain)]
    coded: list[Coded] = []
    for batch in _batches(pieces, len, _BATCH[codec.info.role]):
        for piece, payload in zip(batch, codec.encode_batch(batch, progress), strict=True):
            coded.append(_smaller_bytes(piece, payload, codec.info.id))
    return min(Plan(axes, tuple(coded), grain), plain, key=lambda plan: plan.size)


def _cuts(data: bytes, codec: Codec) -> tuple[Axes, Grain]:
    """Where bytes are cut for a model. Archives are cut between items: a segment is what a chain begins anew with."""
    if codec.info.role != "archive":
        return ((len(data), _parts(len(data), _TEXT_SEGMENT)),), FINEST
    size = prod(codec.info.config["network"]["shape"])
    first = _first_item(data, size)
    items = (len(data) - first) // size
    return ((len(data), min(max(items, 1), _parts(len(data), _ARCHIVE_SEGMENT))),), (size, first)


def _first_item(data: bytes, size: int) -> int:
    """Where items begin: after the head of a .npy file, else so that the last ends with the content."""
    from bfncodec.content import npy_head

    return min(npy_head(data) or len(data) % size, len(data))


def _plain_bytes(data: bytes) -> Plan:
    axes = ((len(data), _parts(len(data), _PLAIN_SEGMENT)),)
    return Plan(axes, tuple(_plain_piece(data[slice(*box[0])]) for box in boxes(axes)))


def _plain_piece(data: bytes) -> Coded:
    squeezed = lzmaraw.pack(data)
    method, payload = min((Method.STORED, data), (Method.LZMA, squeezed), key=lambda item: len(item[1]))
    return Coded(method, payload, zlib.crc32(data))


def _smaller_bytes(data: bytes, payload: bytes, model: bytes) -> Coded:
    plain = _plain_piece(data)
    wins = len(payload) + len(model) < len(plain.payload)
    if wins and plausible(len(data), len(payload), Limits()):
        return Coded(Method.MODEL, payload, plain.crc, model)
    return plain


def _beyond_models(data: bytes, plain: Plan) -> bool:
    """Whether the content is next to nothing, or LZMA says that it is random."""
    return len(data) <= _TINY or (len(data) > _SHORT and 8 * plain.size > _RANDOM * len(data))


def _text_may_win(data: bytes, plain: Plan, codec: Codec) -> bool:
    """Ask the model for the bits of four pieces, unless all of the content is not more than that."""
    if len(data) <= _SHORT:
        return True
    rate = 8 * plain.size / len(data)
    starts = [part * (len(data) - 512) // 3 for part in range(4)]
    sample = b"".join(data[start : start + 512] for start in starts)
    ideal = codec.codelength(sample).bits / len(sample)
    return bool(ideal < 1.25 * rate)  # without the context it will have, so it may be a bit worse


# ---- pixels -----------------------------------------------------------------------------------


def encode_pixels(pixels: Pixels, mode: Mode, choice: Choice, progress: Progress) -> Plan:
    """Segments of a picture: an image model, WebP, PNG, LZMA or stored."""
    codec = choice.find() if mode in (Mode.RGB, Mode.RGBA) else None
    if codec is None or not (choice.forced or _image_may_win(pixels, codec)):
        plan = _plain_pixels(pixels, mode)
        progress(pixels.size)
        return plan
    axes = _grid(pixels, _MODEL_TILE)
    tiles = [_crop(pixels, box) for box in boxes(axes)]
    channels = mode.channels
    coded: list[Coded] = []
    for batch in _batches(tiles, lambda tile: tile.size // channels, _BATCH["image"]):
        colour = [model_input(tile) for tile in batch]
        payloads = codec.encode_batch(colour, lambda done: progress(done * channels))
        with ThreadPoolExecutor(_COMPARING) as pool:
            coded += pool.map(_smaller_tile, batch, repeat(mode), payloads, repeat(codec.info.id))
    plan = Plan(axes, tuple(coded))
    lost = sum(segment.method is not Method.MODEL for segment in coded)
    if 2 * lost < len(coded) or len(coded) == 1:
        return plan
    return min(plan, _plain_pixels(pixels, mode), key=lambda plan: plan.size)


def model_input(tile: Pixels) -> Pixels:
    """The part of a tile an image model codes: ``uint8 [H, W, 3]``."""
    import numpy as np

    return np.ascontiguousarray(tile[:, :, :3])


def _plain_pixels(pixels: Pixels, mode: Mode) -> Plan:
    axes = _grid(pixels, _PLAIN_TILE)
    return Plan(axes, tuple(_plain_tile(_crop(pixels, box), mode) for box in boxes(axes)))


def _plain_tile(tile: Pixels, mode: Mode, beat: int | None = None) -> Coded:
    method, payload = encode_tile(tile, mode, beat)
    return Coded(method, payload, zlib.crc32(to_samples(tile, mode)))


def _smaller_tile(tile: Pixels, mode: Mode, payload: bytes, model: bytes) -> Coded:
    if mode is Mode.RGBA:
        payload = _pack_opacity(tile) + payload
    plain = _plain_tile(tile, mode, beat=len(payload))
    wins = len(payload) + len(model) < len(plain.payload)
    if wins and plausible(tile.size, len(payload), Limits()):
        return Coded(Method.MODEL, payload, plain.crc, model)
    return plain


def _pack_opacity(tile: Pixels) -> bytes:
    method, payload = encode_tile(tile[:, :, 3:], Mode.L)
    return varint(len(payload) + 1) + bytes([method]) + payload


def _split_opacity(segment: Segment, mode: Mode) -> tuple[Pixels | None, bytes]:
    """A tile's opacity, None where its mode has none, and what is left for the model."""
    if not mode.has_alpha:
        return None, segment.payload
    reader = Reader(segment.payload)
    opacity = reader.take(reader.varint("the size of the opacity"), "opacity")
    method = Reader(opacity).byte("the opacity's method")
    if method >= Method.MODEL:
        raise DamagedError(f"opacity cannot be coded by method {method}")
    sides = _sides(segment.box)
    if lengths(_OPACITY, Method(method), opacity[1:]) != sides:
        raise DamagedError("the opacity is not of its tile's size")
    return decode_tile(Method(method), opacity[1:], Mode.L, *sides), reader.rest()


def _with_opacity(colour: Pixels, opacity: Pixels | None) -> Pixels:
    import numpy as np

    return colour if opacity is None else np.concatenate([colour, opacity], axis=2)


def _image_may_win(pixels: Pixels, codec: Codec) -> bool:
    """Let the model and WebP code up to four small pieces."""
    height, width = pixels.shape[:2]
    if height * width <= _ASK:
        return True
    side, ideal, plain = 80, 0.0, 0
    for row in {max(0, height // 4 - side // 2), max(0, 3 * height // 4 - side // 2)}:
        for column in {max(0, width // 4 - side // 2), max(0, 3 * width // 4 - side // 2)}:
            piece = model_input(pixels[row : row + side, column : column + side])
            ideal += codec.codelength(piece).bits
            plain += 8 * estimate_tile(piece)
    return ideal < 1.15 * plain


# ---- decoding ---------------------------------------------------------------------------------


def decode(frame: Frame, codecs: Callable[[bytes], Codec], progress: Progress) -> Iterator[tuple[int, Any]]:
    """Every segment's number with its content (bytes or pixels) or the FormatError it ended in.

    ``codecs`` finds the codec of a model's identity. Segments that are None are left out.
    """
    found = [(number, part) for number, part in enumerate(frame.segments) if part is not None]
    for model, group in groupby(found, key=lambda item: item[1].model):
        codec = codecs(model) if model else None
        limit = _BATCH[codec.info.role] if codec else 1
        for batch in _batches(list(group), lambda item: _area(item[1].box), limit):
            yield from _decode_batch(frame, codec, batch, progress)


def _decode_batch(
    frame: Frame, codec: Codec | None, batch: list[tuple[int, Segment]], progress: Progress
) -> Iterator[tuple[int, Any]]:
    mode = frame.header.mode
    try:
        if codec is None:
            contents = [_decode_plain(segment, mode) for _, segment in batch]
            progress(sum(_area(segment.box) * mode.channels for _, segment in batch))
        else:
            contents = _decode_model([segment for _, segment in batch], mode, codec, progress)
    except FormatError as error:
        if len(batch) == 1:
            yield batch[0][0], error
        else:  # which of them it was: one at a time
            for item in batch:
                yield from _decode_batch(frame, codec, [item], progress)
        return
    for (number, segment), content in zip(batch, contents, strict=True):
        try:
            segment.check(content if len(segment.box) == 1 else to_samples(content, mode))
            yield number, content
        except FormatError as error:
            yield number, error


def _decode_plain(segment: Segment, mode: Mode) -> Any:
    if len(segment.box) == 2:
        return decode_tile(segment.method, segment.payload, mode, *_sides(segment.box))
    if segment.method is Method.LZMA:
        return lzmaraw.unpack(segment.payload)
    return segment.payload


def _decode_model(segments: list[Segment], mode: Mode, codec: Codec, progress: Progress) -> list[Any]:
    if len(segments[0].box) == 1:
        return codec.decode_batch([segment.payload for segment in segments], progress)
    split = [_split_opacity(segment, mode) for segment in segments]
    done = codec.decode_batch([payload for _, payload in split], lambda pixels: progress(pixels * mode.channels))
    return [_with_opacity(colour, opacity) for colour, (opacity, _) in zip(done, split, strict=True)]


# ---- helpers ----------------------------------------------------------------------------------


def _parts(length: int, largest: int) -> int:
    return max(1, -(-length // largest))


def _grid(pixels: Pixels, side: int) -> Axes:
    return tuple((length, _parts(length, side)) for length in pixels.shape[:2])


def _crop(pixels: Pixels, box: Box) -> Pixels:
    (top, bottom), (left, right) = box
    return pixels[top:bottom, left:right]


def _sides(box: Box) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in box)


def _area(box: Box) -> int:
    return prod(_sides(box))


def _batches(items: Sequence[Any], size: Callable[[Any], int], limit: int) -> Iterator[list[Any]]:
    """Consecutive items, each batch of one item or of a total size within the limit."""
    batch: list[Any] = []
    total = 0
    for item in items:
        if batch and total + size(item) > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch
