"""RGB and grey images through the erasure sender on the wavefront schedule.

Each step of the schedule reveals a slanted line of pixels. The sender delivers them exactly, so the receiver's
prediction p_R is the network's p_O, and the step costs KL(p_S || p_R) = -log2 p_O(x | theta): a range coder under p_O
takes that, and needs no bits back. Inside a pixel channels follow each other, each given those before: p_O of a pixel
is autoregressive in its channels, and the schedule is autoregressive in its lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.base import Architecture, Implementations, ModelCodec, check_size, named
from bfncodec.codecs.grouping import ON_A_GPU, Sizes, grouped, lines_of
from bfncodec.codecs.orientations import TRIED, TRIED_OF_SMALL, Image, Shared, turn, turn_back, turned_shape
from bfncodec.codecs.protocol import Capabilities
from bfncodec.codecs.threads import in_order, in_threads
from bfncodec.coding.ans import RandomStack
from bfncodec.coding.cdf import NIBBLE, Intervals
from bfncodec.coding.rangecoder import (
    Codes,
    RangeDecoder,
    RangeEncoders,
    SymbolSource,
    information,
)
from bfncodec.coding.rangewriter import CompiledRangeEncoders
from bfncodec.errors import DamagedError, InputError
from bfncodec.flow.report import CodeLength, StepCosts
from bfncodec.flow.schedules.base import RevealSchedule
from bfncodec.flow.schedules.reveal import Wavefront
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.wire import Reader
from bfncodec.models import ModelInfo
from bfncodec.networks.acceleration import CONVNET
from bfncodec.networks.convnet.config import CODING_ORDER, ConvNetConfig
from bfncodec.networks.convnet.front import StepPixels
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.protocol import PixelNetwork, PixelPrediction, PixelState, ReadingState
from bfncodec.networks.stored import Tensors
from bfncodec.runtime.progress import Progress, silent
from bfncodec.runtime.threads import threads_here

Ints = NDArray[np.int32]
Coded = TypeVar("Coded", bytes, NDArray[np.uint8])
CALL_PIXELS = 1 << 23  # in one call, of which two batches keep all threads busy
ENCODE_SECONDS, DECODE_SECONDS = 1e-5, 3e-5  # that a pixel takes without compiled kernels, roughly
_KINDS = {1: "a grey", 3: "an RGB"}


ENCODERS = 4  # threads that keep a GPU busy: while it works for one, others prepare pixels and code intervals


class ImageCodec(ModelCodec[Image]):
    """uint8 [H, W, 3] images, any size from 1 x 1, and grey ones, [H, W, 1], where the model knows them.

    Payload: an `ImageHead`, then the nibbles of all pixels, line by line: of each line the high nibbles of green, its
    low nibbles, then red's, then blue's, each by increasing row. A grey image has the nibbles of green only.
    """

    sizes = Sizes()

    def __init__(self, info: ModelInfo, tensors: Tensors, device: str) -> None:
        self.info, self.device = info, device
        self.sizes = Sizes() if device == "cpu" else ON_A_GPU
        self.channels: tuple[int, ...] = tuple(info.config.get("channels", (3,)))
        if not self.channels or not set(self.channels) <= {1, 3}:
            raise ValueError(f"expected channels of 1 and 3, found {list(self.channels)}")
        self.capabilities = Capabilities(channels=self.channels, batch=CALL_PIXELS, thorough=True)
        self.make_schedule = named(SCHEDULES, info.config.get("schedule", "wavefront"), "schedule")
        values = dict(info.config["network"])
        architecture = named(NETWORKS, values.get("architecture", "convnet"), "architecture")
        self.network = Implementations(architecture, values, tensors, device)

    def encode_items(self, xs: Sequence[Image], progress: Progress, thorough: bool) -> list[bytes]:
        """One payload for each x.

        thorough: code each image in four orientations, small ones in eight, which takes as many times as long, and
        keep the shortest payload.
        """
        if not thorough:
            return self._encode_turned(xs, 0, progress)
        shared = Shared(progress, len(TRIED))
        tried = [self._encode_turned(xs, orientation, shared) for orientation in TRIED]
        shortest = [min(payloads, key=len) for payloads in zip(*tried, strict=True)]
        small = [i for i, x in enumerate(xs) if x.shape[0] * x.shape[1] <= self.sizes.small]
        for orientation in TRIED_OF_SMALL:  # soon done, so they do not count as progress
            others = self._encode_turned([xs[i] for i in small], orientation, silent)
            for i, other in zip(small, others, strict=True):
                shortest[i] = min(shortest[i], other, key=len)
        return shortest

    def decode_items(self, payloads: Sequence[bytes], progress: Progress) -> list[Image]:
        heads, bodies = zip(*map(self._split, payloads), strict=True) if payloads else ((), ())
        images = self._decode_all([turned_shape(head) for head in heads], list(map(RangeDecoder, bodies)), progress)
        return [turn_back(image, head.orientation) for image, head in zip(images, heads, strict=True)]

    def draw(self, count: int, size: tuple[int, ...], seed: np.random.SeedSequence) -> list[Image]:
        """Samples of the model: images of (height, width), in colour where the model knows colour."""
        height, width = size
        shapes = [(height, width, max(self.channels))] * count
        return self._decode_all(shapes, [RandomStack(own) for own in seed.spawn(count)], silent)

    def codelength(self, x: Image) -> CodeLength:
        self.check(x)
        costs = StepCosts(self.make_schedule(*x.shape[:2]).n_steps)
        for pixels, found in self._intervals([x], self._encoding_network([x]), (0, lines_of(x.shape))):
            costs.add(pixels.line, information(found[2]).sum(0))
        return costs.total(x.size)

    def surprise(self, x: Image) -> NDArray[np.float64]:
        self.check(x)
        found = np.zeros(x.shape[0] * x.shape[1])
        for pixels, (_, _, frequency) in self._intervals([x], self._encoding_network([x]), (0, lines_of(x.shape))):
            found[pixels.place] = information(frequency).sum(0)
        return found.reshape(x.shape[:2])

    def check(self, x: Image) -> None:
        plain = type(x) in (np.ndarray, np.memmap)  # other subclasses mean more by their numbers, as masked arrays do
        if plain and x.dtype == np.uint8 and x.ndim == 3 and x.size and x.shape[2] in self.channels:
            return
        wanted = " or ".join(f"{_KINDS[c]} image, uint8 [height, width, {c}]" for c in self.channels)
        shape = f"{x.dtype} {list(x.shape)} " if isinstance(x, np.ndarray) else ""
        kind = "" if plain else type(x).__name__
        raise InputError(f"expected {wanted}, found {(shape + kind).rstrip()}")

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

        threads = threads_here() if self.device == "cpu" else min(ENCODERS, threads_here())

        def work(group: list[int], report: Progress) -> list[bytes]:
            alone = len(group) == len(turned)
            return self._encode([turned[i] for i in group], report, threads if alone else 1)

        bodies = self._in_groups(work, [x.shape for x in turned], progress, threads)
        heads = [ImageHead(x.shape[0], x.shape[1], x.shape[2], orientation) for x in xs]
        return [head.write() + body for head, body in zip(heads, bodies, strict=True)]

    def _in_groups(
        self,
        work: Callable[[list[int], Progress], list[Coded]],
        shapes: Sequence[tuple[int, ...]],
        progress: Progress,
        threads: int,
    ) -> list[Coded]:
        """Return what `work` makes of the images of these shapes, told by their indices, in the order of the shapes."""
        groups = grouped(shapes, threads, self.sizes.batch)
        alone = len(groups) == 1 < threads  # then torch's own threads are all that can help
        made = [work(groups[0], progress)] if alone else in_threads(work, groups, progress, threads)
        by_index = dict(zip(chain.from_iterable(groups), chain.from_iterable(made), strict=True))
        return [by_index[i] for i in range(len(shapes))]

    def _encode(self, images: Sequence[Image], progress: Progress, threads: int) -> list[bytes]:
        """Bodies of images with one number of channels, whose lines some threads share."""
        network = self._encoding_network(images)
        encoders = CompiledRangeEncoders(len(images)) if network.reads else RangeEncoders(len(images), NIBBLE)

        def work(lines: tuple[int, int]) -> Iterator[tuple[NDArray[np.int64], Ints]]:
            return ((pixels.counts, found) for pixels, found in self._intervals(images, network, lines))

        for counts, found in in_order(work, self._shares(images, network, threads), threads):
            encoders.append(counts, found)
            progress(found.shape[2])
        return encoders.finish()

    def _shares(self, images: Sequence[Image], network: PixelNetwork, threads: int) -> list[tuple[int, int]]:
        """Return ranges of lines of about equal length for some threads, as few as there is room for."""
        lines, pixels = max(lines_of(x.shape) for x in images), sum(x.shape[0] * x.shape[1] for x in images)
        wanted = threads * -(-pixels // (threads * self.sizes.share)) if threads > 1 else 1
        count = max(1, min(wanted, lines // (self.sizes.memories * network.memory)))
        return [(lines * k // count, lines * (k + 1) // count) for k in range(count)]

    def _block(self, network: PixelNetwork, images: int) -> int:
        """Return the pixels of so many images that are worked on in one call."""
        return max(self.sizes.block * (self.sizes.kernels if network.reads else 1), self.sizes.each * images)

    def _encoding_network(self, images: Sequence[Image]) -> PixelNetwork:
        return self.network.fastest(ENCODE_SECONDS * sum(x.shape[0] * x.shape[1] for x in images))

    def _decode_all(
        self, shapes: Sequence[tuple[int, int, int]], sources: Sequence[SymbolSource], progress: Progress
    ) -> list[Image]:
        """The images of these shapes that sources of symbols, one for each, give."""
        threads = threads_here() if self.device == "cpu" else 1

        # Torch's threads would have next to nothing to share in a line; groups share the better the longer lines are.
        pixels, lines = sum(height * width for height, width, _ in shapes), max(map(lines_of, shapes), default=1)
        sharing = max(1, min(threads, self.sizes.readers, pixels // (self.sizes.shared * lines)))

        def work(group: list[int], report: Progress) -> list[Image]:
            alone = len(group) == len(shapes)
            return self._decode(
                [sources[i] for i in group], [shapes[i] for i in group], report, sharing if alone else 1
            )

        return self._in_groups(work, shapes, progress, 1 if pixels < self.sizes.line * lines else threads)

    def _decode(
        self, sources: Sequence[SymbolSource], shapes: Sequence[tuple[int, int, int]], progress: Progress, threads: int
    ) -> list[Image]:
        """The inverse of `_encode`, of images with one number of channels, whose lines some threads share."""
        sizes = [height * width for height, width, _ in shapes]
        network = self.network.fastest(DECODE_SECONDS * sum(sizes))
        theta = network.start([shape[:2] for shape in shapes], self._block(network, len(shapes)), single=True)
        values = np.empty((sum(sizes), shapes[0][2]), np.uint8)
        decoders = [source for source in sources if isinstance(source, RangeDecoder)]
        if network.reads and len(decoders) == len(sources):
            read = cast(ReadingState, theta).read(Codes.of(decoders), values, threads)
        else:
            read = self._read(theta, sources, values)
        for count in read:
            progress(count)
        pieces = np.split(values, np.cumsum(sizes)[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def _read(self, theta: PixelState, sources: Sequence[SymbolSource], values: NDArray[np.uint8]) -> Iterator[int]:
        """`ReadingState.read` from any sources of symbols, one for each image."""
        for pixels in theta.blocks():  # a step of the schedule each
            line = self._decode_line(theta.predict(pixels), pixels, values.shape[1], sources)
            theta.reveal(pixels, line)
            values[pixels.place] = line
            yield len(line)

    def _intervals(
        self, images: Sequence[Image], network: PixelNetwork, lines: tuple[int, int]
    ) -> Iterator[tuple[StepPixels, Ints]]:
        """Intervals of p_O, some steps of the schedule at a time, which the encoder can take together as it knows x.

        lines: the steps [first, last) that are wanted; those before that they depend on are predicted, too.

        Yields the pixels that are revealed; their symbols, the frequencies below these and their own, int32 [3, S, n]
        for the S = 2 C nibbles of a pixel.
        """
        theta = network.start([x.shape[:2] for x in images], self._block(network, len(images)), within=lines)
        channels = images[0].shape[2]
        values = np.concatenate([x.reshape(-1, channels) for x in images])
        for pixels in theta.blocks():
            revealed = values[pixels.place]
            theta.reveal(pixels, revealed)  # a pixel still sees only what was revealed before its own step
            wanted = pixels.line[-1] >= lines[0]
            if network.reads:
                found = cast(ReadingState, theta).intervals(pixels, revealed if wanted else revealed[:, :0])
            else:
                found = _intervals_of(theta.predict(pixels), revealed if wanted else revealed[:, :0])
            if wanted:
                yield pixels, found

    def _decode_line(
        self, p_O: PixelPrediction, pixels: StepPixels, channels: int, sources: Sequence[SymbolSource]
    ) -> NDArray[np.uint8]:
        """The pixels that one step reveals, one line of every image, uint8 [n, C]."""
        count = len(pixels.cell)
        ends = np.cumsum(pixels.counts[0]).tolist()
        pieces = [
            (s, slice(end - n, end)) for s, end, n in zip(sources, ends, pixels.counts[0].tolist(), strict=True) if n
        ]
        line = np.empty((count, channels), np.uint8)
        for k, c in enumerate(_coded_channels(channels)):
            mixture = p_O.channel(k)
            high = _decode_symbols(mixture.high(), pieces)
            low = _decode_symbols(mixture.low(high), pieces)
            line[:, c] = high * NIBBLE + low
            p_O.condition(k, line[:, c])
        return line


def _weights(values: dict[str, Any], tensors: Tensors) -> ConvNetWeights:
    return ConvNetWeights.of(ConvNetConfig.from_dict(values), tensors)


def _exact(weights: ConvNetWeights, device: str) -> PixelNetwork:
    import torch

    from bfncodec.networks.convnet.exact import ExactConvNet
    from bfncodec.networks.convnet.replayed import ReplayedConvNet

    network = ExactConvNet(weights, torch.device(device))
    return network if device == "cpu" else ReplayedConvNet(network)


def _compiled(weights: ConvNetWeights) -> PixelNetwork:
    from bfncodec.networks.convnet.compiled import CompiledConvNet

    return CompiledConvNet(weights)


NETWORKS: Mapping[str, Architecture[Any, PixelNetwork]] = {
    "convnet": Architecture(_weights, _exact, _compiled, CONVNET)
}
"""Networks of pictures by the name of their architecture, which only a config.json of another than the first says."""

SCHEDULES: Mapping[str, Callable[[int, int], RevealSchedule]] = {"wavefront": Wavefront}
"""Schedules of pictures of (height, width), by the name in config.json. `PixelState.blocks` reveals pixels in the order
of one, which makes it part of the network.
"""


def _intervals_of(p_O: PixelPrediction, values: Image) -> Ints:
    """The intervals of the nibbles of pixels, uint8 [n, C], see `ReadingState.intervals`."""
    nibbles: list[Intervals] = []
    for k, c in enumerate(_coded_channels(values.shape[1])):
        value = values[:, c].astype(np.int32)
        nibbles += p_O.channel(k).intervals(value)
        p_O.condition(k, value)
    return np.stack([[i.symbol for i in nibbles], [i.below for i in nibbles], [i.frequency for i in nibbles]])


def _decode_symbols(frequencies: NDArray[np.float32], pieces: Sequence[tuple[SymbolSource, slice]]) -> Ints:
    symbols: Ints = np.empty(len(frequencies), np.int32)
    for source, piece in pieces:
        symbols[piece] = source.decode_rows(frequencies[piece])
    return symbols


def _coded_channels(channels: int) -> tuple[int, ...]:
    """Indices of the channels of an image, in the order in which they are coded."""
    return CODING_ORDER if channels == len(CODING_ORDER) else tuple(range(channels))
