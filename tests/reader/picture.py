"""Section 6: pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reader.arithmetic import at, clip, exp2_table, rint, single, singles
from reader.errors import DamagedPayloadError, ModelUnreadableError
from reader.frequencies import high_nibble, low_nibble
from reader.layers import Linear, added, logistics, mixture_weights, quantised
from reader.model import Model
from reader.rangecoder import RangeDecoder
from reader.wire import Bytes

SEEN = [(-r, c) for r in range(4) for c in range(-3, (0, 2, 4, 4)[r])]
CODED = (1, 0, 2)  # green, red, blue
Pixel = tuple[int, int, int]
Place = tuple[int, int]
Below = Callable[[int], int]
Mixture = tuple[list[int], list[float], list[float]]
"""Weights, means in 1/64 level and inverse scales."""


def decode_picture(folder: Path, payload: bytes) -> tuple[int, int, bytes]:
    """(height, width, samples) of an image payload: rows from the top, channels interleaved, one or three."""
    model, reader = Model(folder), Bytes(payload)
    height, width, flags = _head(reader)
    if height * width >= 1 << 40:
        raise DamagedPayloadError(f"a picture of {height} x {width}")
    channels = 1 if flags & 8 else 3
    if channels not in model.config.get("channels", [3]):
        raise DamagedPayloadError(f"{channels} channels, which the model does not know")
    turned = (width, height) if flags & 4 else (height, width)
    pixels = PictureReader(model).decode(*turned, channels, RangeDecoder(reader.rest()))
    samples = bytearray()
    for row in range(height):
        for column in range(width):
            r = height - 1 - row if flags & 2 and not flags & 4 else row
            c = width - 1 - column if flags & 1 and not flags & 4 else column
            if flags & 4:  # rows and columns were exchanged first, and then perhaps reversed
                r, c = column, row
                r = width - 1 - r if flags & 2 else r
                c = height - 1 - c if flags & 1 else c
            samples += bytes(pixels[r, c][:channels])
    return height, width, bytes(samples)


def _head(reader: Bytes) -> tuple[int, int, int]:
    """(height, width, flags)"""
    height, flags = reader.varint(), 0
    if height:
        width = reader.varint()
    else:
        byte = reader.byte()
        side, flags = byte >> 4, byte & 15
        if not flags or side > 7:
            raise DamagedPayloadError(f"flags {byte} of a picture")
        height = 4 << side if side else reader.varint()
        width = height if side else reader.varint()
    if not height or not width:
        raise DamagedPayloadError(f"a picture of {height} x {width}")
    return height, width, flags


class ConvNet:
    """The network of pictures. prefix: of its tensors' names; samples: slopes of the heads besides."""

    def __init__(self, model: Model, config: dict[str, int], prefix: str = "", samples: int = 0) -> None:
        if config.get("architecture", "convnet") != "convnet":
            raise ModelUnreadableError("another network")
        self.width, hidden = config.get("width", 64), config.get("hidden", 128)
        blocks, self.mixtures = config.get("blocks", 6), config.get("mixtures", 4)
        dilations: Sequence[int] = config.get("dilations", [1])  # type: ignore[assignment]
        fine = config.get("bits", 8) == 16

        def linear(name: str, outputs: int, inputs: int, fine: bool = fine, c: float = 1) -> Linear:
            return Linear.load(model, prefix + name, outputs, inputs, fine=fine, c=c)

        width, unit = self.width, 1 / 127
        self.input = linear("input", width, 3 * len(SEEN) + 12, True, 1 / 32)
        self.convs = [linear(f"blocks.{b}.conv", hidden, 5 * width, c=unit) for b in range(blocks)]
        self.outs = [linear(f"blocks.{b}.out", width, hidden) for b in range(blocks)]
        self.trunk = linear("trunk", 3 * width, width, c=unit)
        self.heads = [linear(f"heads.{k}", 3 * self.mixtures + k + samples, width, True) for k in range(3)]
        self.inside = model.tensor(f"{prefix}inside", 3, width).rows()
        self.own = model.tensor(f"{prefix}own", 3, 3 * width).rows() if samples else []
        self.dilations = [dilations[b % len(dilations)] for b in range(blocks)]


