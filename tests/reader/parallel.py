"""Section 7.6: data of which all dimensions are sent side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, prod, sqrt
from typing import Any

from reader.ans import Stack
from reader.arithmetic import at, clip, exp2_table, logistic_table, rint, single, singles
from reader.errors import ModelUnreadableError
from reader.frequencies import in_proportion
from reader.lattice import Lattice, pop_list, pop_normals, push_list
from reader.layers import STEPS_SINGLE, Linear, added, exponentials, logistics, mixture_weights, quantised
from reader.model import Model
from reader.picture import decode_bytes

Row = Sequence[float]
VARIANCE = 3.289868133696453
Parameters = list[list[float]]
"""A network's word on every value of an item."""


class Denoiser:
    """The network."""

    def __init__(self, model: Model) -> None:
        config: dict[str, Any] = model.network
        self.kind, self.shape = config.get("kind", "discretised"), config.get("shape", [32, 32, 3])
        self.classes, self.components = config.get("classes", 256), config.get("components", 2)
        image = len(self.shape) == 3
        self.patch = config.get("patch", 2) if image else 1
        self.channels = self.shape[2] if image else 1
        height, width = self.shape[:2] if image else (1, self.shape[0])
        self.rows, self.columns = int(height // self.patch), int(width // self.patch)
        self.width, hidden, blocks = config.get("width", 96), config.get("hidden", 192), config.get("blocks", 8)
        self.taps, self.dilations = config.get("taps", [3, 3]), config.get("dilations", [1])
        around, values = (self.patch + 2) ** 2 * self.channels, self.patch**2 * self.channels
        features = {
            "discretised": around + values + self.patch**2 * (self.channels - 1),
            "binary": 2 * around,
            "discrete": 2 * self.classes,
        }[self.kind]
        self.parameters = {"discretised": 3 * self.components, "binary": 1, "discrete": self.classes}[self.kind]
        outputs, unit = self.parameters * (values if image else 1), 1 / 127
        fan = self.taps[0] * self.taps[1] * self.width
        self.input = Linear.load(model, "input", self.width, features, fine=True, c=1 / 32)
        self.convs = [Linear.load(model, f"blocks.{b}.conv", hidden, fan, bias=False, c=unit) for b in range(blocks)]
        self.outs = [Linear.load(model, f"blocks.{b}.out", self.width, hidden) for b in range(blocks)]
        self.head = Linear.load(model, "head", outputs, self.width, fine=True, c=unit)
        self.clock = model.tensor("clock", 32, blocks, 2, hidden).rows()
        self.hidden = hidden

    def __call__(self, b: Row, beta: float, clock: float) -> Parameters:
        """Return what it says of an item. b: its real sums"""
        features = {"discretised": self._levels, "binary": self._bits, "discrete": self._classes}[self.kind]
        hs = [self.input(row) for row in features(singles(b), beta)]
        low = int(clip(floor(single(clock)), 0, 30))
        share = single(single(clock) - low)
        first, second = self.clock[low], self.clock[low + 1]
        apart = singles([v * share for v in singles([y - x for x, y in zip(first, second, strict=True)])])
        settings = added(first, apart)
        for k, (conv, out) in enumerate(zip(self.convs, self.outs, strict=True)):
            gain, bias = (settings[(2 * k + part) * self.hidden : (2 * k + part + 1) * self.hidden] for part in (0, 1))
            gain = singles([g + 1 for g in gain])
            rows = [quantised(h)[0] for h in hs]
            for place, h in enumerate(hs):
                z = conv(self._around(rows, place, self.dilations[k % len(self.dilations)]))
                z = [max(v, 0.0) for v in added(singles([v * g for v, g in zip(z, gain, strict=True)]), bias)]
                hs[place] = added(h, out(*quantised(z)))
        return self._arranged([self.head(quantised(h)[0]) for h in hs])

    def _around(self, rows: list[list[int]], place: int, dilation: int) -> list[int]:
        """Features at the taps of a position."""
        row, column = divmod(place, self.columns)
        down, right = (range(-(t // 2) * dilation, t // 2 * dilation + 1, dilation) for t in self.taps)
        found: list[int] = []
        for r in (row + a for a in down):
            for c in (column + e for e in right):
                inside = 0 <= r < self.rows and 0 <= c < self.columns
                found += rows[r * self.columns + c] if inside else [0] * self.width
        return found

    def _arranged(self, outs: list[list[float]]) -> Parameters:
        """Outputs of positions by values."""
        if len(self.shape) == 1:
            return outs
        found: Parameters = []
        for r in range(self.shape[0]):
            for c in range(self.shape[1]):
                out = outs[r // self.patch * self.columns + c // self.patch]
                inside = r % self.patch * self.patch + c % self.patch
                for channel in range(self.channels):
                    first = (inside * self.channels + channel) * self.parameters
                    found.append(out[first : first + self.parameters])
        return found

    def _levels(self, b: Row, beta: float) -> list[list[int]]:
        factor, u = single(1 / (1 + beta)), single(24 * sqrt(1 + beta))
        mu = singles([v * factor for v in b])
        return [self._patch_features(mu, u, r, c) for r in range(self.rows) for c in range(self.columns)]

    def _patch_features(self, mu: Row, u: float, row: int, column: int) -> list[int]:
        inside, window = self._patch(mu, row, column, 0), self._patch(mu, row, column, 1)
        base = list(inside[0])
        for pixel in inside[1:]:
            base = added(base, pixel)
        share = single(1 / self.patch**2)
        base = singles([v * share for v in base])
        around = [single(v - m) * u for pixel in window for v, m in zip(pixel, base, strict=True)]
        own = [v * 100 for pixel in inside for v in pixel]
        colours = [single(v - pixel[0]) * u for pixel in inside for v in pixel[1:]]
        return _features([*around, *own, *colours])

    def _bits(self, b: Row, beta: float) -> list[list[int]]:
        u, table = single(24 / sqrt(1 + beta)), logistic_table()
        index = [int(clip(rint(v * 1024), -7168, 7168)) + 7168 for v in b]
        g = singles([v * 127 for v in singles([table[k] * 2.0**-19 - 1 for k in index])])
        scaled = singles([v * u for v in b])
        places = [(r, c) for r in range(self.rows) for c in range(self.columns)]
        parts = [[v for x in (g, scaled) for pixel in self._patch(x, *place, 1) for v in pixel] for place in places]
        return [_features(part) for part in parts]

    def _classes(self, b: Row, beta: float) -> list[list[int]]:
        u = single(24 / sqrt(1 + beta * self.classes))
        rows = [b[k : k + self.classes] for k in range(0, len(b), self.classes)]
        return [_features([*(v * 127 for v in theta(row)), *(v * u for v in row)]) for row in rows]

    def _patch(self, x: Row, row: int, column: int, margin: int) -> list[list[float]]:
        """Pixels of a patch, with so many around it."""
        height, width, channels = self.shape
        found = []
        for r in range(row * self.patch - margin, (row + 1) * self.patch + margin):
            for c in range(column * self.patch - margin, (column + 1) * self.patch + margin):
                first = (min(max(r, 0), height - 1) * width + min(max(c, 0), width - 1)) * channels
                found.append(list(x[first : first + channels]))
        return found


def theta(row: Row) -> list[float]:
    """Shares of the exponentials of sums."""
    e = exponentials(row)
    whole = single(sum(e))
    return singles([v / whole for v in e])


def _features(values: Row) -> list[int]:
    return [int(clip(rint(v), -127, 127)) for v in singles(values)]


class ParallelReceiver:
    """The receiver of some items."""

    def __init__(self, model: Model, network: Denoiser, items: int) -> None:
        self.network = network
        grid = model.config["grids"][str(model.config["steps"])]
        self.betas, self.clocks = tuple(map(float, grid["betas"])), tuple(map(float, grid["clocks"]))
        self.size, self.items = prod(network.shape), items
        discrete = network.kind == "discrete"
        self.channels = network.classes if discrete else 1
        if discrete and network.classes != 27:
            raise ModelUnreadableError(f"{network.classes} letters")
        everything = (tuple(range(self.size)),)
        self.lattice = Lattice(self.betas, everything, float(self.channels), self.channels)

    def targets(self, values: Sequence[int]) -> list[float]:
        if self.network.kind == "discrete":
            return class_targets(values, self.channels)
        if self.network.kind == "binary":
            return [2.0 * value - 1 for value in values]
        return [(value + 0.5) * (2 / self.network.classes) - 1 for value in values]

    def step(self, stack: Stack, i: int, before: Sequence[int]) -> list[int]:
        b = [s * self.lattice.units[i] for s in before]
        alpha, unit = self.lattice.alpha(i + 1), self.lattice.units[i + 1]
        if self.network.kind == "discretised":
            means, variances = [], []
            for own, mixture in zip(b, self.mixtures(i, b), strict=True):
                m, v = moments(*mixture)
                means.append((own + alpha * m) * (1 / unit))
                variances.append((alpha + alpha * alpha * v) * (1 / (unit * unit)))
            return pop_normals(stack, means, variances)
        frequencies = self.frequencies(i, b)
        classes = pop_list(stack, frequencies(None))
        means = [(t * alpha + own) * (1 / unit) for t, own in zip(self.targets(classes), b, strict=True)]
        after = self.lattice.noise(i + 1).pop(stack, means)
        evidence = singles([s * unit - own for s, own in zip(after, b, strict=True)])
        push_list(stack, classes, frequencies(evidence))
        return after

    def values(self, stack: Stack, last: Sequence[int]) -> list[int]:
        w = self.lattice.phases
        b = [s * self.lattice.units[w] for s in last]
        if self.network.kind != "discretised":
            return pop_list(stack, self.frequencies(w, b)(None))
        belows = [self._below(*mixture) for mixture in self.mixtures(w, b)]
        return decode_bytes(belows, stack.pop)

    def _parameters(self, i: int, b: Row) -> Parameters:
        size = self.size * self.channels
        items = [b[k : k + size] for k in range(0, len(b), size)]
        return [row for item in items for row in self.network(item, self.betas[i], self.clocks[i])]

    def frequencies(self, i: int, b: Row) -> Callable[[Row | None], list[list[int]]]:
        """Frequencies of classes, given evidence or not."""
        out = self._parameters(i, b)
        if self.network.kind == "binary":
            logits = added([row[0] for row in out], singles([2 * own for own in b]))
            return lambda evidence: [_bit(v) for v in (_twice(logits, evidence) if evidence else logits)]
        k = self.channels
        rows = [added(row, singles(b[p * k : (p + 1) * k])) for p, row in enumerate(out)]
        return lambda evidence: class_frequencies(rows, evidence)

    def mixtures(self, i: int, b: Row) -> list[tuple[list[int], list[float], list[float]]]:
        """Weights, centres and sigmas of the mixture of each value."""
        count, beta, found = self.network.components, self.betas[i], []
        spread = 1 / sqrt(1 + beta)
        fans = [j / (count - 1) - 0.5 for j in range(count)] if count > 1 else [0.0]
        for own, out in zip(b, self._parameters(i, b), strict=True):
            logits, shifts, scales = (out[first : first + count] for first in (0, count, 2 * count))
            centres = [(shift + fan) * spread + own * (1 / (1 + beta)) for shift, fan in zip(shifts, fans, strict=True)]
            levels = [rint((4 - clip(scale - 1, -5, 4)) * 64) for scale in scales]
            sigmas = [at(exp2_table(), level) * (spread * 2.0**-16) for level in levels]
            found.append((mixture_weights(logits), centres, sigmas))
        return found

    def _below(self, weights: list[int], centres: list[float], sigmas: list[float]) -> Callable[[int], int]:
        classes = self.network.classes
        half = classes / 2
        means = [clip(rint(((centre + 1) * half - 0.5) * 64), -65536, 65536) for centre in centres]
        below = logistics(weights, means, singles([512 / (sigma * (half * 64)) for sigma in sigmas]))
        return lambda value: 1 << 30 if value >= classes else below(value)


def moments(weights: list[int], centres: list[float], sigmas: list[float]) -> tuple[float, float]:
    """Mean and variance of a mixture."""
    shares = [w * 2.0**-10 for w in weights]
    m = shares[0] * centres[0]
    for g, centre in zip(shares[1:], centres[1:], strict=True):
        m += g * centre
    v = 0.0
    for g, centre, sigma in zip(shares, centres, sigmas, strict=True):
        away = centre - m
        v += (away * away + sigma * sigma * VARIANCE) * g
    return m, v


def _twice(logits: Row, evidence: Row) -> list[float]:
    return added(added(logits, evidence), evidence)


def _bit(logit: float) -> list[int]:
    r, table = rint(single(logit * STEPS_SINGLE)), exp2_table()
    return in_proportion([at(table, max(r, 0)), at(table, max(-r, 0))])


def class_targets(values: Sequence[int], classes: int) -> list[float]:
    """Targets of the sums of classes."""
    return [float(classes - 1) if k == value else -1.0 for value in values for k in range(classes)]


def class_frequencies(rows: list[list[float]], evidence: Row | None) -> list[list[int]]:
    """Frequencies of classes under logits, given evidence or not."""
    if evidence is not None:
        k = len(rows[0])
        rows = [added(row, evidence[p * k : (p + 1) * k]) for p, row in enumerate(rows)]
    return [in_proportion(exponentials(row)) for row in rows]
