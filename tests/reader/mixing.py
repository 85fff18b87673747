"""Section 5.3: mixing."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import accumulate
from math import floor, log
from operator import add, mul
from pathlib import Path
from typing import Protocol

from reader.arithmetic import logistic_table
from reader.frequencies import total
from reader.model import Tensor
from reader.numerals import Numerals

SHARED, OWN, LEAST = (2, 4, 6, 12), (2, 4), (20, 8)
KINDS = [(2, False), (2, True), (4, False), (4, True), (6, False), (12, False)]
PAGE = Path(__file__).parents[2] / "docs" / "payloads.md"
LEVELS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
TYPICAL = (0, 1, 2, 3, 4, 7, 10, 14, 20, 28, 40, 75)
M64, GOLDEN, SHORT = (1 << 64) - 1, 0x9E3779B97F4A7C15, 0x9E3779B1
POWERS = [pow(0xD6E8FEB86659FD93, k, 1 << 64) for k in range(25)]
Row = tuple[int, list[int], list[int]]
"""Tag, symbols and counts."""
EMPTY: Row = (0, [0] * 7, [0] * 7)
Q1, Q2, Q3, Q4, Q5 = (pow(0xD6E8FEB86659FD93, k, 1 << 64) for k in range(21, 26))
LOGS = [round(log(1 + (i + 0.5) / 1024) * 65536) for i in range(1024)]
PLACES, STATES, DELIMITERS = 10, 1296, b'\n,; \t:|=/"<>'


class Source(Protocol):
    """A source of symbols under frequencies."""

    def symbol(self, frequencies: Sequence[int]) -> int: ...


@lru_cache(maxsize=1)
def _curve() -> list[int]:
    return logistic_table()[7168 - 6144 : 7168 + 6145]


@lru_cache(maxsize=1)
def _first_weights() -> list[list[int]]:
    """The table of 47 rows on the page itself."""
    block = PAGE.read_text(encoding="utf-8").split("**First weights**", 1)[1].split("```")[1]
    return [[int(word) for word in line.split()] for line in block.strip().splitlines()]


def _last_row(byte: int) -> int:
    letter, digit, other = chr(byte), byte in range(48, 58), 22 if byte in DELIMITERS else 15
    named = {" ": 19, "\n": 20}.get(letter, 18 if digit else other)
    cased = 16 if "a" <= letter <= "z" else 17 if "A" <= letter <= "Z" else named
    return 21 if byte >= 128 else cased


def ln(x: int) -> int:
    digits = x.bit_length() - 1
    return 45426 * digits + LOGS[(x << 10 >> digits) & 1023]


def odds(ones: int, zeros: int) -> int:
    return min(max((ln(2 * ones + 1) - ln(2 * zeros + 1) + 64) // 128, -6144), 6144)


def sigma(x: int) -> int:
    return _curve()[min(max(x, -6144), 6144) + 6144]


@dataclass
class Place:
    """Where a lane stands."""

    word: int = 0
    before: int = 0
    part: int = 0
    number: int = 0
    latest: int = 0
    first: int = 0
    key: int = 0
    column: int = 0
    passed: int = 0
    agreed: int = 0
    within: int = 0
    side: int = 0
    name: int = 0
    shape: int = 0
    numerals: Numerals = field(default_factory=Numerals)
    line: list[int] = field(default_factory=lambda: [0] * 256)
    above: list[int] = field(default_factory=lambda: [0] * 256)

    def hashes(self, last: int, second: int, third: int, foretold: int) -> list[int]:
        over = self.above[min(self.column, 253) + 1]
        behind, counterpart, ahead = self.above[self.passed : self.passed + 3]
        numeral = self.numerals.code(self.number)
        return [
            self.word + last * Q2,
            self.word + self.before * Q1,
            over * Q1 + min(self.column, 255) * Q2,
            self.name + self.shape * Q1,
            self.part + self.key * Q1 + self.number * Q2,
            self.part + self.first * Q1 + self.number * Q2,
            self.number * Q1 + self.within * Q2 + counterpart * Q3 + self.side * Q4,
            behind * Q1 + counterpart * Q2 + ahead * Q3 + last * Q4 + min(self.agreed, 3) * Q5,
            counterpart * Q1 + self.number * Q2 + self.agreed * Q3,
            numeral * Q3 if numeral else foretold * Q1 + last * Q2,
            second * Q1 + third * Q2,
            last * Q1 + third * Q2,
        ]

    def chosen(self, node: int) -> int:
        counterpart, known = self.above[self.passed + 1] | 256, node.bit_length()
        agrees = counterpart >> 9 - known == node
        says = 1 + (counterpart >> 8 - known & 1) if agrees else 0
        return ((min(self.number, 31) * 4 + min(self.agreed, 3)) * 3 + says) * 8 + known - 1

    def foreseen(self, node: int) -> int:
        """Return the number of a set by the numeral that is expected, -1 if none is."""
        digit, level = self.numerals.foreseen(self.number)
        known = node.bit_length()
        agrees = digit >= 0 and (digit | 256) >> 9 - known == node
        says = 1 + (digit >> 8 - known & 1) if agrees else 0
        return (3 * level + says) * 8 + known - 1 if level >= 0 else -1

    def align(self, byte: int) -> None:
        counterpart = self.above[self.passed + 1]
        self.agreed = self.agreed + 1 if byte == counterpart else 0
        if byte in DELIMITERS:
            self.within = self.side = 0
        else:
            self.within = min(self.within + 1, 31)
            self.side = self.side or (byte < counterpart) + 2 * (byte > counterpart)
        if byte == 10:
            self.passed = self.agreed = 0
        elif byte in DELIMITERS:
            if byte in self.above[self.passed + 1 :]:
                self.passed = self.above.index(byte, self.passed + 1)
        elif counterpart not in DELIMITERS and self.passed < 253:
            self.passed += 1

    def form(self, byte: int, letter: bool) -> None:
        digit = 48 <= byte <= 57
        named = letter or digit or byte == 95
        if byte not in b" \t" and not (named and self.name):
            token = 2 if digit else 1 if named else max(byte, 3)
            self.shape = (self.shape << 8 | token) & M64
        self.name = (self.name + byte + 1) * POWERS[1] & M64 if named else 0

    def reveal(self, byte: int) -> None:
        self.numerals.reveal(byte, self.number, byte in DELIMITERS)
        self.align(byte)
        letter = byte + 32 if 65 <= byte <= 90 else byte
        known = 97 <= letter <= 122 or byte >= 128
        self.form(byte, known)
        self.before = self.before if known else self.word or self.before
        self.word = (self.word + letter + 1) * POWERS[1] & M64 if known else 0
        if byte in DELIMITERS:
            self.latest = self.part or self.latest
            self.first = self.first or self.part
            self.part, self.number = 0, self.number + 1
        else:
            self.part = (self.part + byte + 1) * POWERS[1] & M64
        if byte in b":=>":
            self.key = self.latest
        if self.column < 253:
            self.line[self.column + 1] = byte
        self.column += 1
        if byte == 10:
            self.number = self.first = self.column = 0
            self.line, self.above = [0] * 256, self.line


@dataclass
class Match:
    """A lane's match of one kind."""

    lane: int = -1  # whose text it follows, -1 for none
    place: int = 0
    length: int = 0
    errors: tuple[bool, ...] = (False,) * 8

    @property
    def level(self) -> int:
        return min(self.length // 4, 7 + self.length // 32, 15)

    @property
    def form(self) -> int:
        return 4 * self.level + min(sum(self.errors), 3)


class Matches:
    """Matches of all lanes."""

    def __init__(self, size: int, lanes: int, behind: bytes = b"") -> None:
        self.bits = min(max((size + len(behind)).bit_length(), 10), 22)
        self.texts = [*(bytearray() for _ in range(lanes)), bytearray(behind)]
        self.own = [[Match() for _ in LEAST] for _ in range(lanes)]
        self.heads: list[dict[int, tuple[int, int]]] = [{} for _ in LEAST]
        for heads, least in zip(self.heads, LEAST, strict=True):
            heads.update({self._hash(behind[i - least : i]): (lanes, i) for i in range(least, len(behind))})

    def begin(self, numbers: Sequence[int], history: Sequence[Sequence[int]]) -> None:
        for kind, least in enumerate(LEAST):
            where = {lane: self._hash(history[lane][-least:]) for lane in numbers}
            for lane, h in where.items():
                match = self.own[lane][kind]
                if match.length < least and h in self.heads[kind]:
                    self.own[lane][kind] = self._better(match, least, lane, *self.heads[kind][h])
            self.heads[kind].update({h: (lane, len(self.texts[lane])) for lane, h in where.items()})

    def _hash(self, history: Sequence[int]) -> int:
        h = sum(p * (y + 1) for p, y in zip(POWERS[1:], reversed(history), strict=False)) & M64
        return ((h ^ h >> 32) * GOLDEN & M64) >> (64 - self.bits)

    def _better(self, match: Match, least: int, lane: int, other: int, place: int) -> Match:
        text, found = self.texts[other][:place][::-1], self.texts[lane][::-1]
        length = next(
            (n for n, (a, b) in enumerate(zip(text, found, strict=False)) if a != b), min(len(text), len(found))
        )
        return Match(other, place, min(length, 48)) if length >= least else match

    def expected(self, lane: int) -> list[tuple[int, int]]:
        """(byte, form) of each kind, the byte -1 for none."""
        return [(self.texts[own.lane][own.place] if own.lane >= 0 else -1, own.form) for own in self.own[lane]]

    def learn(self, bytes_of: dict[int, int]) -> None:
        right = {lane: [byte == own for own, _ in self.expected(lane)] for lane, byte in bytes_of.items()}
        for lane, byte in bytes_of.items():
            self.texts[lane].append(byte)
        for lane in bytes_of:
            for own, good in zip(self.own[lane], right[lane], strict=True):
                if own.lane >= 0:
                    own.place, own.length, own.errors = (
                        own.place + 1,
                        own.length + 1 if good else 0,
                        (*own.errors[1:], not good),
                    )
                    if own.place == len(self.texts[own.lane]):
                        own.lane, own.length = -1, 0


class Phrases:
    """Phrases of a model, from its tensors."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.lengths = [int(n) for n in tensors["lengths"].values] if tensors else []
        self.right = [int(n) for n in tensors["right"].values] if tensors else []
        self.entries = tensors.get("entries")

    def first_hits(self, state: int) -> int:
        """Ones of a state of their map, at first."""
        if not 0 < state <= 1024:
            return 10 << 16
        right = 20 * self.right[(state - 1) // 2]
        return (20 << 16) - right if state % 2 else right

    def expected(self, sums: Sequence[int]) -> tuple[int, int]:
        """(byte, form) of the longest context that is known, (-1, 0) for none. sums: of the latest bytes, none first"""
        for number, length in reversed(list(enumerate(self.lengths))):
            bucket, mark = self._place(sums[length] + length * GOLDEN & M64)
            entries = struct.unpack("<8H", bucket[:16])
            for entry, symbol in zip(entries, bucket[16:], strict=True):
                if entry & 0x1FFF == mark:
                    return symbol, 8 * (entry >> 13) + number
        return -1, 0

    def _place(self, h: int) -> tuple[bytes, int]:
        assert self.entries is not None
        h = (h ^ h >> 32) * GOLDEN & M64
        h ^= h >> 29
        row = ((h * GOLDEN & M64) >> 32) * self.entries.shape[0] >> 32
        return bytes(map(int, self.entries.row(row))), max(h & 0x1FFF, 1)


@dataclass
class Lane:
    """A lane in a step, and what is learned from it."""

    number: int
    below: list[int]  # sums of the network's weights below each symbol, 257
    slots: list[int]
    rows: list[Row]
    expected: list[tuple[int, int]]  # byte and form of matches
    last: int
    two: int
    node: int = 1
    bits: list[Bit] = field(default_factory=list)


@dataclass
class Bit:
    """A bit that was predicted."""

    node: int
    states: list[int]
    sets: tuple[int, ...]
    inputs: list[int]
    bias: int
    mixed: int
    final: tuple[int, int]
    p: int
    value: int = 0


class Mixer:
    """The state of section 5.3."""

    def __init__(self, size: int, lanes: int, machine: bool, phrases: Phrases, apart: bool = False) -> None:
        """Begin with nothing. apart: whether a lane has contexts of its own where there is one, too."""
        self.phrases, self.count = phrases, PLACES + 2 * machine  # of places
        owned = OWN if lanes > 1 or apart else ()
        self.contexts = [(n, own) for n in SHARED for own in (False, True) if not own or n in owned]
        self.read: Mixer | None = None  # a dictionary
        self.bits = max(12, min((16 * size - 1).bit_length(), 23), min((4 * size - 1).bit_length(), 25))
        alike = [n for n, _ in self.contexts] + [2] * self.count
        self.kinds = len(LEAST) + bool(phrases.lengths)
        self.matches, experts = Matches(size, lanes), len(alike) + self.kinds
        self.table: dict[int, Row] = {}
        self.history = [[256] * 24 for _ in range(lanes)]
        self.places = [Place() for _ in range(lanes)]
        self.hits = [[_first_hits(n, state) for state in range(STATES)] for n in alike]
        self.hits += [[_first_match_hits(state) for state in range(STATES)] for _ in LEAST]
        self.hits += [[phrases.first_hits(state) for state in range(STATES)] for _ in phrases.lengths[:1]]
        self.trials = [[20 << 16] * STATES for _ in range(experts)]
        self.logits = [[0] * STATES for _ in range(experts)]
        for context in range(experts):
            for state in range(STATES):
                self._follow(context, state)
        rows = (len(self.contexts) + 1) * 256
        self.final_hits = [[(60 * p) >> 4 for p in _curve()[::1024]] for _ in range(rows)]
        self.final_trials = [[60 << 16] * 13 for _ in range(rows)]
        self.sets = self._first_sets(self._first_rows())
        self.sets += [[0] * (experts + 2) for _ in range(4096 + 1 + 32 * self.kinds + 336)]
        self.decisions = [0] * len(self.sets)
        self.bias1, self.bias2 = [0] * 65536, [0] * (1 << min(self.bits, 16))

    @classmethod
    def behind(cls, read: Mixer, text: bytes, size: int, lanes: int) -> Mixer:
        """Begin with what the mixer of a dictionary has learned, whose bytes are given."""
        own = cls(size, lanes, machine=False, phrases=read.phrases, apart=True)
        own.read, own.matches = read, Matches(size, lanes, text)
        own.hits, own.trials, own.logits = deepcopy((read.hits, read.trials, read.logits))
        own.final_hits, own.final_trials, own.sets = deepcopy((read.final_hits, read.final_trials, read.sets))
        own.decisions = [min(d, 200) for d in read.decisions]
        own.bias1, own.bias2 = deepcopy((read.bias1, read.bias2))
        return own

    def _first_rows(self) -> list[int]:
        kinds = [1 + KINDS.index(kind) for kind in self.contexts]
        rows = [0, *kinds, *(7 + max(node.bit_length() - 1, 0) for node in range(256)), *map(_last_row, range(256))]
        return rows + [23 + 2 * (n // 8 % 12) + (n % 8 > 0) for n in range(3072)]

    def _first_sets(self, rows: list[int]) -> list[list[int]]:
        table, kinds = _first_weights(), [1 + KINDS.index(kind) for kind in self.contexts]
        before, zeros = [0, *kinds, *range(7, 17)], [0] * (self.count - PLACES)
        behind = [17, 18, *[19] * bool(self.phrases.lengths), 20]
        return [
            [*(table[row][k] << 13 for k in before), *zeros, *(table[row][k] << 13 for k in behind)] for row in rows
        ]

    def step(self, weights: Sequence[Sequence[int]], numbers: Sequence[int], decoder: Source) -> list[int]:
        """The next bytes of some lanes. weights: the network's, of all symbols."""
        self.matches.begin(numbers, self.history)
        lanes = [self._begin(number, row) for number, row in zip(numbers, weights, strict=True)]
        for _ in range(8):
            for lane in lanes:
                bit = self._predict(lane)
                one = bit.p << 4
                bit.value = decoder.symbol([total(2) - one, one])
                lane.bits.append(bit)
                lane.node = 2 * lane.node + bit.value
        self._learn(lanes)
        return [lane.node - 256 for lane in lanes]

    def _begin(self, number: int, weights: Sequence[int]) -> Lane:
        history = self.history[number]
        sums = list(accumulate((p * (y + 1) for p, y in zip(POWERS[1:], reversed(history), strict=True)), initial=0))
        slots, rows = [], []
        begins = [sums[order] + (order + 24 * (number + 1) * own) * GOLDEN for order, own in self.contexts]
        expected = self.matches.expected(number)
        foretold = next((1 + byte + 256 * form for byte, form in expected if byte >= 0), 0)
        places = self.places[number].hashes(*history[:-4:-1], foretold)[: self.count]
        begins += [h + (32 + k) * GOLDEN for k, h in enumerate(places)]
        expected += [self.phrases.expected(sums)] * bool(self.phrases.lengths)
        owned = [own for _, own in self.contexts] + [False] * self.count
        for h, own in zip(begins, owned, strict=True):
            h &= M64
            h = (h ^ h >> 32) * GOLDEN & M64
            h ^= h >> 29
            tag = h & 0xFFFF | 256
            slot, row = self._slot(h, tag)
            slots.append(slot)
            if self.read and row[0] != tag and not own:
                row = self.read._slot(h, tag)[1]
            rows.append(row if row[0] == tag else (tag, [0] * 7, [0] * 7))
        last = history[-1] % 256
        below = list(accumulate(weights, initial=0))
        return Lane(number, below, slots, rows, expected, last, history[-2] % 256 * 256 + last)

    def _slot(self, h: int, tag: int) -> tuple[int, Row]:
        """The slot of a context, and what it holds."""
        slot = (h * GOLDEN & M64) >> (64 - self.bits)
        neighbours = [(slot ^ way, self.table.get(slot ^ way, EMPTY)) for way in range(4)]
        return min(neighbours, key=partial(_worth, tag))

    def _predict(self, lane: Lane) -> Bit:
        node, left = lane.node, 9 - lane.node.bit_length()
        first = (node << left) - 256
        none, half, both = (lane.below[first + k] for k in (0, 1 << left - 1, 1 << left))
        inputs, states, longest = [odds(both - half, half - none)], [], 0
        for k, (_, symbols, counts) in enumerate(lane.rows):
            came = [0, 0]
            for symbol, count in zip(symbols, counts, strict=True):
                if (symbol | 256) >> left == node:
                    came[symbol >> left - 1 & 1] += count
            state = 12 * (bisect_right(LEVELS, came[0]) - 1) + bisect_right(LEVELS, came[1]) - 1
            for way, times in (0, 144), (1, 432):
                if counts[way] and (symbols[way] | 256) >> left == node:
                    state += times * (1 + (symbols[way] >> left - 1 & 1))
            states.append(state)
            inputs.append(self.logits[k][state])
            longest = k + 1 if any(came) and k < len(self.contexts) else longest
        foreseen = 0
        for kind, (byte, form) in enumerate(lane.expected):
            says = 1 + (byte >> left - 1 & 1) if byte >= 0 and (byte | 256) >> left == node else 0
            states.append(2 * (8 * form + 8 - left) + says if says else 0)
            inputs.append(self.logits[len(lane.rows) + kind][states[-1]])
            foreseen = foreseen or (2 * (16 * kind + form // 4) + says if says else 0)
        inputs.append(154)
        bias = (((lane.two * 256 + node) * SHORT) & 0xFFFFFFFF) >> (33 - len(self.bias2).bit_length())
        x = self.bias1[lane.last * 256 + node] + self.bias2[bias]
        numeral = self.places[lane.number].foreseen(node)
        if numeral >= 0 and not (0 < foreseen <= 64 and (foreseen - 1) // 2 % 16 >= 6):
            foreseen = 1 + 32 * self.kinds + numeral
        sets = *self._sets(lane, node, longest), len(self.contexts) + 513 + 3072 + 4096 + foreseen
        for chosen in sets:
            x += sum(map(mul, self.sets[chosen], inputs))
        x = min(max(x >> 20, -6144), 6144)
        row, cell = longest * 256 + node, min((x + 6144) // 1024, 11)
        part = x + 6144 - 1024 * cell
        said = (self._final(row, cell) * (1024 - part) + self._final(row, cell + 1) * part) >> 10
        final = row, cell + (part > 512)
        return Bit(node, states, sets, inputs, bias, sigma(x), final, sigma((5 * x + 3 * said) >> 3))

    def _final(self, row: int, cell: int) -> int:
        hits = self.final_hits[row][cell]
        return odds(hits, self.final_trials[row][cell] - hits)

    def _sets(self, lane: Lane, node: int, longest: int) -> tuple[int, ...]:
        count, place = len(self.contexts), self.places[lane.number].chosen(node)
        pair = ((lane.two * SHORT) & 0xFFFFFFFF) >> 20
        sets = longest, count + 1 + node, count + 257 + lane.last, count + 513 + place
        return *sets, count + 513 + 3072 + pair

    def _learn(self, lanes: list[Lane]) -> None:
        width = len(self.contexts) + self.count + self.kinds + 2
        slopes: dict[int, list[int]] = defaultdict(lambda: [0] * width)
        uses: dict[int, int] = defaultdict(int)
        met: dict[tuple[int, int], list[int]] = defaultdict(list)
        ends: dict[tuple[int, int], list[int]] = defaultdict(list)
        for lane in lanes:
            for bit in lane.bits:
                error = (bit.value << 20) - bit.mixed
                self.bias1[lane.last * 256 + bit.node] += 10 * error
                self.bias2[bit.bias] += 26 * error
                for chosen in bit.sets:
                    uses[chosen] += 1
                    slopes[chosen] = [g + error * x for g, x in zip(slopes[chosen], bit.inputs, strict=True)]
                ends[bit.final].append(bit.value)
                for context, state in enumerate(bit.states):
                    if state:
                        met[context, state].append(bit.value)
        for (row, cell), values in ends.items():
            _add(self.final_hits[row], self.final_trials[row], cell, values)
        for chosen, used in uses.items():
            self._turn(chosen, used, slopes[chosen])
        for (context, state), values in met.items():
            self._tally(context, state, values)
        self._count(lanes)

    def _turn(self, chosen: int, used: int, slope: list[int]) -> None:
        self.decisions[chosen] += used
        rate, share = 180000 // (600 + self.decisions[chosen]) + 25, max(used // 42, 1)
        paces = [16, *[10] * len(self.contexts), *[14] * self.count, 8, 8, *[16] * (self.kinds - 2), 16]
        steps = ((g // share * rate * pace + (1 << 28)) >> 29 for g, pace in zip(slope, paces, strict=True))
        moved = map(add, self.sets[chosen], steps)
        self.sets[chosen] = [min(max(w, -1 << 28), 1 << 28) for w in moved]

    def _tally(self, context: int, state: int, values: list[int]) -> None:
        _add(self.hits[context], self.trials[context], state, values)
        self._follow(context, state)

    def _follow(self, context: int, state: int) -> None:
        if state:
            hits = self.hits[context][state]
            self.logits[context][state] = min(max(odds(hits, self.trials[context][state] - hits), -4096), 4096)

    def _count(self, lanes: list[Lane]) -> None:
        written: set[int] = set()
        for context in range(len(self.contexts) + self.count):
            for lane in lanes:
                slot = lane.slots[context]
                if slot not in written:
                    written.add(slot)
                    self.table[slot] = _counted(lane.rows[context], lane.node - 256)
        self.matches.learn({lane.number: lane.node - 256 for lane in lanes})
        for lane in lanes:
            self.history[lane.number] = [*self.history[lane.number][1:], lane.node - 256]
            self.places[lane.number].reveal(lane.node - 256)


def _add(hits: list[int], trials: list[int], state: int, values: list[int]) -> None:
    hits[state] += sum(values) << 16
    trials[state] += len(values) << 16
    if trials[state] > 400 << 16:
        hits[state] >>= 1
        trials[state] >>= 1


def _worth(tag: int, found: tuple[int, Row]) -> int:
    """How often the symbols of a slot came, -1 if it has the tag."""
    own, _, counts = found[1]
    return -1 if own == tag else sum(counts)


def _counted(row: Row, symbol: int) -> Row:
    tag, symbols, counts = row[0], list(row[1]), list(row[2])
    places = [k for k in range(7) if symbols[k] == symbol and counts[k]]
    if places:
        place = places[0]
        if counts[place] == 255:
            counts = [count >> 1 for count in counts]
        count = counts[place] + 1
    else:
        place, count = max(k for k in range(7) if counts[k] == min(counts)), 1
    del symbols[place], counts[place]
    return tag, [symbol, *symbols], [count, *counts]


def _first_match_hits(state: int) -> int:
    level = (state - 1) // 64
    wrong = (20 << 16) // (5 + 10 * level)
    return 10 << 16 if state == 0 or state > 1024 else wrong if state % 2 else (20 << 16) - wrong


def _first_hits(order: int, state: int) -> int:
    latest, zeros, ones = state // 144 % 3, TYPICAL[state % 144 // 12], TYPICAL[state % 12]
    doubt = max(3 / (1 + order), 0.4) if zeros and ones else 3 / (1 + order)
    n0, n1 = zeros + 0.5 * (latest == 1), ones + 0.5 * (latest == 2)
    return floor((n1 + doubt) / (n0 + n1 + 2 * doubt) * float(20 << 16))