class Tile:
    """State of a picture that is being decoded: its pixels, and the features of every block at them."""

    def __init__(self, height: int, width: int, blocks: int) -> None:
        self.height, self.width = height, width
        self.pixels: dict[Place, Pixel] = {}
        self.features: list[dict[Place, list[int]]] = [{} for _ in range(blocks)]

    def lines(self) -> Iterator[list[Place]]:
        """Places of the pixels of each step."""
        for step in range(self.width + 2 * (self.height - 1)):
            yield [(r, step - 2 * r) for r in range(self.height) if 0 <= step - 2 * r < self.width]

    def seen(self, row: int, column: int) -> Pixel:
        """The pixel at a place, or what stands for it outside."""
        if column < 0:
            return self.seen(row - 1, 0)
        if row < 0:
            return (128, 128, 128)
        return self.pixels[row, min(column, self.width - 1)]

    def predict(self, network: ConvNet, r: int, c: int) -> PixelPrediction:
        """The network's output for a pixel. Its features are kept."""
        inputs, base = self._inputs(r, c)
        h = network.input(inputs)
        layers = zip(self.features, network.convs, network.outs, network.dilations, strict=True)
        for features, conv, out, d in layers:
            features[r, c] = quantised(h)[0]
            taps: list[int] = []
            for place in ((r - d, c - d), (r - d, c), (r - d, c + d), (r, c - d), (r, c)):
                inside = place[0] >= 0 and 0 <= place[1] < self.width
                taps += features[place] if inside else [0] * network.width
            h = added(h, out(*quantised([max(v, 0.0) for v in conv(taps)])))
        return PixelPrediction(network, network.trunk(quantised(h)[0]), base)

    def _inputs(self, r: int, c: int) -> tuple[list[int], Pixel]:
        """(the network's inputs, the base)"""
        seen = [self.seen(r + rho, c + gamma) for rho, gamma in SEEN]
        near = (seen[SEEN.index(place)] for place in ((0, -1), (-1, 0), (-1, 1), (-1, -1)))
        sums = [2 * w + 2 * n + ne - nw + 2 for w, n, ne, nw in zip(*near, strict=True)]
        red, green, blue = (min(max(total >> 2, 0), 255) for total in sums)
        base = (red, green, blue)
        inputs = [min(max(v - b, -127), 127) for pixel in seen for v, b in zip(pixel, base, strict=True)]
        flags = [127 * (distance < k) for distance in (r, c, self.width - 1 - c) for k in (1, 2, 3)]
        return [*inputs, *(b - 128 for b in base), *flags], base


class PixelPrediction:
    """The distributions of a pixel, channel after channel."""

    def __init__(self, network: ConvNet, trunk: list[float], base: Pixel) -> None:
        self.network, self.base = network, [base[c] for c in CODED]
        width = network.width
        self.rows = [trunk[k * width : (k + 1) * width] for k in range(3)]
        self.errors: list[float] = []
        self.own: list[float] = []

    def mixture(self, k: int) -> Mixture:
        """The mixture of the k-th coded channel."""
        count = self.network.mixtures
        out = self.network.heads[k](*quantised([max(v, 0.0) for v in self.rows[k]]))
        logits, offsets, scales = (out[first : first + count] for first in (0, count, 2 * count))
        centre = float(self.base[k])
        for slope, error in zip(out[3 * count :], [*self.errors, *self.own], strict=True):
            centre = single(centre + single(slope * error))
        means = [clip(rint(single(single(o * 16 + centre) * 64)), -65536, 65536) for o in offsets]
        levels = [rint(single(single(min(s, 7) + 5) * 64)) for s in scales]
        return mixture_weights(logits), means, [at(exp2_table(), level) * 2.0**-12 for level in levels]

    def learn(self, k: int, value: float) -> None:
        """The k-th coded channel is known, or a sample of it."""
        if k == 2:
            return
        error = single(value - self.base[k])
        self.errors.append(error)
        small = clip(error, -127, 127) / 32
        for later, row in ((1, 0), (2, 1)) if k == 0 else ((2, 2),):
            self._enter(later, small, self.network.inside[row])

    def learn_samples(self, samples: Sequence[float]) -> None:
        """Samples of the pixel itself, in coded order, are known (archives of two steps)."""
        width = self.network.width
        self.own = [single(sample - base) for sample, base in zip(samples, self.base, strict=True)]
        for error, entering in zip(self.own, self.network.own, strict=True):
            for k in range(3):
                self._enter(k, clip(error, -127, 127) / 32, entering[k * width : (k + 1) * width])

    def _enter(self, k: int, small: float, entering: Sequence[float]) -> None:
        small = single(small)
        self.rows[k] = added(self.rows[k], singles([small * v for v in entering]))


class PictureReader:
    """A picture model at work."""

    def __init__(self, model: Model) -> None:
        if model.config.get("schedule", "wavefront") != "wavefront":
            raise ModelUnreadableError("another schedule")
        self.network = ConvNet(model, model.network)

    def decode(self, height: int, width: int, channels: int, decoder: RangeDecoder) -> dict[Place, Pixel]:
        tile = Tile(height, width, len(self.network.convs))
        for line in tile.lines():
            predictions = [tile.predict(self.network, *place) for place in line]
            found: list[list[int]] = []
            for k in range(channels):
                belows = [logistics(*prediction.mixture(k)) for prediction in predictions]
                found.append(decode_bytes(belows, decoder.symbol))
                for prediction, value in zip(predictions, found[k], strict=True):
                    prediction.learn(k, value)
            for i, place in enumerate(line):
                green, red, blue = (found[k if channels == 3 else 0][i] for k in range(3))
                tile.pixels[place] = (red, green, blue)
        return tile.pixels


def decode_bytes(belows: Sequence[Below], symbol: Callable[[list[int]], int]) -> list[int]:
    """Bytes under cumulative functions: all high nibbles, then all low ones."""
    highs = [symbol(high_nibble(below)) for below in belows]
    return [16 * high + symbol(low_nibble(below, high)) for below, high in zip(belows, highs, strict=True)]
