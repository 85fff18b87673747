"""RGB and grey images through the erasure sender on the wavefront schedule."""

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
from bfncodec.imagehead import ImageHead
from bfncodec.models import ModelInfo
from bfncodec.networks.convnet import CODING_ORDER, ConvNetConfig
from bfncodec.networks.exact_convnet import ExactConvNet, Pass, stored_shapes
from bfncodec.networks.stored import check_shapes
from bfncodec.wire import Reader

Image = NDArray[np.uint8]  # [H, W, C], C = 3 for RGB, 1 for grey
BATCH_PIXELS = 1 << 21  # images coded side by side hold at most this many pixels together
BLOCK_PIXELS = 1 << 12  # pixels the network sees at once when encoding
NIBBLES = 2  # symbols of a channel
TRIED = (0, 1, 2, 3)  # orientations of a thorough encoder: mirrored both ways; transposed ones hardly ever win
_KINDS = {1: "a grey", 3: "an RGB"}


class ImageCodec(Codec[Image]):
    """uint8 [H, W, 3] images, any size from 1 x 1, and grey ones, [H, W, 1], where the model knows them.

    Payload: an `ImageHead`, then the nibbles of all pixels, line by line: of each line the high nibbles of green, its
    low nibbles, then red's, then blue's, each by increasing row. A grey image has the nibbles of green only.
    """

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        self.channels: tuple[int, ...] = tuple(info.config.get("channels", (3,)))
        if not self.channels or not set(self.channels) <= {1, 3}:
            raise ValueError(f"expected channels of 1 and 3, found {list(self.channels)}")
        config = ConvNetConfig.from_dict(dict(info.config["network"]))
        check_shapes(tensors, stored_shapes(config))
        self.network = ExactConvNet(config, tensors, device)

    def encode_batch(self, xs: Sequence[Image], progress: Progress = silent, thorough: bool = False) -> list[bytes]:
        """One payload for each x; the same bytes as one at a time.

        thorough: code each image in four orientations, which takes four times as long, and keep the shortest payload.
        Raises InputError for what is not an image the model knows.
        """
        for x in xs:
            self._check(x)
        if not thorough:
            return self._encode_turned(xs, 0, progress)
        shared = _Shared(progress, len(TRIED))
        tried = [self._encode_turned(xs, orientation, shared) for orientation in TRIED]
        return [min(payloads, key=len) for payloads in zip(*tried, strict=True)]

    def decode_batch(self, payloads: Sequence[bytes], progress: Progress = silent) -> list[Image]:
        heads, bodies = zip(*map(self._split, payloads), strict=True) if payloads else ((), ())
        result: list[Image] = [np.empty(0, np.uint8)] * len(payloads)
        for group in _groups([_turned_shape(head) for head in heads]):
            images = self._decode([bodies[i] for i in group], _turned_shape(heads[group[0]]), progress)
            for i, image in zip(group, images, strict=True):
                result[i] = turn_back(image, heads[i].orientation)
        return result

    def codelength(self, x: Image) -> CodeLength:
        self._check(x)
        height, width = x.shape[:2]
        kl = np.zeros(width + 2 * (height - 1))
        for step, _, _, _, frequency in self._intervals(x[None]):
            bits = information(frequency[0]).sum(0)  # [n]
            kl += np.bincount(step, weights=bits, minlength=len(kl))
        return CodeLength(kl, 0.0, x.size)

    def _check(self, x: Image) -> None:
        if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 3 and x.size and x.shape[2] in self.channels:
            return
        wanted = " or ".join(f"{_KINDS[c]} image, uint8 [height, width, {c}]" for c in self.channels)
        found = f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"expected {wanted}, found {found}")

    def _split(self, payload: bytes) -> tuple[ImageHead, bytes]:
        reader = Reader(payload)
        head = ImageHead.read(reader)
        check_size(head.height * head.width, "pixels")
        if head.channels not in self.channels:
            raise DamagedError(
                f"expected images of {' or '.join(map(str, self.channels))} channels, which is what model "
                f"{self.info.name} knows, found {head.channels}: the payload is damaged"
            )
        return head, reader.rest()

    def _encode_turned(self, xs: Sequence[Image], orientation: int, progress: Progress) -> list[bytes]:
        turned = [turn(x, orientation) for x in xs]
        result = [ImageHead(x.shape[0], x.shape[1], x.shape[2], orientation).write() for x in xs]
        for group in _groups([x.shape for x in turned]):
            bodies = self._encode(np.stack([turned[i] for i in group]), progress)
            for i, body in zip(group, bodies, strict=True):
                result[i] += body
        return result

    def _encode(self, images: NDArray[np.uint8], progress: Progress) -> list[bytes]:
        encoders = [RangeEncoder() for _ in images]
        for _, position, symbol, below, frequency in self._intervals(images):
            for t, encoder in enumerate(encoders):
                own = [a[t].reshape(-1)[position] for a in (below, frequency, symbol)]
                encoder.encode_intervals(own[0], own[1], own[2], NIBBLE)
            progress(symbol.shape[0] * symbol.shape[2])
        return [encoder.finish() for encoder in encoders]

    def _decode(self, bodies: Sequence[bytes], shape: tuple[int, int, int], progress: Progress) -> list[Image]:
        height, width, channels = shape
        decoders = [RangeDecoder(body) for body in bodies]
        run = self.network.start(height, width, len(bodies), 1)
        geo = run.geometry
        values = np.empty((len(bodies), height * width, channels), np.uint8)
        for first, last in _lines(geo.offsets, 1):
            line = self._decode_line(run, first, last, channels, decoders)
            run.reveal(first, torch.from_numpy(line).to(self.device))
            values[:, geo.order[first:last]] = line
            progress(len(bodies) * (last - first))
        return list(values.reshape(len(bodies), *shape))

    def _intervals(self, images: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.integer], ...]]:
        """Block after block of ranks: step of each pixel [n]; place of each symbol in coding order, to be used as
        symbols.reshape(-1)[place]; symbol, sum of frequencies below it, frequency, int32 [T, S, n] for the S = 2 C
        symbols of a pixel.
        """
        count, height, width, channels = images.shape
        order = _coded_channels(channels)
        block = max(1, BLOCK_PIXELS // count)
        run = self.network.start(height, width, count, block)
        geo = run.geometry
        step_of = np.repeat(np.arange(len(geo.offsets) - 1), np.diff(geo.offsets))
        values = images.reshape(count, -1, channels)[:, geo.order].astype(np.int32)
        for first, last in _lines(geo.offsets, block):
            known = values[:, first:last]
            run.reveal(first, torch.from_numpy(known).to(self.device))
            prediction = run.predict(first, last)
            intervals: list[Intervals] = []
            for k, c in enumerate(order):
                value = known[..., c].reshape(-1)
                intervals += nibble_intervals(prediction.channel(k).below, value)
                prediction.tell(k, value)
            parts = [np.stack([getattr(i, name) for i in intervals]) for name in ("symbol", "below", "frequency")]
            arrays = [p.reshape(NIBBLES * channels, count, -1).swapaxes(0, 1) for p in parts]
            place = _coding_order(geo.offsets, first, last, NIBBLES * channels)
            yield step_of[first:last], place, *arrays

    def _decode_line(
        self, run: Pass, first: int, last: int, channels: int, decoders: Sequence[RangeDecoder]
    ) -> NDArray[np.int32]:
        """One step: the pixels of one line of every image. Returns int32 [T, n, C]."""
        count = len(decoders) * (last - first)
        prediction = run.predict(first, last)
        line = np.empty((count, channels), np.int32)
        for k, c in enumerate(_coded_channels(channels)):
            below = prediction.channel(k).below
            frequencies, edges = high_frequencies(below, count)
            high = _decode_symbols(frequencies, decoders)
            low = _decode_symbols(low_frequencies(below, high, edges), decoders)
            line[:, c] = high * NIBBLE + low
            prediction.tell(k, line[:, c])
        return line.reshape(len(decoders), -1, channels)


def _decode_symbols(frequencies: NDArray[np.float32], decoders: Sequence[RangeDecoder]) -> NDArray[np.int32]:
    rows = frequencies.reshape(len(decoders), -1, NIBBLE)
    return np.concatenate([d.decode_rows(r) for d, r in zip(decoders, rows, strict=True)])


def turn(x: Image, orientation: int) -> Image:
    """A view of an image in one of its orientations (see `ImageHead`). [H, W, C]"""
    x = x.swapaxes(0, 1) if orientation & 4 else x
    x = x[::-1] if orientation & 2 else x
    return x[:, ::-1] if orientation & 1 else x


def turn_back(x: Image, orientation: int) -> Image:
    """The inverse of `turn`, contiguous."""
    x = x[:, ::-1] if orientation & 1 else x
    x = x[::-1] if orientation & 2 else x
    return np.ascontiguousarray(x.swapaxes(0, 1) if orientation & 4 else x)


def _turned_shape(head: ImageHead) -> tuple[int, int, int]:
    height, width = (head.width, head.height) if head.orientation & 4 else (head.height, head.width)
    return height, width, head.channels


def _coded_channels(channels: int) -> tuple[int, ...]:
    """Where the channels stand in an image of so many, in the order in which they are coded."""
    return CODING_ORDER if channels == 3 else (0,)


class _Shared:
    """Progress of work that is done `times` over: tells of a pixel when its share of all calls is done."""

    def __init__(self, progress: Progress, times: int) -> None:
        self.progress, self.times, self.left = progress, times, 0

    def __call__(self, done: int) -> None:
        whole, self.left = divmod(self.left + done, self.times)
        self.progress(whole)


def _groups(sizes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Indices of images of one size, so many that they fit BATCH_PIXELS."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, size in enumerate(sizes):
        by_size[size].append(i)
    for (height, width, *_), members in by_size.items():
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


def _coding_order(offsets: NDArray[np.int64], first: int, last: int, symbols: int) -> NDArray[np.int64]:
    """Where the symbols of ranks [first, last), laid out [symbols, n], stand in coding order: line by line, in a line
    symbol by symbol.
    """
    rank = np.arange(first, last)
    line = np.searchsorted(offsets, rank, side="right") - 1
    start, length = offsets[line], offsets[line + 1] - offsets[line]
    place = symbols * (start - first) + np.arange(symbols)[:, None] * length + rank - start
    return np.argsort(place.reshape(-1))
