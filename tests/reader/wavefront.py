"""Section 7.8: pictures in tiles whose lines begin one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from reader.ans import Stack
from reader.arithmetic import STEPS, at, clip, exp2_table, rint, single, singles
from reader.frequencies import in_proportion
from reader.lattice import Lattice, pop_list, pop_normals, push_list
from reader.layers import logistics, shares
from reader.model import Model
from reader.parallel import VARIANCE
from reader.picture import CODED, ConvNet, Mixture, PixelPrediction, Place, Tile, decode_bytes

BETA = 2359296.0


class TileNetworks:
    """The networks: the final one, and the noisy one of two phases."""

    def __init__(self, model: Model) -> None:
        config = model.network
        self.kind, self.shape, self.tile = "discretised", config["shape"], config["tile"]
        self.betas = tuple(map(float, config.get("betas", [0.0, BETA])))
        two = len(self.betas) == 3
        self.final = ConvNet(model, config, samples=3 if two else 0)
        self.noisy = ConvNet(model, config, "first.") if two else self.final


class WavefrontReceiver:
    """The receiver of some items."""

    def __init__(self, model: Model, networks: TileNetworks, items: int) -> None:
        self.betas, self.final, self.noisy = networks.betas, networks.final, networks.noisy
        self.two, self.items = len(self.betas) == 3, items
        (height, width, _), (tall, wide) = networks.shape, networks.tile
        tile = Tile(tall, wide, len(self.final.convs))
        corners = [(r, c) for r in range(0, height, tall) for c in range(0, width, wide)]
        self.lines = [[(k, place) for k in range(len(corners)) for place in line] for line in tile.lines()]
        self.tiles = [Tile(tall, wide, len(self.final.convs)) for _ in range(items * len(corners))]
        self.count = len(corners)
        # the value of each sum of an item
        self.order = [
            ((corners[k][0] + r) * width + corners[k][1] + c) * 3 + channel
            for line in self.lines
            for channel in CODED
            for k, (r, c) in line
        ]
        cohorts, first = [], 0
        for line in self.lines:
            cohorts.append(tuple(range(first, first + 3 * len(line))))
            first += 3 * len(line)
        self.lattice = Lattice(self.betas, tuple(cohorts))
        self.sigma = 128 / sqrt(self.betas[1])

    def targets(self, values: Sequence[int]) -> list[float]:
        size = len(self.order)
        return [_centre(values[item * size + p]) for item in range(self.items) for p in self.order]

    def step(self, stack: Stack, i: int, before: Sequence[int]) -> list[int]:
        after = list(before)
        groups = self.lattice.groups(i)[::-1]  # the line that began first is first
        last = self.lattice.phases - 1
        asked = [self._predict(group.cohort, self.final if group.phase == last else self.noisy) for group in groups]
        for group, predictions in zip(groups, asked, strict=True):
            places = self._by_channel(self.lattice.places(group, self.items))
            own = [[before[p] for p in row] for row in places]
            settles = group.phase == last
            found = self._settle(stack, predictions, own) if settles else self._sample(stack, predictions)
            for row, sums in zip(places, found, strict=True):
                for p, s in zip(row, sums, strict=True):
                    after[p] = s
        for group in groups:
            places = self._by_channel(self.lattice.places(group, self.items))
            green, red, blue = ([self._level(group.phase + 1, after[p]) for p in row] for row in places)
            for (tile, place), *pixel in zip(self._line(group.cohort), red, green, blue, strict=True):
                tile.pixels[place] = (pixel[0], pixel[1], pixel[2])
        return after

    def values(self, stack: Stack, last: Sequence[int]) -> list[int]:
        size, found = len(self.order), [0] * len(last)
        for p, s in enumerate(last):
            found[p // size * size + self.order[p % size]] = self._level(self.lattice.phases, s)
        row = [0, (1 << 24) - 3, 0]
        return [min(max(level + stack.pop(row) - 1, 0), 255) for level in found]

    def _predict(self, number: int, network: ConvNet) -> list[PixelPrediction]:
        return [tile.predict(network, *place) for tile, place in self._line(number)]

    def _line(self, number: int) -> list[tuple[Tile, Place]]:
        """Tiles and places of the pixels of a line, of all items."""
        line = self.lines[number]
        return [(self.tiles[item * self.count + k], place) for item in range(self.items) for k, place in line]

    def _by_channel(self, places: list[int]) -> list[list[int]]:
        """Places of the sums of a line, by channel in coded order, and in one by pixels as in `_line`."""
        each = len(places) // self.items
        many = each // 3
        rows = [places[item * each : (item + 1) * each] for item in range(self.items)]
        return [[p for row in rows for p in row[k * many : (k + 1) * many]] for k in range(3)]

    def _settle(self, stack: Stack, predictions: list[PixelPrediction], before: list[list[int]]) -> list[list[int]]:
        """Sums of a line after its final step, by channel."""
        w, units = self.lattice.phases, self.lattice.units
        samples = [[self._value(1, s) for s in row] for row in before] if self.two else []
        if self.two:
            for prediction, *own in zip(predictions, *samples, strict=True):
                prediction.learn_samples(singles(own))
        levels = []
        for k in range(3):
            mixtures = [prediction.mixture(k) for prediction in predictions]
            if self.two:
                mixtures = [self._posterior(m, y) for m, y in zip(mixtures, samples[k], strict=True)]
            levels.append(decode_bytes([logistics(*mixture) for mixture in mixtures], stack.pop))
            for prediction, level in zip(predictions, levels[k], strict=True):
                prediction.learn(k, level)
        alpha, many = self.lattice.alpha(w), len(predictions) // self.items
        means = [
            (_centre(levels[k][p]) * alpha + before[k][p] * units[w - 1]) / units[w]
            for item in range(self.items)
            for k in range(3)
            for p in range(item * many, (item + 1) * many)
        ]
        sums = self.lattice.noise(w).pop(stack, means)
        found: list[list[int]] = [[], [], []]
        for first in range(0, len(sums), many):
            found[first // many % 3] += sums[first : first + many]
        return found

    def _sample(self, stack: Stack, predictions: list[PixelPrediction]) -> list[list[int]]:
        """Sums of a line after its noisy step, by channel."""
        unit, found = self.betas[1] / self.lattice.units[1] * (2 / 256), []
        for k in range(3):
            normals = [Components(prediction.mixture(k), self.sigma) for prediction in predictions]
            chosen = pop_list(stack, [in_proportion(normal.weights) for normal in normals])
            means = [(n.means[c] - 127.5) * unit for n, c in zip(normals, chosen, strict=True)]
            variances = [n.variances[c] * (unit * unit) for n, c in zip(normals, chosen, strict=True)]
            order = sorted(range(len(means)), key=variances.__getitem__)
            sums = [0] * len(means)
            for first in range(0, len(order), 1024):
                part = order[first : first + 1024]
                popped = pop_normals(stack, [means[p] for p in part], [variances[p] for p in part])
                for p, s in zip(part, popped, strict=True):
                    sums[p] = s
            samples = [self._value(1, s) for s in sums]
            rows = [in_proportion(n.given(y)) for n, y in zip(normals, samples, strict=True)]
            push_list(stack, chosen, rows)
            for prediction, y in zip(predictions, samples, strict=True):
                prediction.learn(k, single(y))
            found.append(sums)
        return found

    def _posterior(self, mixture: Mixture, sample: float) -> Mixture:
        return Components(mixture, self.sigma).posterior(sample)

    def _value(self, phase: int, s: int) -> float:
        """The sample that a sum amounts to, in levels."""
        return (s * (self.lattice.units[phase] / self.betas[phase]) + 1) * 128 - 0.5

    def _level(self, phase: int, s: int) -> int:
        return int(clip(rint(self._value(phase, s)), 0, 255))


class Components:
    """A mixture of logistics as if they were normal, in levels."""

    def __init__(self, mixture: Mixture, sigma: float) -> None:
        weights, means, inverses = mixture
        self.sigma, self.inverses = sigma, inverses
        self.weights = [16 * w + 1 for w in weights]
        self.means = [mean / 64 for mean in means]
        scales = [8 / inverse for inverse in inverses]
        self.own = [scale * scale * VARIANCE for scale in scales]
        self.variances = [own + sigma * sigma for own in self.own]

    def given(self, sample: float) -> list[int]:
        """Weights given a sample."""
        apart = [sample - mean for mean in self.means]
        steps = [d * d / v * (STEPS / 2) for d, v in zip(apart, self.variances, strict=True)]
        least = min(steps)
        near = [at(exp2_table(), rint(min(step - least, 1345))) for step in steps]
        densities = [self.sigma / sqrt(v) * 2.0**-6 for v in self.variances]
        return [int(w * e * d) for w, e, d in zip(self.weights, near, densities, strict=True)]

    def posterior(self, sample: float) -> Mixture:
        """The mixture given a sample."""
        parts = zip(self.means, self.own, self.variances, strict=True)
        means = [mean + own / v * (sample - mean) for mean, own, v in parts]
        inverses = [i * (sqrt(v) / self.sigma) for i, v in zip(self.inverses, self.variances, strict=True)]
        fixed = [clip(rint(mean * 64), -65536, 65536) for mean in means]
        return shares(self.given(sample)), fixed, singles(inverses)


def _centre(level: int) -> float:
    return (level + 0.5) * (2 / 256) - 1
