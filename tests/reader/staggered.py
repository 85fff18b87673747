"""Section 7.7: texts whose symbols begin one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from reader.ans import Stack
from reader.arithmetic import clip, rint, single, singles
from reader.lattice import Group, Lattice, pop_list, push_list
from reader.layers import Linear, added, hashed, quantised
from reader.model import Model
from reader.parallel import class_frequencies, class_targets, theta

Row = Sequence[float]


class SequenceNetwork:
    """The network."""

    def __init__(self, model: Model) -> None:
        config: dict[str, Any] = model.network
        self.kind, self.shape, self.classes = "discrete", config.get("shape", [256]), config.get("classes", 27)
        self.length = self.shape[0]
        self.betas, self.period = tuple(map(float, config.get("betas", [0.0, 2.0]))), config.get("period", 32)
        before, after = config.get("before", 24), config.get("after", 12)
        self.offsets = [*range(-before, 0), *range(1, after + 1)]
        self.ngrams = config.get("ngrams", [[3, 0, 15], [4, 0, 17], [5, 0, 17], [6, 0, 17]])
        self.width, hidden = config.get("width", 224), config.get("hidden", 640)
        blocks, wide, w = config.get("blocks", 3), config.get("ngram_width", 24), len(self.betas) - 1
        known, k = len(self.offsets) * (self.classes + 2), self.classes
        self.window = model.tensor("window.q", known, self.width)
        self.window_scale = model.tensor("window.s", self.width).values
        self.tables = [model.tensor(f"ngram.{i}.q", 1 << gram[2], wide) for i, gram in enumerate(self.ngrams)]
        self.scales = [model.tensor(f"ngram.{i}.s", wide).values for i in range(len(self.ngrams))]
        self.mix = Linear.load(model, "mix", self.width, len(self.ngrams) * wide, bias=False, fine=True)
        self.near = Linear.load(model, "near", self.width, (2 * w - 1) * 2 * k, bias=False, fine=True, c=1 / 32)
        self.place = model.tensor("place", self.period, self.width)
        self.phase, self.hidden = model.tensor("phase", w, blocks * 2 * hidden), hidden
        unit = 1 / 127
        self.ups = [Linear.load(model, f"blocks.{b}.up", hidden, self.width, bias=False, c=unit) for b in range(blocks)]
        self.outs = [Linear.load(model, f"blocks.{b}.out", self.width, hidden) for b in range(blocks)]
        self.head = Linear.load(model, "head", k, self.width, fine=True, c=unit)


class StaggeredReceiver:
    """The receiver of some items."""

    def __init__(self, model: Model, network: SequenceNetwork, items: int) -> None:
        self.network, self.items = network, items
        period, length, k = self.network.period, self.network.length, self.network.classes
        cohorts = tuple(tuple(range(c, length, period)) for c in range(period))
        self.lattice = Lattice(self.network.betas, cohorts, float(k), k)

    def targets(self, values: Sequence[int]) -> list[float]:
        return class_targets(values, self.network.classes)

    def step(self, stack: Stack, i: int, before: Sequence[int]) -> list[int]:
        lattice, units, after = self.lattice, self.lattice.units, list(before)
        b, groups = self._real(i, before), lattice.groups(i)
        rows = self._logits(i, b, groups)
        classes = pop_list(stack, class_frequencies(rows, None))
        at, evidence = 0, []
        for group in groups:
            f, places = group.phase, lattice.places(group, self.items)
            count = len(places) // self.network.classes
            alpha, unit, own = lattice.alpha(f + 1), units[f + 1], [b[p] for p in places]
            targets = self.targets(classes[at : at + count])
            means = [(t * alpha + x) * (1 / unit) for t, x in zip(targets, own, strict=True)]
            for p, s in zip(places, lattice.noise(f + 1).pop(stack, means), strict=True):
                after[p] = s
            evidence += [after[p] * unit - x for p, x in zip(places, own, strict=True)]
            at += count
        push_list(stack, classes, class_frequencies(rows, singles(evidence)))
        return after

    def values(self, stack: Stack, last: Sequence[int]) -> list[int]:
        k, b = self.network.classes, singles([s * self.lattice.units[-1] for s in last])
        return pop_list(stack, class_frequencies([b[p : p + k] for p in range(0, len(b), k)], None))

    def _phases(self, i: int) -> list[int]:
        """Phases of the symbols of an item before a step."""
        return [min(max(i - p % self.network.period, 0), self.lattice.phases) for p in range(self.network.length)]

    def _real(self, i: int, sums: Sequence[int]) -> list[float]:
        units = [self.lattice.units[f] for f in self._phases(i)]
        k, length = self.network.classes, self.network.length
        return [s * units[p // k % length] for p, s in enumerate(sums)]

    def _logits(self, i: int, b: Row, groups: list[Group]) -> list[list[float]]:
        """Logits of the symbols that a step sends."""
        k, length = self.network.classes, self.network.length
        found: list[list[float]] = []
        size, phases = k * length, self._phases(i)
        seen = [Item(self.network, b[item * size : (item + 1) * size], phases) for item in range(self.items)]
        for group in groups:
            for item in seen:
                members = self.lattice.cohorts[group.cohort]
                found += [added(item.output(p, group.phase), singles(item.real[p])) for p in members]
        return found


class Item:
    """An item as the network sees it before a step."""

    def __init__(self, network: SequenceNetwork, b: Row, phases: list[int]) -> None:
        k = network.classes
        self.network = network
        self.real = [b[p : p + k] for p in range(0, len(b), k)]
        rows = [singles(row) for row in self.real]
        thetas = [theta(row) for row in rows]
        self.known = [t.index(max(t)) if rint(single(max(t) * 127)) >= 65 else k for t in thetas]
        units = [single(24 / sqrt(1 + network.betas[f] * k)) for f in phases]
        self.near = [
            [int(clip(rint(v), -127, 127)) for v in singles([*(x * 127 for x in t), *(x * u for x in row)])]
            for t, row, u in zip(thetas, rows, units, strict=True)
        ]

    def output(self, p: int, phase: int) -> list[float]:
        """The network's output for a symbol."""
        network, unit = self.network, len(self.network.betas) - 2
        first = [o * (network.classes + 2) + self._at(p + offset) for o, offset in enumerate(network.offsets)]
        sums = [sum(column) for column in zip(*(network.window.row(row) for row in first), strict=True)]
        h = singles([v * s for v, s in zip(sums, network.window_scale, strict=True)])
        h = added(h, network.mix(*quantised(self._grams(p))))
        zeros = [0] * (2 * network.classes)
        around = [self.near[q] if 0 <= q < network.length else zeros for q in range(p - unit, p + unit + 1)]
        h = added(h, network.near([v for row in around for v in row]))
        h = added(h, network.place.row(p % network.period))
        settings, size = network.phase.row(phase), network.hidden
        for block, (up, out) in enumerate(zip(network.ups, network.outs, strict=True)):
            gain, bias = (settings[(2 * block + part) * size : (2 * block + part + 1) * size] for part in (0, 1))
            z = [v * g for v, g in zip(up(quantised(h)[0]), singles([g + 1 for g in gain]), strict=True)]
            h = added(h, out(*quantised([max(v, 0.0) for v in added(singles(z), bias)])))
        return network.head(quantised(h)[0])

    def _grams(self, p: int) -> list[float]:
        found: list[float] = []
        for (before, after, bits), table, scale in zip(
            self.network.ngrams, self.network.tables, self.network.scales, strict=True
        ):
            symbols = [self._at(p + o) for o in (*range(-before, 0), *range(1, after + 1))]
            found += [v * s for v, s in zip(table.row(hashed(symbols, bits)), scale, strict=True)]
        return singles(found)

    def _at(self, p: int) -> int:
        return self.known[p] if 0 <= p < self.network.length else self.network.classes + 1
