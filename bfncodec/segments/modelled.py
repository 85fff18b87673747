"""Tiles through an image model: what it is given, and what a file keeps beside its payloads.

A model codes pictures of three equal bytes a pixel, RGB, and some also those of one, grey. A tile of another mode is
cut into such pictures (its colour and its opacity, the high bits of its 16-bit samples) and what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bfncodec.errors import DamagedError
from bfncodec.format.kinds import PLANES, Method, Mode
from bfncodec.format.wire import Reader
from bfncodec.images.classical import Block, Planes, joined, parted, read_planes
from bfncodec.runtime.arrays import Pixels

__all__ = ["Closed", "Open", "close", "opened", "serves"]

_CHEAP = 64  # pixels a byte of opacity without a model, above which one is not asked


@dataclass(frozen=True)
class Open:
    """A tile before it is coded. inputs: what the model is given, uint8 ``[H, W, 1 or 3]``. finish: makes method and
    payload of the segment of what the model returned for each.
    """

    inputs: tuple[Pixels, ...]
    finish: Callable[[Sequence[bytes]], tuple[Method, bytes]]


@dataclass(frozen=True)
class Closed:
    """A segment before it is decoded. payloads: for the model, in the order of :class:`Open`'s inputs. finish: makes
    the tile of what the model returned for each. DamagedError where that cannot be.
    """

    payloads: tuple[bytes, ...]
    finish: Callable[[Sequence[Pixels]], Pixels]


def serves(channels: Sequence[int], mode: Mode) -> bool:
    """Return whether a model of pictures of so many channels codes tiles of a mode."""
    return mode not in (Mode.P, Mode.BILEVEL) and _colours(mode) in channels


def opened(tile: Pixels, mode: Mode, channels: Sequence[int]) -> Open:
    """Return what of a tile a model of pictures of so many channels is to code."""
    if mode.is_wide:
        return _open_planes(tile, mode)
    colour = _colour(tile, mode, channels)
    if not mode.has_alpha:
        return Open((colour,), lambda coded: (Method.MODEL, coded[0]))
    return _open_opacity(tile, colour, 1 in channels)


def close(payload: bytes, mode: Mode, height: int, width: int) -> Closed:
    """The parts of a segment's payload that a model codes. DamagedError where there are none such."""
    if mode.is_wide:
        return _close_planes(payload, mode, height, width)
    if not mode.has_alpha:
        return Closed((payload,), lambda made: _with_channels(made[0], _colours(mode)))
    return _close_opacity(payload, mode, height, width)


# ---- colour and opacity -----------------------------------------------------------------------


def _open_opacity(tile: Pixels, colour: Pixels, grey: bool) -> Open:
    import numpy as np

    opacity = np.ascontiguousarray(tile[:, :, -1:])
    plain = Block.of(opacity)
    asked = grey and _CHEAP * len(plain.payload) > opacity.size

    def finish(coded: Sequence[bytes]) -> tuple[Method, bytes]:
        blocks = [plain, *(Block(Method.MODEL, payload) for payload in coded[1:])]
        smallest = min(blocks, key=lambda block: len(block.payload))
        return Method.MODEL, smallest.write() + coded[0]

    return Open((colour, opacity) if asked else (colour,), finish)


def _close_opacity(payload: bytes, mode: Mode, height: int, width: int) -> Closed:
    import numpy as np

    reader = Reader(payload)
    block = Block.read(reader)
    block.check(height, width, 1)
    plain = None if block.method is Method.MODEL else block.decode(height, width, 1)

    def finish(made: Sequence[Pixels]) -> Pixels:
        opacity = _with_channels(made[1], 1) if plain is None else plain
        return np.concatenate([_with_channels(made[0], _colours(mode)), opacity], axis=2)

    return Closed((reader.rest(), block.payload) if plain is None else (reader.rest(),), finish)


# ---- 16-bit samples ---------------------------------------------------------------------------


def _open_planes(tile: Pixels, mode: Mode) -> Open:
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

    return Open(tuple(inputs), finish)


def _close_planes(payload: bytes, mode: Mode, height: int, width: int) -> Closed:
    planes, opacity = read_planes(payload, mode)
    high = planes.blocks[0]
    if high.method is not Method.MODEL:
        raise DamagedError("16-bit planes of which no model codes the first")
    high.check(height, width, _colours(mode))

    def finish(made: Sequence[Pixels]) -> Pixels:
        colour = planes.decode(_colours(mode), height, width, _with_channels(made[0], _colours(mode)))
        return joined(colour, opacity, height, width)

    return Closed((high.payload,), finish)


# ---- channels ---------------------------------------------------------------------------------


def _colours(mode: Mode) -> int:
    """Channels that are no opacity."""
    return mode.channels - mode.has_alpha


def _colour(tile: Pixels, mode: Mode, channels: Sequence[int]) -> Pixels:
    """A tile without its opacity: grey where it is and the model codes that."""
    import numpy as np

    colour = tile[:, :, : _colours(mode)]
    grey = 1 in channels and bool((colour == colour[:, :, :1]).all())
    return np.ascontiguousarray(colour[:, :, :1] if grey else colour)


def _with_channels(made: Pixels, channels: int) -> Pixels:
    """A picture that a model decoded, with these channels: grey may be RGB."""
    import numpy as np

    if made.shape[2] > channels:
        raise DamagedError(f"a model's picture of {made.shape[2]} channels where {channels} are expected")
    return made if made.shape[2] == channels else np.repeat(made, channels, axis=2)
