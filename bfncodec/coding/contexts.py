"""What a file says about itself: byte contexts that are counted while coding, mixed into the network's prediction.

Lanes are coded side by side, one symbol each a step. For every order there is a table of contexts, each with the few
symbols that followed it so far. Starting from the network's p_O, each order in turn takes a share of the probability
and gives it to the symbols it has seen,

    p_j = (1 - lambda) p_{j-1} + lambda count / total,

where lambda belongs to how often the context was seen, how much its symbols agree and what the network thinks of the
likeliest of them. The shares are learned while coding, as the average of their own responsibilities for what came
(online EM), so that contexts that do not help cost next to nothing. Both sides learn from symbols both have.

Exactness: sums are of integers; all else is one IEEE operation an element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDERS = (2, 3, 4, 5, 6, 8, 12, 16, 24)  # bytes of context
WAYS = 6  # symbols remembered of a context
REACH = max(ORDERS)
SYMBOLS = 256
START = 256  # stands before the first symbol of a lane
LEAST_BITS, MOST_BITS = 12, 20  # log2 of the contexts of an order
MOST_COUNT = 255
WEIGHT_BITS = 24  # of the weights that are handed on
SHARE_BITS = 40  # fixed point of what contexts add to a probability
RATE_BITS = 16  # fixed point of responsibilities
PRIOR_TRIALS = 6  # that a share is thought to have had
# to begin with: of contexts at odds, of short ones that agree, of long ones that agree
PRIOR_SHARES = (0.01, 0.05, 0.25)
LONG = 7  # bytes of a long context
MEMORY = 500  # trials a share remembers
TOTALS, SHARES, OPINIONS = 7, 5, 6  # levels of the three things a share depends on
_MULTIPLIER = 0x9E3779B1
_POWERS = 1 << np.arange(TOTALS)
_OPINIONS = np.array([1 / 64, 1 / 8, 1 / 2, 3 / 4, 15 / 16])
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What the contexts of a step say. [O, L] where not stated; slots count through the tables of all orders."""

    own: Floats  # the network's probabilities [L, 256]
    slot: Ints
    tag: NDArray[np.uint16]
    symbols: Ints  # [O, L, WAYS]
    counts: Ints  # [O, L, WAYS]
    total: Ints
    bucket: Ints
    share: Floats  # lambda, 0 where a context is new


BUCKETS = TOTALS * SHARES * OPINIONS


def first_shares() -> Floats:
    """Shares to begin with, [O, BUCKETS]: so small that a text which says nothing about itself does not lose by it."""
    agree = np.arange(BUCKETS) // OPINIONS % SHARES == SHARES - 1
    long = np.array(ORDERS)[:, None] >= LONG
    return np.where(agree, np.where(long, PRIOR_SHARES[2], PRIOR_SHARES[1]), PRIOR_SHARES[0])


