"""Matches: where the last bytes of a stream stood before, in any stream, and which byte came behind them there.

A context of bytes takes a slot of the table for every place of a text. A match takes none: the texts of all streams
are kept, and behind a hash of some bytes the place where they stood last. What stands before that place is compared
with the stream byte by byte, so a match is never of other bytes. It goes on behind a byte that differs, too, until
there is a better one: a record that comes again with another number goes on behind it. How long a match is, and how
many of its latest bytes were wrong, says what it is worth.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bfncodec.coding.mixing.places import POWER
from bfncodec.runtime.arrays import Bytes, Ints

HASH = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: Knuth's multiplicative hash
LEAST_BITS, MOST_BITS = 10, 22  # log2 of the places that are remembered for each length
MOST_COMPARED = 48  # bytes before a match that begins
LEVELS, ERRORS = 16, 4  # lengths, and wrong ones of the latest eight bytes, that are distinguished
FORMS = LEVELS * ERRORS
BITS = 8  # of a byte
SURE = 6  # level of length from which on a match knows more than a numeral that is expected, 24 bytes
NONE = -1  # stands for a place or a byte where there is no match


class MatchState(NamedTuple):
    """Matches of M kinds in L streams, as arrays that are updated in place."""

    least: Ints  # bytes of a match of each kind, falling [M]
    text: Bytes  # of each stream, as far as it is known [L, N]
    known: Ints  # bytes of it [L]
    # By a hash of the least bytes where they ended last: N k + i + 1 for place i of stream k, 0 for none. [M, 2^bits]
    heads: NDArray[np.uint32]
    stream: Ints  # whose text is followed [M, L]
    place: Ints  # in it, of the byte that is expected next [M, L]
    length: Ints  # how many bytes before it were right [M, L]
    wrong: Ints  # bits of the latest eight bytes, the last one the lowest, 1 for those that were not [M, L]

    @property
    def bits(self) -> int:
        """log2 of the places that are remembered."""
        return int(self.heads.shape[1]).bit_length() - 1


def new_matches(least: tuple[int, ...], size: int, streams: int, places: int = 0) -> MatchState:
    """Return the state before the first symbol of a file of so many bytes. places: that are told apart, if more than
    those of the file
    """
    bits, room = min(max(size.bit_length(), LEAST_BITS), MOST_BITS), max(-(-size // streams), 1)
    # More places than 32 bits tell are for files that need as many bytes of memory.
    kind = np.uint32 if max(room * streams, places) < 0xFFFFFFFF else np.uint64
    return MatchState(
        least=np.array(least, np.int64),
        text=np.zeros((streams, room), np.uint8),
        known=np.zeros(streams, np.int64),
        heads=np.zeros((len(least), 1 << bits), kind),
        stream=np.zeros((len(least), streams), np.int64),
        place=np.full((len(least), streams), NONE, np.int64),
        length=np.zeros((len(least), streams), np.int64),
        wrong=np.zeros((len(least), streams), np.int64),
    )


def behind(own: MatchState, text: bytes, size: int) -> MatchState:
    """Return new matches whose streams also find a text that is known: it is the stream behind theirs.

    size: bytes of the file, which with those of the text fix how many places are remembered
    """
    streams, room = len(own.known), max(own.text.shape[1], len(text))
    found = new_matches(tuple(own.least.tolist()), size + len(text), streams, room * (streams + 1))
    texts = np.zeros((streams + 1, room), np.uint8)
    texts[streams, : len(text)] = np.frombuffer(text, np.uint8)
    places = remembered(text, tuple(own.least.tolist()), found.bits)
    heads = np.where(places > 0, streams * room + places, 0).astype(found.heads.dtype)
    return found._replace(text=texts, known=np.append(found.known, len(text)), heads=heads)


@lru_cache(maxsize=4)
def remembered(text: bytes, least: tuple[int, ...], bits: int) -> Ints:
    """Return the places that are remembered of a text that is known, counted from 1, 0 for none, [M, 2^bits]; of many
    short texts behind it each would take longer to find them than to be coded.
    """
    found = np.zeros((len(least), 1 << bits), np.int64)
    for places, own in zip(found, least, strict=True):
        slots = _slots(sums_of(np.frombuffer(text, np.uint8), own), bits)
        places[slots] = np.arange(own, len(text)) + 1  # of equal slots the last one's
    return found


def sums_of(symbols: Bytes, least: int) -> NDArray[np.uint64]:
    """Return what the hashes of so many bytes begin with, before each place of a text from `least` on but its end."""
    found = np.zeros(max(len(symbols) - least, 0), np.uint64)
    for back in range(1, least + 1):
        own = symbols[least - back :][: len(found)].astype(np.uint64) + np.uint64(1)
        found += own * np.uint64(pow(POWER, back, 1 << 64))
    return found


def find(own: MatchState, sums: NDArray[np.uint64], streams: Ints) -> None:
    """Look for better matches of some streams, all of them before any place is remembered.

    sums: of the least bytes of each kind, as hashes of contexts of bytes begin. [M, L]
    """
    here = streams * own.text.shape[1] + own.known[streams]
    slots = _slots(sums, own.bits)
    for kind, least in enumerate(own.least.tolist()):
        place = own.heads[kind, slots[kind]].astype(np.int64) - 1
        length = _length(own, place, streams)
        better = (own.length[kind, streams] < least) & (length >= least)
        chosen = streams[better]
        own.stream[kind, chosen], own.place[kind, chosen] = np.divmod(place[better], own.text.shape[1])
        own.length[kind, chosen], own.wrong[kind, chosen] = length[better], 0
        own.heads[kind, slots[kind]] = here + 1  # of equal slots the last one's


def expected(own: MatchState, streams: Ints) -> tuple[Ints, Ints]:
    """(the byte that each match of some streams expects, or NONE; its form: its level of length times ERRORS, and how
    many of its latest bytes were wrong), [M, L].
    """
    place, wrong = own.place[:, streams], own.wrong[:, streams]
    byte = np.where(place >= 0, own.text[own.stream[:, streams], place].astype(np.int64), NONE)
    errors = np.zeros_like(wrong)
    for _ in range(ERRORS - 1):
        errors += wrong > 0
        wrong = wrong & (wrong - 1)
    return byte, levels(own.length[:, streams]) * ERRORS + errors


def foretold(byte: Ints, form: Ints) -> NDArray[np.uint64]:
    """Return one number for the byte and the form of the first match of each stream, 0 for none, [L]. Both [M, L]"""
    found = np.zeros(byte.shape[1], np.int64)
    for own, kind in zip(byte[::-1], form[::-1], strict=True):
        found = np.where(own >= 0, 1 + own + 256 * kind, found)
    return found.astype(np.uint64)


def levels(length: Ints) -> Ints:
    """The level of lengths: one for every 4 bytes, from 32 bytes on one for every 32."""
    found: Ints = np.minimum(np.minimum(length >> 2, 7 + (length >> 5)), LEVELS - 1)
    return found


def states(form: Ints, bit: Ints, says: Ints) -> Ints:
    """Return states of a match's adaptive map. form: see `expected`; bit: number of a bit, the high one 0; says: 1 or 2
    where the match expects a 0 or a 1, 0 where it expects nothing
    """
    found: Ints = np.where(says > 0, 2 * (form * BITS + bit) + says, 0)
    return found


def set_count(kinds: int) -> int:
    """Return how many weight sets there are by so many kinds of matches."""
    return 1 + 2 * LEVELS * kinds


def chosen_sets(form: Ints, says: Ints) -> Ints:
    """Return the numbers of weight sets by matches: by kind, level and bit of the first match that expects a bit, 0 if
    none does, [K, L]. form: [M, 1, L]; says: see `states` [M, K, L]
    """
    found = np.zeros(says.shape[1:], np.int64)
    for kind in range(len(says) - 1, -1, -1):
        found = np.where(says[kind] > 0, 2 * (LEVELS * kind + form[kind] // ERRORS) + says[kind], found)
    return found


def are_sure(sets: Ints, kinds: int) -> NDArray[np.bool_]:
    """Return whether matches are long enough to be asked before numerals. sets: see :func:`chosen_sets`, of which those
    of so many kinds are of matches
    """
    found: NDArray[np.bool_] = (sets > 0) & (sets <= 2 * LEVELS * kinds) & ((sets - 1) // 2 % LEVELS >= SURE)
    return found


def learn(own: MatchState, streams: Ints, symbols: Ints) -> None:
    """Go on behind the next symbols of some streams. A match ends where the text ends that it follows."""
    right = expected(own, streams)[0] == symbols
    fits = own.known[streams] < own.text.shape[1]  # a text that is longer than was said keeps no more
    chosen = streams[fits]
    own.text[chosen, own.known[chosen]] = symbols[fits]
    own.known[chosen] += 1
    place, length = own.place[:, streams], own.length[:, streams]
    goes_on = (place >= 0) & (place + 1 < own.known[own.stream[:, streams]])
    own.place[:, streams] = np.where(goes_on, place + 1, NONE)
    own.length[:, streams] = np.where(right & goes_on, length + 1, 0)
    own.wrong[:, streams] = (own.wrong[:, streams] << 1 | ~right) & 255


def _slots(sums: NDArray[np.uint64], bits: int) -> Ints:
    """Return the slots of hashes that begin with these sums."""
    h = (sums ^ (sums >> np.uint64(32))) * np.uint64(HASH)
    return (h >> np.uint64(64 - bits)).astype(np.int64)


def _length(own: MatchState, place: Ints, streams: Ints) -> Ints:
    """Return how many bytes before places equal the latest ones of streams, MOST_COMPARED at most, [L]. Both [L]"""
    room, texts, back = own.text.shape[1], own.text.ravel(), np.arange(1, MOST_COMPARED + 1)[:, None]
    known = own.known[streams]
    alike = texts.take(place - back, mode="clip") == texts.take(streams * room + known - back, mode="clip")
    inside = back <= np.minimum(np.where(place >= 0, place % room, 0), known)
    found: Ints = np.logical_and.accumulate(alike & inside, 0).sum(0, dtype=np.int64)
    return found
