"""Content to coded segments and back: which segments, and which coder for each.

Everything is coded twice where that can pay, by a model in small segments and without one in
large ones, and the smaller is kept, for each segment and for the whole. Where a sample says that
the model cannot win, its time is not spent; nor where the classical result is already smaller than
any payload that a reader takes from a model, which loses nothing.

A model that the caller names is asked without a sample. It is refused where it cannot code the
content: other values, another shape, too few items. Where it can, but every segment takes less
without it, that is kept, and logged.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress, groupby
from math import prod
from typing import Any

from bfncodec.codecs.protocol import Codec
from bfncodec.content.arrays import npy_head
from bfncodec.errors import DamagedError, FormatError, InputError, SalvageableError, Salvaged
from bfncodec.format import lzmaraw
from bfncodec.format.axes import FINEST, Axes, Extent, Granularity, Items, extents
from bfncodec.format.container import Coded, Frame, Segment
from bfncodec.format.kinds import Kind, Method, Mode
from bfncodec.format.limits import least_payload
from bfncodec.format.lineindex import Lines
from bfncodec.images.classical import decode_tile, encode_tile, estimate_tile, quick_size
from bfncodec.images.samples import to_samples
from bfncodec.images.vp8l import CAREFUL, FAST, SLOWEST, Search
from bfncodec.models import DEFAULT_LEVEL, ID_BYTES
from bfncodec.runtime.arrays import Pixels
from bfncodec.runtime.progress import Progress
from bfncodec.segments.modelled import close, opened, serves
from bfncodec.segments.numbers import decode as decode_planes
from bfncodec.segments.numbers import encode as encode_planes
from bfncodec.segments.numbers import forms_of

__all__ = [
    "TEXT_SEGMENT",
    "Choice",
    "Plan",
    "decode",
    "encode_bytes",
    "encode_numbers",
    "encode_pixels",
]

Cut = tuple[Axes, Granularity]
"""Into how many parts bytes are cut, and where."""

_LOG = logging.getLogger("bfncodec")

TEXT_SEGMENT = 1 << 24
"""Bytes a text model codes at once: what learns from itself learns anew in each."""
_ARCHIVE_SEGMENT = 1 << 22  # bytes a chain of items holds
_PLAIN_SEGMENT = 1 << 24  # bytes LZMA codes at once
_MODEL_TILE = 512  # side of the largest tile an image model codes at once
_PLAIN_TILE = 16_383  # side of the largest tile WebP codes at once
_PLAIN_PIXELS = 1 << 24  # of such a tile
_ASK = 512 * 512  # pixels up to which the model codes a picture without being asked first: asking takes a third as long
_COMPARING = 4  # tiles compared with WebP at once, which lets other threads run meanwhile
_SEGMENT_COST = 12  # bytes of frame a segment takes, twice its head
_SLOW_LEVEL = 4  # from which on no picture is larger than WebP's slowest search makes it
_THOROUGH_LEVEL = 8  # from which on codecs try what takes them several times as long
_TINY = 8  # bytes: a model's identity and sizes alone take more than it could save
_SHORT = 2048  # bytes that LZMA says too little of
_SAMPLE = 8192  # bytes a text model is asked about
_EMPTY = 0.25  # of the bits a byte of the whole: a sample with less says nothing of it
_LONG = 1 << 20  # bytes from which a text model takes a minute or so
_LITTLE = 0.5  # bits a byte of LZMA
_LEAST = 1 / 16  # bits a byte of LZMA below which no text model has been seen to win
_NOTHING = 512  # bits of LZMA for a sample of one letter, and some more
_LOOKS = 64  # places looked at in sparse data
_NOISE = 7.9  # bits a sample that a model expects: above, a picture is noise
_RANDOM = 7.6  # bits a byte of LZMA: above, the content is compressed already


@dataclass(frozen=True)
class Choice:
    """The codec to use, whether to use it without asking a sample, and how much time to take, from 1 to 9.

    find: gives the codec, None for none; called only where a model may win, as loading one takes a while.
    """

    find: Callable[[], Codec[Any] | None]
    forced: bool = False
    level: int = DEFAULT_LEVEL
    wanted: bool = True  # whether a caller who asks why no model was used wants one

    @property
    def search(self) -> Search:
        """How WebP searches in whole pictures."""
        return SLOWEST if self.level >= _SLOW_LEVEL else FAST

    @property
    def tile_search(self) -> Search:
        """How it does in tiles of pictures, of which the whole is compared too."""
        return min(self.search, CAREFUL)


@dataclass(frozen=True)
class Plan:
    """Coded segments and how the content was cut for them."""

    axes: Axes
    coded: tuple[Coded, ...]
    granularity: Granularity = FINEST

    @property
    def size(self) -> int:
        """Bytes of payload and segment heads."""
        return sum(len(coded.payload) + _SEGMENT_COST for coded in self.coded)


# ---- bytes ------------------------------------------------------------------------------------


def encode_bytes(data: bytes, choice: Choice, progress: Progress, lines: Lines | None = None) -> Plan:
    """Segments of plain bytes: a text model, LZMA or stored. lines: where they are to be cut, whatever that costs.

    Raises InputError for a model that was named and cannot code them.
    """
    cut = (((len(data), len(lines.starts)),), lines) if lines is not None else None
    plain = _plain_blocks(data, *cut) if cut else _plain_bytes(data)
    beyond = not choice.forced and _beyond_models(data, plain)
    codec = None if beyond else choice.find()
    if codec is None or not (choice.forced or _text_may_win(data, codec, 8 * plain.size / len(data))):
        if choice.wanted:
            _tell_unasked(codec, beyond)
        progress(len(data))
        return plain
    axes, granularity = cut or _cuts(data, codec)
    pieces = [data[slice(*extent[0])] for extent in extents(axes, granularity)]
    if choice.forced:
        _check_able(codec, pieces)
    same = (axes, granularity) == (plain.axes, plain.granularity)
    coded = _by_model(pieces, codec, plain.coded if same else [_plain_piece(piece) for piece in pieces], progress)
    plan = min(Plan(axes, tuple(coded), granularity), plain, key=lambda plan: plan.size)
    _tell_unused(codec, plan, choice)
    return plan


def encode_numbers(data: bytes, dtype: str, shape: Sequence[int], progress: Progress) -> Plan:
    """Segments of an array's elements: planes of their bytes, LZMA or stored. dtype: as headers name it."""
    forms = forms_of(dtype, shape)
    item = int(dtype.lstrip(">")[1:])
    axes, granularity = ((len(data), _parts(len(data), _PLAIN_SEGMENT)),), Items(item)
    coded = []
    for ((start, stop),) in extents(axes, granularity):
        piece = data[start:stop]
        plain, planes = _plain_piece(piece), encode_planes(piece, forms)
        smaller = planes and len(planes) < len(plain.payload)
        coded.append(Coded(Method.PICTURE, planes, plain.crc) if smaller else plain)
        progress(len(piece))
    return Plan(axes, tuple(coded), granularity if item > 1 else FINEST)


