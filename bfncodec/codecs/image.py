"""RGB images through the erasure sender on the wavefront schedule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.codecs.base import Codec, Progress, check_size, silent
from bfncodec.coding.cdf import NIBBLE, Intervals, high_frequencies, low_frequencies, nibble_intervals
from bfncodec.coding.direct import RangeDecoder, RangeEncoder, information
from bfncodec.errors import DamagedError, InputError
from bfncodec.flow.report import CodeLength
from bfncodec.models import ModelInfo
from bfncodec.networks.convnet import CODING_ORDER, ConvNetConfig
from bfncodec.networks.exact_convnet import ExactConvNet, Pass, stored_shapes
from bfncodec.networks.stored import check_shapes
from bfncodec.wire import Reader, varint

Image = NDArray[np.uint8]  # [H, W, 3]
BATCH_PIXELS = 1 << 21  # images coded side by side hold at most this many pixels together
BLOCK_PIXELS = 1 << 12  # pixels the network sees at once when encoding
SYMBOLS = 6  # of a pixel: two nibbles of three channels


class ImageCodec(Codec[Image]):
    """uint8 [H, W, 3] images, any size from 1 x 1.

    Payload: varint height, varint width, then the nibbles of all pixels, line by line: of each line the high nibbles of
    green, its low nibbles, then red's, then blue's, each by increasing row.
    """

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        config = ConvNetConfig.from_dict(dict(info.config["network"]))
        check_shapes(tensors, stored_shapes(config))
        self.network = ExactConvNet(config, tensors, device)

    def encode_batch(self, xs: Sequence[Image], progress: Progress = silent) -> list[bytes]:
        for x in xs:
            _check(x)
        result: list[bytes] = [b""] * len(xs)
        for group in _groups([x.shape[:2] for x in xs]):
            bodies = self._encode(np.stack([xs[i] for i in group]), progress)
            height, width = xs[group[0]].shape[:2]
            for i, body in zip(group, bodies, strict=True):
                result[i] = varint(height) + varint(width) + body
        return result

    def decode_batch(self, payloads: Sequence[bytes], progress: Progress = silent) -> list[Image]:
        sizes, bodies = zip(*map(_split, payloads), strict=True) if payloads else ((), ())
        result: list[Image] = [np.empty(0, np.uint8)] * len(payloads)
        for group in _groups(list(sizes)):
            height, width = sizes[group[0]]
            images = self._decode([bodies[i] for i in group], height, width, progress)
            for i, image in zip(group, images, strict=True):
                result[i] = image
        return result

    def codelength(self, x: Image) -> CodeLength:
        _check(x)
        height, width = x.shape[:2]
        kl = np.zeros(width + 2 * (height - 1))
        for step, _, _, _, frequency in self._intervals(x[None]):
            bits = information(frequency[0]).sum(0)  # [n]
            kl += np.bincount(step, weights=bits, minlength=len(kl))
        return CodeLength(kl, 0.0, x.size)

    def _encode(self, images: NDArray[np.uint8], progress: Progress) -> list[bytes]:
        encoders = [RangeEncoder() for _ in images]
        for _, position, symbol, below, frequency in self._intervals(images):
            for t, encoder in enumerate(encoders):
                own = [a[t].reshape(-1)[position] for a in (below, frequency, symbol)]
                encoder.encode_intervals(own[0], own[1], own[2], NIBBLE)
            progress(symbol.shape[0] * symbol.shape[2])
        return [encoder.finish() for encoder in encoders]

    def _decode(self, bodies: Sequence[bytes], height: int, width: int, progress: Progress) -> list[Image]:
        decoders = [RangeDecoder(body) for body in bodies]
        run = self.network.start(height, width, len(bodies), 1)
        geo = run.geometry
        values = np.empty((len(bodies), height * width, 3), np.uint8)
        for first, last in _lines(geo.offsets, 1):
            line = self._decode_line(run, first, last, decoders)
            run.reveal(first, torch.from_numpy(line).to(self.device))
            values[:, geo.order[first:last]] = line
            progress(len(bodies) * (last - first))
        return list(values.reshape(len(bodies), height, width, 3))

    def _intervals(self, images: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.integer], ...]]:
        """Block after block of ranks: step of each pixel [n]; place of each symbol in coding order, to be used as
        symbols.reshape(-1)[place]; symbol, sum of frequencies below it, frequency, int32 [T, 6, n].
        """
        count, height, width = images.shape[:3]
        block = max(1, BLOCK_PIXELS // count)
        run = self.network.start(height, width, count, block)
        geo = run.geometry
        step_of = np.repeat(np.arange(len(geo.offsets) - 1), np.diff(geo.offsets))
        values = images.reshape(count, -1, 3)[:, geo.order].astype(np.int32)
        for first, last in _lines(geo.offsets, block):
            known = values[:, first:last]
            run.reveal(first, torch.from_numpy(known).to(self.device))
            prediction = run.predict(first, last)
            intervals: list[Intervals] = []
            for k, c in enumerate(CODING_ORDER):
                value = known[..., c].reshape(-1)
                intervals += nibble_intervals(prediction.channel(k).below, value)
                prediction.tell(k, value)
            parts = [np.stack([getattr(i, name) for i in intervals]) for name in ("symbol", "below", "frequency")]
            arrays = [p.reshape(SYMBOLS, count, -1).swapaxes(0, 1) for p in parts]
            yield step_of[first:last], _coding_order(geo.offsets, first, last), *arrays

    def _decode_line(self, run: Pass, first: int, last: int, decoders: Sequence[RangeDecoder]) -> NDArray[np.int32]:
        """One step: the pixels of one line of every image. Returns int32 [T, n, 3]."""
        count = len(decoders) * (last - first)
        prediction = run.predict(first, last)
        line = np.empty((count, 3), np.int32)
        for k, c in enumerate(CODING_ORDER):
            below = prediction.channel(k).below
            frequencies, edges = high_frequencies(below, count)
            high = _decode_symbols(frequencies, decoders)
            low = _decode_symbols(low_frequencies(below, high, edges), decoders)
            line[:, c] = high * NIBBLE + low
            prediction.tell(k, line[:, c])
        return line.reshape(len(decoders), -1, 3)


def _decode_symbols(frequencies: NDArray[np.float32], decoders: Sequence[RangeDecoder]) -> NDArray[np.int32]:
    rows = frequencies.reshape(len(decoders), -1, NIBBLE)
    return np.concatenate([d.decode_rows(r) for d, r in zip(decoders, rows, strict=True)])


def _check(x: Image) -> None:
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] != 3 or 0 in x.shape:
        found = f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"expected an RGB image, uint8 [height, width, 3], found {found}")


def _split(payload: bytes) -> tuple[tuple[int, int], bytes]:
    reader = Reader(payload)
    height, width = reader.varint("image height"), reader.varint("image width")
    check_size(height * width, "pixels")
    if not height or not width:
        raise DamagedError(
            f"expected an image of at least 1 x 1 pixels, found {height} x {width}: the payload is damaged"
        )
    return (height, width), reader.rest()


def _groups(sizes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Indices of images of one size, so many that they fit BATCH_PIXELS."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, size in enumerate(sizes):
        by_size[size].append(i)
    for (height, width), members in by_size.items():
        most = max(1, BATCH_PIXELS // (height * width))
        yield from (members[k : k + most] for k in range(0, len(members), most))


def _lines(offsets: NDArray[np.int64], block: int) -> Iterator[tuple[int, int]]:
    """Ranges of ranks made of whole lines: one line each, or as many as fit into `block`."""
    first = 0
    for here, following in zip(offsets[1:], [*offsets[2:], None], strict=True):
        full = following is None or following - first > block
        if full and here > first:
            yield first, int(here)
            first = int(here)


def _coding_order(offsets: NDArray[np.int64], first: int, last: int) -> NDArray[np.int64]:
    """Where the symbols of ranks [first, last), laid out [6, n], stand in coding order: line by line, in a line
    symbol by symbol.
    """
    rank = np.arange(first, last)
    line = np.searchsorted(offsets, rank, side="right") - 1
    start, length = offsets[line], offsets[line + 1] - offsets[line]
    place = SYMBOLS * (start - first) + np.arange(SYMBOLS)[:, None] * length + rank - start
    return np.argsort(place.reshape(-1))
