"""Pictures to segments: tiles by an image model, WebP, PNG, 16-bit planes, LZMA or stored."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import compress
from math import isqrt
from typing import Any, TypeVar

from bfncodec.codecs.protocol import Codec
from bfncodec.errors import InputError
from bfncodec.format.frame import Coded
from bfncodec.format.kinds import Method, Mode
from bfncodec.format.limits import least_payload
from bfncodec.images.classical import encode_tile, estimate_tile, least_size, quick_size
from bfncodec.images.samples import to_samples
from bfncodec.images.vp8l import Search, fits_vp8l, is_hopeless, quick_vp8l
from bfncodec.runtime.arrays import Pixels
from bfncodec.runtime.progress import Progress
from bfncodec.segments.modelled import prepare, serves
from bfncodec.segments.plan import (
    SLOW_LEVEL,
    THOROUGH_LEVEL,
    Choice,
    Plan,
    batches,
    log_unasked,
    log_unused,
    may_pay,
    smaller,
    wins,
)
from bfncodec.segments.policy import DEFAULT_POLICY, PictureTrial, Policy
from bfncodec.segments.tiles import crop, grid, spread

__all__ = ["encode_pixels"]

Result = TypeVar("Result")

_ROWS = 32  # of a tile that are looked at first
_LARGE = 1 << 20  # pixels from which on a quick look at all of a picture takes long
_BAND, _APART = 16, 256  # rows of the bands that are looked at instead, and from one to the next
_WHOLE = 0.99  # least ratio of a quick look at a whole picture to those at its tiles; 0.997 where nothing repeats
_COMPARING = 4  # tiles compared with WebP at once, which lets other threads run meanwhile


def encode_pixels(
    pixels: Pixels, mode: Mode, choice: Choice, progress: Progress, policy: Policy = DEFAULT_POLICY
) -> Plan:
    """Return the segments of a picture, uint8 or uint16 ``[H, W, C]``.

    Raises InputError for a model that was named and codes no pictures of this mode.
    """
    cut = grid(pixels, policy.model_tile, policy.model_tile)
    tiles = [crop(pixels, extent) for extent in cut.extents]
    codec, asked = _image_codec(pixels, tiles, mode, choice, policy)
    if codec is None:
        progress(pixels.size)
        return _plain_plan(pixels, mode, choice, policy)
    coded, looks = _by_model_or_not(tiles, mode, codec, asked, choice, progress, policy.model_credit)
    plan = Plan(cut, coded)
    lost = plan.modelled < len(plan.coded)
    # else compared already, or next to hopeless
    if len(plan.coded) > 1 and (lost or _whole_may_win(pixels, mode, looks, plan.size, choice)):
        plan = smaller(plan, _plain_plan(pixels, mode, choice, policy, plan.size), policy.model_credit)
    log_unused(codec, plan, choice)
    return plan


# ---- whether to ask a model -------------------------------------------------------------------


def _image_codec(
    pixels: Pixels, tiles: Sequence[Pixels], mode: Mode, choice: Choice, policy: Policy
) -> tuple[Codec[Any] | None, list[bool]]:
    """Return the codec for a picture, None if none is to code it, and for each tile whether the codec is to code it."""
    served = serves((1, 3), mode)
    asked = _compared(lambda tile: served and _tile_may_pay(tile, mode, policy.model_credit), tiles)
    codec = choice.find() if choice.forced or any(asked) else None
    if codec is not None and choice.forced and not serves(codec.capabilities.channels, mode):
        raise InputError(f"model {codec.info.name} codes no pictures of mode {mode.pil}: convert it, or name auto")
    if codec is None or choice.forced:
        if codec is None and served and not any(asked):
            log_unasked(None, beyond=True)
        return codec, asked
    fitting = [c for c in (codec, *choice.beside(codec)) if serves(c.capabilities.channels, mode)]
    best = _best_codec(pixels, mode, fitting, policy.picture_trial)
    if best is None:
        log_unasked(codec, beyond=False)
        return None, asked
    return best, asked


def _tile_may_pay(tile: Pixels, mode: Mode, credit: int) -> bool:
    """Return whether an estimate, or a quick look, leaves room for a payload of a model that is smaller, and yet taken
    by readers.

    Rows in the middle that take twice as much as that say so for the whole tile.
    """
    if not least_payload(tile.nbytes) or may_pay(tile.nbytes, least_size(tile, mode) + credit):
        return True
    top = max(0, len(tile) - _ROWS) // 2
    looks = ((tile[top : top + _ROWS], 2), (tile, 1))
    return any(may_pay(tile.nbytes, quick_size(part, mode) // share + credit) for part, share in looks)


def _best_codec(pixels: Pixels, mode: Mode, codecs: Sequence[Codec[Any]], trial: PictureTrial) -> Codec[Any] | None:
    """Return the codec that takes least for up to four small pieces of a picture, None if WebP takes less.

    A picture that is small itself has the first, if several can be chosen from only by its size.
    """
    size = pixels.shape[0] * pixels.shape[1]
    if size <= trial.unsampled and (len(codecs) < 2 or size < trial.chosen_from):
        return next(iter(codecs), None)
    side = trial.piece if size > trial.unsampled else isqrt(size) // trial.share
    pieces = _pieces(pixels, side)
    asked = [(_ideal_bits(pieces, mode, codec), codec) for codec in codecs]
    bits, best = min(asked, key=lambda found: found[0], default=(0.0, None))
    if best is None or size <= trial.unsampled:
        return best
    inputs = [prepare(piece, mode, best.capabilities.channels).inputs[0] for piece in pieces]
    plain, samples = sum(8 * estimate_tile(x) for x in inputs), sum(x.size for x in inputs)
    return best if bits < min(trial.slack * plain, trial.noise * samples) else None


def _pieces(pixels: Pixels, side: int) -> list[Pixels]:
    """Return squares around the middles of a picture's quarters."""
    height, width = pixels.shape[:2]
    rows = {max(0, height // 4 - side // 2), max(0, 3 * height // 4 - side // 2)}
    columns = {max(0, width // 4 - side // 2), max(0, 3 * width // 4 - side // 2)}
    return [pixels[row : row + side, column : column + side] for row in rows for column in columns]


def _ideal_bits(pieces: Sequence[Pixels], mode: Mode, codec: Codec[Any]) -> float:
    """Return the bits of what a model is given of some pieces."""
    inputs = (prepare(piece, mode, codec.capabilities.channels).inputs[0] for piece in pieces)
    return sum(codec.codelength(x).bits for x in inputs)


# ---- by a model -------------------------------------------------------------------------------


def _by_model_or_not(
    tiles: Sequence[Pixels],
    mode: Mode,
    codec: Codec[Any],
    asked: Sequence[bool],
    choice: Choice,
    progress: Progress,
    credit: int,
) -> tuple[tuple[Coded, ...], int]:
    """Return tiles, each by the model or, if that is smaller or the model is not asked, without.

    And the bytes that all tiles together take at a quick look, as far as the model was asked.
    """
    search = choice.search if len(tiles) == 1 else choice.tile_search
    looked_at = len(tiles) > 1 and _is_promised(mode, choice)
    others = [tile for tile, ask in zip(tiles, asked, strict=True) if not ask]
    plain = _compared(lambda tile: _plain_tile(tile, None, mode, search), others)
    progress(sum(tile.size for tile in others))
    thorough = choice.level >= THOROUGH_LEVEL and codec.capabilities.thorough
    coded: list[tuple[Coded, int]] = []
    for batch in batches(list(compress(tiles, asked)), _pixels_of, codec.capabilities.batch):
        made = _by_model(batch, mode, codec, thorough, progress)
        smaller_tile = partial(_smaller_tile, mode, codec.info.id, search, credit, looked_at)
        coded += _compared(smaller_tile, batch, made)
    by_model, without = (part for part, _ in coded), iter(plain)
    return tuple(next(by_model if ask else without) for ask in asked), sum(look for _, look in coded)


def _compared(compare: Callable[..., Result], *parts: Sequence[Any]) -> list[Result]:
    """Return what comes of comparing each tile; one alone needs no thread."""
    if len(parts[0]) < 2:
        return list(map(compare, *parts))
    with ThreadPoolExecutor(_COMPARING) as pool:
        return list(pool.map(compare, *parts))


def _by_model(
    tiles: Sequence[Pixels], mode: Mode, codec: Codec[Any], thorough: bool, progress: Progress
) -> list[tuple[Method, bytes]]:
    """Return method and payload of each tile, coded by the model."""
    parts = [prepare(tile, mode, codec.capabilities.channels) for tile in tiles]
    inputs = [x for part in parts for x in part.inputs]
    work, total = sum(map(_pixels_of, inputs)), sum(tile.size for tile in tiles)
    payloads = iter(codec.encode_batch(inputs, spread(progress, work, total), thorough=thorough))
    return [part.finish([next(payloads) for _ in part.inputs]) for part in parts]


def _pixels_of(tile: Pixels) -> int:
    return int(tile.shape[0] * tile.shape[1])


def _smaller_tile(
    mode: Mode, model: bytes, search: Search, credit: int, looked_at: bool, tile: Pixels, made: tuple[Method, bytes]
) -> tuple[Coded, int]:
    """Return the tile as the model made it, unless it is smaller without, or too small for a reader's limits.

    And its bytes at a quick look, 0 where there is none. looked_at: they are asked for.
    """
    method, payload = made
    look = quick_vp8l(tile, mode) if looked_at and fits_vp8l(tile, mode) else None
    plain = _plain_tile(tile, len(payload), mode, search, look)
    if method is not Method.MODEL:
        return (Coded(method, payload, plain.crc) if len(payload) < len(plain.payload) else plain), look or 0
    won = wins(tile.nbytes, len(payload), len(plain.payload) + credit)
    return (Coded(method, payload, plain.crc, model) if won else plain), look or 0


# ---- without a model --------------------------------------------------------------------------


def _plain_plan(pixels: Pixels, mode: Mode, choice: Choice, policy: Policy, beat: int | None = None) -> Plan:
    """Return tiles without a model. beat: as for :func:`encode_tile`, for all of them together."""
    columns = min(pixels.shape[1], policy.plain_tile)
    cut = grid(pixels, min(policy.plain_pixels // columns, policy.plain_tile), columns)
    tiles = [crop(pixels, extent) for extent in cut.extents]
    shares = [None if beat is None else beat * tile.size // pixels.size for tile in tiles]
    return Plan(cut, tuple(_plain_tile(*part, mode, choice.search) for part in zip(tiles, shares, strict=True)))


def _is_promised(mode: Mode, choice: Choice) -> bool:
    """Return whether a picture is not to be larger than WebP makes it as a whole."""
    return choice.level >= SLOW_LEVEL and not mode.is_wide


def _whole_may_win(pixels: Pixels, mode: Mode, looks: int, beat: int, choice: Choice) -> bool:
    """Return whether a picture as a whole, without a model, may take fewer than ``beat`` bytes, where that is promised.

    looks: bytes of its tiles at a quick look, hardly more than those of the whole, unless it repeats itself from tile
    to tile. Bands as wide as the picture tell that.
    """
    if not _is_promised(mode, choice):
        return False
    if pixels.shape[0] * pixels.shape[1] < _LARGE or not fits_vp8l(pixels, mode):
        return True
    height = len(pixels)
    bands = [row for top in range(0, height, _APART) for row in range(top, min(top + _BAND, height))]
    look = min(looks, quick_vp8l(pixels[bands], mode) * height // len(bands))
    return not is_hopeless(_WHOLE * look, pixels.size, beat, choice.search)


def _plain_tile(tile: Pixels, beat: int | None, mode: Mode, search: Search, look: int | None = None) -> Coded:
    method, payload = encode_tile(tile, mode, beat, search, look)
    return Coded(method, payload, zlib.crc32(to_samples(tile, mode)))