def _by_model(pieces: Sequence[bytes], codec: Codec[Any], plain: Sequence[Coded], progress: Progress) -> list[Coded]:
    """Segments by the model or, where that is smaller, without. plain: the pieces coded without it."""
    coded = list(plain)
    asked = [n for n, piece in enumerate(pieces) if _may_pay(len(piece), len(plain[n].payload))]
    progress(sum(map(len, pieces)) - sum(len(pieces[n]) for n in asked))
    for batch in _batches(asked, lambda n: len(pieces[n]), codec.capabilities.batch):
        for n, payload in zip(batch, codec.encode_batch([pieces[n] for n in batch], progress), strict=True):
            if _wins(len(pieces[n]), len(payload), len(plain[n].payload)):
                coded[n] = Coded(Method.MODEL, payload, plain[n].crc, codec.info.id)
    return coded


def _check_able(codec: Codec[Any], pieces: Sequence[bytes]) -> None:
    """Refuse a model that was named and can code none of the pieces."""
    reasons = [codec.refusal(piece) for piece in pieces]
    if all(reasons):
        raise InputError(f"model {codec.info.name} {reasons[0]}: name another, or auto")


def _tell_unused(codec: Codec[Any], plan: Plan, choice: Choice) -> None:
    """Tell where a model codes nothing, as all takes less without it; unasked only of one that the caller named."""
    if not any(part.method is Method.MODEL for part in plan.coded):
        size, level = sum(len(part.payload) for part in plan.coded), logging.INFO if choice.forced else logging.DEBUG
        _LOG.log(level, "model %s was not used: without it the data take less, %d bytes", codec.info.name, size)


