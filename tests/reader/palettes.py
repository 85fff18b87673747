"""Section 4 of the file format: the coded palette (tag 87) and the chain of its entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reader.errors import DamagedError, NewerError
from reader.rangecoder import RangeDecoder
from reader.wire import Bytes

TOTAL = (1 << 24) - 256
DECAYS = (0, 8, 16, 22, 26, 29, 31, 32)
OPACITY, RED, GREEN, BLUE = range(4)
Entry = list[int]
"""Opacity, red, green, blue."""


@dataclass(frozen=True)
class Palette:
    """A palette. opacities: number of entries that have one."""

    entries: list[Entry]
    opacities: int
    form: int
    chained: bool

    def colours(self) -> bytes:
        return bytes(v for entry in self.entries for v in entry[1:])

    def opacity(self) -> bytes:
        return bytes(entry[0] for entry in self.entries[: self.opacities])

    def unchained(self, samples: bytes) -> bytes:
        """Pixels as numbers of entries."""
        if not self.chained:
            return samples
        order = chain(self.entries)
        return samples.translate(bytes([*order, *range(len(order), 256)]))


def read_palette(value: bytes) -> Palette:
    """The palette of tag 87."""
    reader = Bytes(value)
    flags, most = reader.take(2)
    if flags >> 5:
        raise NewerError(f"flags {flags} of a palette")
    count, opacities = most + 1, reader.varint()
    if opacities > count:
        raise DamagedError(f"{opacities} opacities of {count} entries")
    decoder, weights = RangeDecoder(reader.rest()), Weights()
    entries: list[Entry] = []
    for k in range(count):
        entry = [] if k < opacities else [255]
        while len(entry) < 4:
            entry.append(read_number(decoder, weights, entry, entries, rising=bool(flags & 1)))
        entries.append(entry)
    return Palette(entries, opacities, flags >> 2, bool(flags & 2))


class Weights(dict[tuple[int, bool], list[int]]):
    """Weights of the rows of a channel, apart for whether all channels before equal those of the last entry."""

    def __missing__(self, key: tuple[int, bool]) -> list[int]:
        rows = 8 * (2 if key[0] < GREEN else 5)
        self[key] = [(1 << 16) // rows] * rows
        return self[key]


def read_number(
    decoder: RangeDecoder, weights: Weights, entry: Entry, entries: Sequence[Entry], *, rising: bool
) -> int:
    channel, last = len(entry), entries[-1] if entries else [0] * 4
    same = entry == last[:channel]
    rows = [row for guess in guesses(entry, entries, last) for row in odds(guess)]
    w = weights[channel, same]
    mixture = [sum(map(int.__mul__, w, column)) for column in zip(*rows, strict=True)]
    if rising and same:
        mixture[: last[channel]] = [0] * last[channel]
    total = sum(mixture)
    frequencies = [m * TOTAL // total for m in mixture]
    frequencies[last[channel]] += TOTAL - sum(frequencies)
    number = decoder.symbol(frequencies)
    grown = [v * (1 + row[number]) for v, row in zip(w, rows, strict=True)]
    total, least = sum(grown), (1 << 12) // len(w)
    w[:] = [v * ((1 << 16) - (1 << 12)) // total + least for v in grown]
    return number


def guesses(entry: Entry, entries: Sequence[Entry], last: Entry) -> list[int]:
    channel = len(entry)
    if channel < GREEN:
        return [last[channel], 0]
    p, x = channel - 1, entry[-1]
    similar = min(
        reversed([[0] * 4, *entries]),
        key=lambda other: sum(abs(entry[c] - other[c]) for c in range(RED, channel)),
    )
    other = last[GREEN] - (x - last[RED]) // 2 if channel == GREEN else 2 * x - entry[RED]
    found = (last[channel], x, last[channel] + x - last[p], similar[channel] + x - similar[p], other)
    return [min(max(guess, 0), 255) for guess in found]


@lru_cache(maxsize=256)
def odds(guess: int) -> list[list[int]]:
    """The rows of a guess."""
    rows = []
    for d in DECAYS:
        steps = [1 << 30]
        for _ in range(255):
            steps.append(steps[-1] * d // 32)
        line = [steps[abs(v - guess)] for v in range(256)]
        rows.append([(v << 16) // sum(line) for v in line])
    return rows


def chain(entries: Sequence[Entry]) -> list[int]:
    """Numbers of the entries in the order of the chain."""
    order, left = [0], list(range(1, len(entries)))
    while left:
        last = entries[order[-1]]
        order.append(min(left, key=lambda k: sum(abs(a - b) for a, b in zip(entries[k], last, strict=True))))
        left.remove(order[-1])
    return order
