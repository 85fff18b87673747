"""Tiles through an image model: the pictures that it is given, and what a file keeps beside their payloads.

A model codes RGB pictures of 8 bits a sample, and some models grey ones too. A tile of another mode is cut into such
pictures (its colour and its opacity, the high bits of its 16-bit samples) and the rest. :func:`prepare` does that for
the encoder, :func:`parse` for the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bfncodec.errors import DamagedError
from bfncodec.format.kinds import PLANES, Method, Mode
from bfncodec.format.wire import Reader
from bfncodec.images.classical import Block, Planes, joined, parted, read_planes
from bfncodec.runtime.arrays import Pixels

__all__ = ["Parsed", "Prepared", "parse", "prepare", "serves"]

_CHEAP = 64  # pixels for each byte of opacity without a model from which on a model is not asked


@dataclass(frozen=True)
class Prepared:
    """A tile before it is coded.

    inputs: pictures for the model, uint8 ``[H, W, 1 or 3]``. finish: makes method and payload of the segment of the
    payloads that the model returned for them.
    """

    inputs: tuple[Pixels, ...]
    finish: Callable[[Sequence[bytes]], tuple[Method, bytes]]


@dataclass(frozen=True)
class Parsed:
    """A segment before it is decoded.

    payloads: for the model, in the order of the inputs of :class:`Prepared`. finish: makes the tile of the pictures
    that the model returned for them, or raises DamagedError.
    """

    payloads: tuple[bytes, ...]
    finish: Callable[[Sequence[Pixels]], Pixels]


def serves(channels: Sequence[int], mode: Mode) -> bool:
    """Return whether a model of pictures of so many channels codes tiles of a mode."""
    return mode not in (Mode.P, Mode.BILEVEL) and _colours(mode) in channels


def prepare(tile: Pixels, mode: Mode, channels: Sequence[int]) -> Prepared:
    """Return a tile prepared for a model of pictures of these channels."""
    if mode.is_wide:
        return _prepare_planes(tile, mode)
    colour = _colour(tile, mode, channels)
    if not mode.has_alpha:
        return Prepared((colour,), lambda coded: (Method.MODEL, coded[0]))
    return _prepare_opacity(tile, colour, 1 in channels)


def parse(payload: bytes, mode: Mode, height: int, width: int) -> Parsed:
    """Return the payloads of a model in a segment's payload. Raises DamagedError if there are none."""
    if mode.is_wide:
        return _parse_planes(payload, mode, height, width)
    if not mode.has_alpha:
        return Parsed((payload,), lambda made: _with_channels(made[0], _colours(mode)))
    return _parse_opacity(payload, mode, height, width)


# ---- colour and opacity -----------------------------------------------------------------------


def _prepare_opacity(tile: Pixels, colour: Pixels, grey: bool) -> Prepared:
    import numpy as np

    opacity = np.ascontiguousarray(tile[:, :, -1:])
    plain = Block.of(opacity)
    asked = grey and _CHEAP * len(plain.payload) > opacity.size

    def finish(coded: Sequence[bytes]) -> tuple[Method, bytes]:
        blocks = [plain, *(Block(Method.MODEL, payload) for payload in coded[1:])]
        smallest = min(blocks, key=lambda block: len(block.payload))
        return Method.MODEL, smallest.write() + coded[0]

    return Prepared((colour, opacity) if asked else (colour,), finish)


def _parse_opacity(payload: bytes, mode: Mode, height: int, width: int) -> Parsed:
    import numpy as np

    reader = Reader(payload)
    block = Block.read(reader)
    block.check(height, width, 1)
    plain = None if block.method is Method.MODEL else block.decode(height, width, 1)

    def finish(made: Sequence[Pixels]) -> Pixels:
        opacity = _with_channels(made[1], 1) if plain is None else plain
        return np.concatenate([_with_channels(made[0], _colours(mode)), opacity], axis=2)

    return Parsed((reader.rest(), block.payload) if plain is None else (reader.rest(),), finish)


# ---- 16-bit samples ---------------------------------------------------------------------------


def _prepare_planes(tile: Pixels, mode: Mode) -> Prepared:
    inputs: list[Pixels] = []
    colour, opacity = parted(tile, mode)

    def keep(high: Pixels) -> Block:
        inputs.append(high)
        return Block(Method.MODEL, b"")

    planes = Planes.of(colour, code=keep)

    def finish(coded: Sequence[bytes]) -> tuple[Method, bytes]:
        plain = Block.of(inputs[0], beat=len(coded[0]))
        modelled = len(coded[0]) < len(plain.payload)
        first = Block(Method.MODEL, coded[0]) if modelled else plain
        payload = Planes(planes.used, planes.shift, (first, *planes.blocks[1:])).write(*tile.shape[:2]) + opacity
        return (Method.MODEL, payload) if modelled else (Method.PICTURE, bytes([PLANES]) + payload)

    return Prepared(tuple(inputs), finish)


def _parse_planes(payload: bytes, mode: Mode, height: int, width: int) -> Parsed:
    planes, opacity = read_planes(payload, mode)
    high = planes.blocks[0]
    if high.method is not Method.MODEL:
        raise DamagedError("16-bit planes of which no model codes the first")
    high.check(height, width, _colours(mode))

    def finish(made: Sequence[Pixels]) -> Pixels:
        colour = planes.decode(_colours(mode), height, width, _with_channels(made[0], _colours(mode)))
        return joined(colour, opacity, height, width)

    return Parsed((high.payload,), finish)


# ---- channels ---------------------------------------------------------------------------------


def _colours(mode: Mode) -> int:
    """Return the number of channels without opacity."""
    return mode.channels - mode.has_alpha


def _colour(tile: Pixels, mode: Mode, channels: Sequence[int]) -> Pixels:
    """Return a tile without its opacity, grey if it is and the model codes that."""
    import numpy as np

    colour = tile[:, :, : _colours(mode)]
    grey = 1 in channels and all((colour[:, :, c] == colour[:, :, 0]).all() for c in range(1, colour.shape[2]))
    return np.ascontiguousarray(colour[:, :, :1] if grey else colour)


def _with_channels(made: Pixels, channels: int) -> Pixels:
    """Return a picture that a model decoded with these channels, which may be three equal ones of a grey picture."""
    import numpy as np

    if made.shape[2] > channels:
        raise DamagedError(f"a model's picture of {made.shape[2]} channels where {channels} are expected")
    return made if made.shape[2] == channels else np.repeat(made, channels, axis=2)