class ContextMixer:
    """Tables of one file."""

    def __init__(self, size: int, lanes: int) -> None:
        """size: bytes of the file, which fixes how many contexts are kept."""
        self.bits = min(max((2 * size - 1).bit_length(), LEAST_BITS), MOST_BITS)
        slots = len(ORDERS) << self.bits
        self.tags = np.zeros(slots, np.uint16)
        self.symbols = np.zeros((slots, WAYS), np.uint8)
        self.counts = np.zeros((slots, WAYS), np.uint8)
        self.hits = np.floor(first_shares() * float(PRIOR_TRIALS << RATE_BITS)).astype(np.int64)
        self.trials = np.full(self.hits.shape, PRIOR_TRIALS << RATE_BITS, np.int64)
        self.history = np.full((lanes, REACH), START, np.int64)
        self.order = np.arange(len(ORDERS))[:, None]

    def mix(self, weight: NDArray[np.int32], lanes: Ints) -> tuple[NDArray[np.int32], Found]:
        """The network's weights [L, 256] with the contexts' word, int32 that sum to about 2^24, and what `learn` needs.

        lanes: which lanes these are, [L].
        """
        own = weight / weight.sum(1, keepdims=True, dtype=np.int64).astype(np.float64)
        found = self._find(own, lanes)
        keep = np.ones(len(lanes))
        scale = np.empty_like(found.share)
        for j in range(len(ORDERS) - 1, -1, -1):  # what later orders leave of each
            scale[j] = found.share[j] * keep
            keep = keep * (1 - found.share[j])
        per_count = scale / np.maximum(found.total, 1)
        added = np.floor((found.counts * per_count[:, :, None]) * float(1 << SHARE_BITS))
        place = np.arange(len(lanes))[:, None] * SYMBOLS + found.symbols
        sums = np.bincount(place.ravel(), added.ravel(), len(lanes) * SYMBOLS)  # of integers below 2^53: exact
        mixed = own * keep[:, None] + sums.reshape(len(lanes), SYMBOLS) * 2.0**-SHARE_BITS
        return np.floor(mixed * float(1 << WEIGHT_BITS)).astype(np.int32), found

    def learn(self, found: Found, symbol: Ints, lanes: Ints) -> None:
        """What came, [L]."""
        self._learn_shares(found, symbol)
        self._count(found, symbol)
        self.history[lanes, :-1] = self.history[lanes, 1:]
        self.history[lanes, -1] = symbol

    def _find(self, own: Floats, lanes: Ints) -> Found:
        slot, tag = self._hash(self.history[lanes])
        symbols = self.symbols[slot].astype(np.int64)
        counts = self.counts[slot].astype(np.int64)
        counts[self.tags[slot] != tag] = 0
        total = counts.sum(2)
        top = counts.argmax(2)
        most = counts.max(2)
        likeliest = np.take_along_axis(symbols, top[:, :, None], 2)[:, :, 0]
        opinion = own[np.arange(len(lanes)), likeliest]
        bucket = (
            np.minimum(np.searchsorted(_POWERS, total, side="right"), TOTALS - 1) * SHARES
            + most * (SHARES - 1) // np.maximum(total, 1)
        ) * OPINIONS
        bucket += np.searchsorted(_OPINIONS, opinion)
        share = np.where(total > 0, self.hits[self.order, bucket] / self.trials[self.order, bucket], 0.0)
        return Found(own, slot, tag, symbols, counts, total, bucket, share)

    def _hash(self, history: Ints) -> tuple[Ints, NDArray[np.uint16]]:
        """(slot, tag) of each order's context: [O, L]. Arithmetic modulo 2^32 in int64."""
        h = np.zeros(len(history), np.int64)
        slots: list[Ints] = []
        tags: list[NDArray[np.uint16]] = []
        for k in range(1, REACH + 1):
            h = ((h + history[:, -k] + 1) * _MULTIPLIER) & 0xFFFFFFFF
            h = h ^ (h >> 15)
            if k in ORDERS:
                last = (h * _MULTIPLIER) & 0xFFFFFFFF
                slots.append((len(slots) << self.bits) + (last >> (32 - self.bits)))
                tags.append((h & 0xFFFF | 1).astype(np.uint16))
        return np.stack(slots), np.stack(tags)

    def _learn_shares(self, found: Found, symbol: Ints) -> None:
        claimed = (found.counts * (found.symbols == symbol[:, None])).sum(2) / np.maximum(found.total, 1)
        mine = found.share * claimed
        responsibility = np.empty_like(mine)
        p = np.maximum(found.own[np.arange(len(symbol)), symbol], 2.0**-WEIGHT_BITS)
        for j in range(len(ORDERS)):
            p = (1 - found.share[j]) * p + mine[j]
            responsibility[j] = mine[j] / p
        seen = found.total > 0
        bucket = (self.order * self.hits.shape[1] + found.bucket)[seen]
        gained = np.bincount(bucket, np.floor(responsibility[seen] * float(1 << RATE_BITS)), self.hits.size)
        self.hits += gained.astype(np.int64).reshape(self.hits.shape)
        self.trials += np.bincount(bucket, minlength=self.hits.size).reshape(self.hits.shape) << RATE_BITS
        full = self.trials > MEMORY << RATE_BITS
        self.hits[full] >>= 1
        self.trials[full] >>= 1
        np.minimum(self.hits, self.trials - 1, out=self.hits)  # a share of 1 would leave nothing for surprises

    def _count(self, found: Found, symbol: Ints) -> None:
        """One more of each symbol in its contexts; of lanes that share a context in a step the first counts."""
        slot, first = np.unique(found.slot, return_index=True)
        symbols, counts = found.symbols.reshape(-1, WAYS)[first], found.counts.reshape(-1, WAYS)[first]
        new = np.tile(symbol, len(ORDERS))[first]
        hit = (symbols == new[:, None]) & (counts > 0)
        known = hit.any(1)
        way = np.where(known, hit.argmax(1), counts.argmin(1))
        row = np.arange(len(slot))
        counts[row, way] = np.where(known, counts[row, way] + 1, 1)
        symbols[row, way] = new
        counts[counts[row, way] > MOST_COUNT] >>= 1
        self.symbols[slot], self.counts[slot] = symbols, counts
        self.tags[slot] = found.tag.reshape(-1)[first]