def _tell_unasked(codec: Codec[Any] | None, beyond: bool) -> None:
    """Tell who wants to know why no model was asked for all of the content. beyond: for what is known without any."""
    if beyond:
        _LOG.debug("no model was asked: the data are random, too short, or take next to nothing without")
    elif codec is not None:
        _LOG.debug("model %s was not used: a sample says that it does not win", codec.info.name)


def _may_pay(symbols: int, plain: int) -> bool:
    """Return whether a model's payload that readers take can be smaller than a classical one of ``plain`` bytes."""
    return least_payload(symbols) + ID_BYTES < plain


def _wins(symbols: int, payload: int, plain: int) -> bool:
    return payload + ID_BYTES < plain and payload >= least_payload(symbols)


def _cuts(data: bytes, codec: Codec[Any]) -> tuple[Axes, Items]:
    """Where bytes are cut for a model. Archives are cut between items: a segment is what a chain begins anew with."""
    if not codec.capabilities.codes_archives:
        return ((len(data), _parts(len(data), TEXT_SEGMENT)),), FINEST
    size = prod(codec.capabilities.item_shape)
    first = _first_item(data, size)
    items = (len(data) - first) // size
    return ((len(data), min(max(items, 1), _parts(len(data), _ARCHIVE_SEGMENT))),), Items(size, first)


def _first_item(data: bytes, size: int) -> int:
    """Where items begin: after the head of a .npy file, else so that the last ends with the content."""
    return min(npy_head(data) or len(data) % size, len(data))


def _plain_bytes(data: bytes) -> Plan:
    return _plain_blocks(data, ((len(data), _parts(len(data), _PLAIN_SEGMENT)),), FINEST)


def _plain_blocks(data: bytes, axes: Axes, granularity: Granularity) -> Plan:
    return Plan(
        axes, tuple(_plain_piece(data[slice(*extent[0])]) for extent in extents(axes, granularity)), granularity
    )


def _plain_piece(data: bytes) -> Coded:
    squeezed = lzmaraw.pack(data)
    method, payload = min((Method.STORED, data), (Method.LZMA, squeezed), key=lambda item: len(item[1]))
    return Coded(method, payload, zlib.crc32(data))


def _beyond_models(data: bytes, plain: Plan) -> bool:
    """Return whether the content is next to nothing, or LZMA says that it is random or that it says next to nothing."""
    bits = 8 * plain.size
    if len(data) <= _TINY or (len(data) > _SHORT and not _LEAST * len(data) < bits <= _RANDOM * len(data)):
        return True
    sizes = (stop - start for ((start, stop),) in extents(plain.axes, plain.granularity))
    return not any(_may_pay(size, len(coded.payload)) for size, coded in zip(sizes, plain.coded, strict=True))


def _text_may_win(data: bytes, codec: Codec[Any], rate: float) -> bool:
    """Compare model and LZMA on two pieces, unless the content is hardly more than that. Whole texts learn more from
    themselves, the one way or the other, so the model may be a bit worse. rate: bits a byte of the whole without it.

    Long content that says little would take the model long for little: there, more pieces decide, and more strictly.
    """
    if len(data) <= 2 * _SAMPLE:
        return True
    count, slack = (16, 1.0) if len(data) > _LONG and rate < _LITTLE else (2, 1.25)
    sample = b"".join(_pieces(data, count + 1)[1:])
    plain = 8 * len(lzmaraw.pack(sample))
    if plain < max(_EMPTY * rate * len(sample), _NOTHING):  # a hole in sparse data: look where there is most
        sample = b"".join(sorted(_pieces(data, _LOOKS), key=lambda piece: len(zlib.compress(piece)))[-count:])
        plain = 8 * len(lzmaraw.pack(sample))
    return bool(codec.codelength(sample).bits < min(slack * plain, _RANDOM * len(sample)))


def _pieces(data: bytes, count: int) -> list[bytes]:
    """Pieces of half a sample that begin at equal distances."""
    size = _SAMPLE // 2
    starts = [part * (len(data) - size) // count for part in range(count)]
    return [data[start : start + size] for start in starts]


# ---- pixels -----------------------------------------------------------------------------------


def encode_pixels(pixels: Pixels, mode: Mode, choice: Choice, progress: Progress) -> Plan:
    """Segments of a picture: an image model, WebP, PNG, 16-bit planes, LZMA or stored.

    Raises InputError for a model that was named and codes no pictures of this mode.
    """
    codec, asked = _image_codec(pixels, mode, choice)
    if codec is None:
        progress(pixels.size)
        return _plain_pixels(pixels, mode, choice)
    plan = _model_pixels(pixels, mode, codec, asked, choice, progress)
    lost = any(part.method is not Method.MODEL for part in plan.coded)
    promised = choice.level >= _SLOW_LEVEL and not mode.is_wide
    if len(plan.coded) > 1 and (lost or promised):  # else compared already, or next to hopeless
        plan = min(plan, _plain_pixels(pixels, mode, choice, plan.size), key=lambda plan: plan.size)
    _tell_unused(codec, plan, choice)
    return plan


def _image_codec(pixels: Pixels, mode: Mode, choice: Choice) -> tuple[Codec[Any] | None, list[bool]]:
    """The codec for a picture, None where it is not to be asked; and which tiles it is to be asked about."""
    served = serves((1, 3), mode)
    asked = [served and _tile_may_pay(_crop(pixels, extent), mode) for extent in extents(_model_grid(pixels))]
    codec = choice.find() if choice.forced or any(asked) else None
    if codec is not None and choice.forced and not serves(codec.capabilities.channels, mode):
        raise InputError(f"model {codec.info.name} codes no pictures of mode {mode.pil}: convert it, or name auto")
    if codec is None or choice.forced:
        if codec is None and served and not any(asked):
            _tell_unasked(None, beyond=True)
        return codec, asked
    wins = serves(codec.capabilities.channels, mode) and _image_may_win(pixels, mode, codec)
    if not wins:
        _tell_unasked(codec, beyond=False)
    return codec if wins else None, asked


def _tile_may_pay(tile: Pixels, mode: Mode) -> bool:
    """Whether a quick look leaves room for a model: smaller, and yet no fewer bytes than readers take from one."""
    return not least_payload(tile.nbytes) or _may_pay(tile.nbytes, quick_size(tile, mode))


def _model_grid(pixels: Pixels) -> Axes:
    return _grid(pixels, _MODEL_TILE, _MODEL_TILE)


def _model_pixels(
    pixels: Pixels, mode: Mode, codec: Codec[Any], asked: Sequence[bool], choice: Choice, progress: Progress
) -> Plan:
    """Tiles, each by the model or, where that is smaller or the model is not asked, without."""
    axes = _model_grid(pixels)
    tiles = [_crop(pixels, extent) for extent in extents(axes)]
    search = choice.search if len(tiles) == 1 else choice.tile_search
    others = [tile for tile, ask in zip(tiles, asked, strict=True) if not ask]
    with ThreadPoolExecutor(_COMPARING) as pool:
        plain = list(pool.map(lambda tile: _plain_tile(tile, None, mode, search), others))
    progress(sum(tile.size for tile in others))
    coded: list[Coded] = []
    limit = codec.capabilities.batch
    for batch in _batches(list(compress(tiles, asked)), lambda tile: tile.shape[0] * tile.shape[1], limit):
        parts = [opened(tile, mode, codec.capabilities.channels) for tile in batch]
        inputs = [x for part in parts for x in part.inputs]
        work, total = sum(x.shape[0] * x.shape[1] for x in inputs), sum(tile.size for tile in batch)
        payloads = iter(_encode(codec, inputs, _spread(progress, work, total), choice))
        made = [part.finish([next(payloads) for _ in part.inputs]) for part in parts]
        with ThreadPoolExecutor(_COMPARING) as pool:
            coded += pool.map(lambda tile, own: _smaller_tile(tile, mode, own, codec.info.id, search), batch, made)
    by_model, without = iter(coded), iter(plain)
    return Plan(axes, tuple(next(by_model if ask else without) for ask in asked))


def _encode(codec: Codec[Any], xs: Sequence[Any], progress: Progress, choice: Choice) -> list[bytes]:
    thorough = choice.level >= _THOROUGH_LEVEL and codec.capabilities.thorough
    return codec.encode_batch(xs, progress, thorough=thorough)


def _plain_pixels(pixels: Pixels, mode: Mode, choice: Choice, beat: int | None = None) -> Plan:
    """Tiles without a model. beat: as for :func:`encode_tile`, for all of them together."""
    columns = min(pixels.shape[1], _PLAIN_TILE)
    axes = _grid(pixels, min(_PLAIN_PIXELS // columns, _PLAIN_TILE), columns)
    tiles = [_crop(pixels, extent) for extent in extents(axes)]
    shares = [None if beat is None else beat * tile.size // pixels.size for tile in tiles]
    return Plan(axes, tuple(_plain_tile(*part, mode, choice.search) for part in zip(tiles, shares, strict=True)))


def _plain_tile(tile: Pixels, beat: int | None, mode: Mode, search: Search) -> Coded:
    method, payload = encode_tile(tile, mode, beat, search)
    return Coded(method, payload, zlib.crc32(to_samples(tile, mode)))


def _smaller_tile(tile: Pixels, mode: Mode, made: tuple[Method, bytes], model: bytes, search: Search) -> Coded:
    """The tile as the model has it, unless it is smaller without, or too small for a reader's limits."""
    method, payload = made
    plain = _plain_tile(tile, len(payload), mode, search)
    wins = len(payload) < len(plain.payload)
    if _wins(tile.nbytes, len(payload), len(plain.payload)) if method is Method.MODEL else wins:
        return Coded(method, payload, plain.crc, model if method is Method.MODEL else b"")
    return plain


def _image_may_win(pixels: Pixels, mode: Mode, codec: Codec[Any]) -> bool:
    """Let the model and WebP code up to four small pieces."""
    height, width = pixels.shape[:2]
    if height * width <= _ASK:
        return True
    side, ideal, plain, samples = 80, 0.0, 0, 0
    for row in {max(0, height // 4 - side // 2), max(0, 3 * height // 4 - side // 2)}:
        for column in {max(0, width // 4 - side // 2), max(0, 3 * width // 4 - side // 2)}:
            crop = pixels[row : row + side, column : column + side]
            piece = opened(crop, mode, codec.capabilities.channels).inputs[0]
            ideal += codec.codelength(piece).bits
            plain += 8 * estimate_tile(piece)
            samples += piece.size
    return ideal < min(1.15 * plain, _NOISE * samples)


# ---- decoding ---------------------------------------------------------------------------------


def decode(frame: Frame, codecs: Callable[[bytes], Codec[Any]], progress: Progress) -> Iterator[tuple[int, Any]]:
    """Every segment's number with its content (bytes or pixels) or the FormatError it ended in.

    ``codecs`` finds the codec of a model's identity. Segments that are None are left out.
    """
    found = [(number, part) for number, part in enumerate(frame.segments) if part is not None]
    for model, group in groupby(found, key=lambda item: item[1].model):
        codec = codecs(model) if model else None
        if codec is not None and codec.capabilities.codes_pictures is not (frame.header.kind is Kind.IMAGE):
            error = DamagedError(f"model {codec.info.name} cannot code {frame.header.kind.name.lower()}")
            yield from ((number, error) for number, _ in group)
            continue
        limit = codec.capabilities.batch if codec else 1
        for batch in _batches(list(group), lambda item: _area(item[1].extent), limit):
            yield from _decode_batch(frame, codec, batch, progress)


def _decode_batch(
    frame: Frame, codec: Codec[Any] | None, batch: list[tuple[int, Segment]], progress: Progress
) -> Iterator[tuple[int, Any]]:
    mode = frame.header.mode
    try:
        if codec is None:
            contents = [_decode_plain(segment, mode) for _, segment in batch]
            progress(
                sum(_area(segment.extent) * (mode.channels if len(segment.extent) == 2 else 1) for _, segment in batch)
            )
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
            segment.check(content if len(segment.extent) == 1 else to_samples(content, mode))
            yield number, content
        except FormatError as error:
            yield number, _despite(error, segment, content, codec)


def _despite(error: FormatError, segment: Segment, content: Any, codec: Codec[Any] | None) -> FormatError:
    """Return what a wrong checksum of the file means where an archive's payload has right ones of its own."""
    if codec is None or not codec.verifies(segment.payload):
        return error
    return SalvageableError(f"{error}, but all items match their own", lambda: Salvaged(content, ()))


def _decode_plain(segment: Segment, mode: Mode) -> Any:
    if len(segment.extent) == 2:
        return decode_tile(segment.method, segment.payload, mode, *_sides(segment.extent))
    if segment.method is Method.LZMA:
        return lzmaraw.unpack(segment.payload)
    if segment.method is Method.PICTURE:
        return decode_planes(segment.payload)
    return segment.payload


def _decode_model(segments: list[Segment], mode: Mode, codec: Codec[Any], progress: Progress) -> list[Any]:
    if len(segments[0].extent) == 1:
        return codec.decode_batch([segment.payload for segment in segments], progress)
    parts = [close(segment.payload, mode, *_sides(segment.extent)) for segment in segments]
    payloads = [payload for part in parts for payload in part.payloads]
    areas = [_area(segment.extent) for segment in segments]
    work = sum(area * len(part.payloads) for area, part in zip(areas, parts, strict=True))
    made = iter(codec.decode_batch(payloads, _spread(progress, work, sum(areas) * mode.channels)))
    return [part.finish([next(made) for _ in part.payloads]) for part in parts]


# ---- helpers ----------------------------------------------------------------------------------


def _parts(length: int, largest: int) -> int:
    return max(1, -(-length // largest))


def _grid(pixels: Pixels, rows: int, columns: int) -> Axes:
    """Tiles of at most so many rows and columns."""
    height, width = pixels.shape[:2]
    return (height, _parts(height, rows)), (width, _parts(width, columns))


def _crop(pixels: Pixels, extent: Extent) -> Pixels:
    (top, bottom), (left, right) = extent
    return pixels[top:bottom, left:right]


def _sides(extent: Extent) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in extent)


def _area(extent: Extent) -> int:
    return prod(_sides(extent))


def _spread(progress: Progress, work: int, total: int) -> Progress:
    """Progress in pixels of all that a model does, told on in subpixels of the tiles it does them for."""
    done = 0

    def advance(pixels: int) -> None:
        nonlocal done
        progress(total * (done + pixels) // work - total * done // work)
        done += pixels

    return advance


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
