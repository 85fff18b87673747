"""Palettes in few bytes, with their order: what extra 87 holds.

An entry is opacity, red, green, blue. Each of these numbers is coded with odds that a mixture of guesses gives it: that
of the entry before or of the channel before, the entry before or the most similar colour so far moved as far as the
channel before was, a colour as bright as the entry before, or one in line with red and green. Which of the guesses are
good, and how near the number is, is learned from entry to entry. A palette in rising order, as many programs write
them, says so, and what would break the order has no odds.

The numbers that stand for the entries in the picture may be others than the palette's own: those along a chain of
similar colours. The picture is smoother so, where a palette is in an order of its own.

Exactness: everything is an integer, even where floats hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from bfncodec.errors import DamagedError, NewerVersionError
from bfncodec.format.wire import Reader, varint
from bfncodec.runtime.arrays import Floats, Floats32, Ints, Pixels

__all__ = ["Palette"]

Entry = tuple[int, ...]
"""Opacity, red, green, blue: 0 to 255 each."""

_MOST = 256  # entries
_OPAQUE = 255
_RISING, _CHAINED, _FORM, _UNKNOWN = 1, 2, 4, 0xE0  # flags; a form is three bits

_VALUES = 256  # of a number
_BLACK = (0, 0, 0, 0)
_DECAYS = (0, 8, 16, 22, 26, 29, 31, 32)  # of 32: odds of a number next to another, one further from the guess
_PEAK = 1 << 30  # odds of what is guessed, before they are made to add up
_UNIT = 1 << 16  # to which odds and weights add up, but for what rounding takes
_SHARE = 1 << 12  # of the weights, the same for all, lest a guess that was bad is never heard again


@dataclass(frozen=True)
class Palette:
    """Up to 256 colours.

    colours: red, green, blue of each. opacity: of the first of them, the others are opaque. form: 0 to 7, what it was
    made of, told apart by whoever made it. chained: whether pixels are numbers along the chain.
    """

    colours: bytes
    opacity: bytes = b""
    form: int = 0
    chained: bool = False

    @property
    def can_be_coded(self) -> bool:
        """Return whether there are colours, whole ones, not too many, and no more opacities."""
        count, rest = divmod(len(self.colours), 3)
        return not rest and 1 <= count <= _MOST and len(self.opacity) <= count

    @property
    def entries(self) -> list[Entry]:
        """All of them."""
        opacity = self.opacity + bytes([_OPAQUE]) * (len(self.colours) // 3 - len(self.opacity))
        return list(zip(opacity, *(self.colours[c::3] for c in range(3)), strict=True))

    def write(self) -> bytes:
        """The bytes a file has of it, if it can be coded."""
        entries, translucent = self.entries, len(self.opacity)
        rising = entries == sorted(entries)
        flags = _RISING * rising + _CHAINED * self.chained + _FORM * self.form
        return bytes([flags, len(entries) - 1]) + varint(translucent) + _encode(entries, translucent, rising)

    @classmethod
    def read(cls, value: bytes) -> Palette:
        """The inverse of :meth:`write`. NewerVersionError for flags that are not known, DamagedError otherwise."""
        reader = Reader(value)
        flags, count = reader.byte("flags of a palette"), reader.byte("the size of a palette") + 1
        if flags & _UNKNOWN:
            raise NewerVersionError(f"a palette with flags {flags:#04x} is not known here: update bfncodec")
        translucent = reader.varint("how many colours have an opacity")
        if translucent > count:
            raise DamagedError(f"a palette of {count} colours has {translucent} opacities")
        entries = _decode(reader.rest(), count, translucent, bool(flags & _RISING))
        colours = bytes(number for entry in entries for number in entry[1:])
        opacity = bytes(entry[0] for entry in entries[:translucent])
        return cls(colours, opacity, flags // _FORM, bool(flags & _CHAINED))

    def along_chain(self, pixels: Pixels) -> tuple[Palette, Pixels]:
        """The same palette for pixels that are numbers along the chain, and those for pixels that are its own."""
        import numpy as np

        return replace(self, chained=True), np.argsort(self._chain()).astype(np.uint8)[pixels]

    def own_numbers(self, pixels: Pixels) -> Pixels:
        """The palette's own numbers of pixels."""
        return self._chain()[pixels] if self.chained else pixels

    def _chain(self) -> Pixels:
        """Numbers of the entries, uint8 [256]: 0, then each time the most similar of those left; what has no entry is
        its own number.
        """
        import numpy as np

        chain, entries = np.arange(_VALUES, dtype=np.uint8), np.array(self.entries)
        left = np.arange(1, len(entries))
        for place in range(1, len(entries)):
            nearest = np.abs(entries[left] - entries[chain[place - 1]]).sum(1).argmin()
            chain[place] = left[nearest]
            left = np.delete(left, nearest)
        return chain


# ---- entries ----------------------------------------------------------------------------------


def _encode(entries: list[Entry], translucent: int, rising: bool) -> bytes:
    """Entries of which all from number ``translucent`` on are opaque. rising: none is less than the one before."""
    import numpy as np

    from bfncodec.coding.rangecoder import RangeEncoder

    coder = RangeEncoder()
    numbers = iter([number for place, entry in enumerate(entries) for number in entry[place >= translucent :]])

    def code(frequencies: Floats32) -> int:
        number = next(numbers)
        coder.encode_rows(np.array([number]), frequencies)
        return number

    _Walk(len(entries), rising, code).entries(translucent)
    return coder.finish()


def _decode(code: bytes, count: int, translucent: int, rising: bool) -> list[Entry]:
    """The inverse. DamagedError for bits that no writer writes."""
    from bfncodec.coding.rangecoder import RangeDecoder

    coder = RangeDecoder(code)
    return _Walk(count, rising, lambda frequencies: int(coder.decode_rows(frequencies)[0])).entries(translucent)


class _Walk:
    """Entries one after the other, for each of which it learns from those before.

    code: given the frequencies of a number's values, float32 [1, 256], the number.
    """

    def __init__(self, count: int, rising: bool, code: Callable[[Floats32], int]) -> None:
        import numpy as np

        self.count, self.rising, self.code = count, rising, code
        self.known: list[Entry] = [_BLACK]
        self.table = np.zeros((len(_BLACK), count + 1), np.int64)  # the same from its end on
        self.weights: dict[tuple[int, bool], Ints] = {}

    def entries(self, translucent: int) -> list[Entry]:
        """All of them."""
        for place in range(self.count):
            entry = self._entry(() if place < translucent else (_OPAQUE,))
            self.known.append(entry)
            self.table[:, self.count - 1 - place] = entry
        return self.known[1:]

    def _entry(self, entry: Entry) -> Entry:
        """The next one, of which some numbers may be known."""
        import numpy as np

        seen, apart, like = self.table[:, -len(self.known) :], 0, self.known[-1]
        while (size := len(entry)) < len(_BLACK):
            if size > 1:  # red or more is known
                apart = apart + np.abs(seen[size - 1] - entry[-1])
                like = self.known[-1 - int(apart.argmin())]
            entry += (self._number(entry, like),)
        return entry

    def _number(self, entry: Entry, like: Entry) -> int:
        """The next one of an entry. like: the most similar that is known."""
        import numpy as np

        last, size = self.known[-1], len(entry)
        same = entry == last[:size]
        odds = np.concatenate([_odds(guess) for guess in _guesses(last, like, entry)])
        weights = self.weights[size, same] if (size, same) in self.weights else _even(len(odds))
        mixed = (weights @ odds).astype(np.int64)
        if self.rising and same:
            mixed[: last[size]] = 0
        number = self.code(_frequencies(mixed, last[size]))
        self.weights[size, same] = _weigh(weights, odds[:, number])
        return number


def _guesses(last: Entry, like: Entry, entry: Entry) -> list[int]:
    """Return what the next number of an entry may be near."""
    size = len(entry)
    if size < 2:
        return [last[size], 0]
    before = entry[-1]
    moved = [other[size] + before - other[size - 1] for other in (last, like)]
    as_bright, straight = last[2] - (entry[1] - last[1]) // 2, 2 * before - entry[-2]
    guesses = (*moved, as_bright if size == 2 else straight)
    return [last[size], before, *(min(max(value, 0), _VALUES - 1) for value in guesses)]


@lru_cache(maxsize=_VALUES)
def _odds(guess: int) -> Floats:
    """Odds of each value near a guess, integers: [decays, 256]."""
    import numpy as np

    odds = _around()[:, _VALUES - 1 - guess : 2 * _VALUES - 1 - guess]
    rows: Floats = (odds * _UNIT // odds.sum(1, keepdims=True)).astype(np.float64)
    return rows


@lru_cache(maxsize=1)
def _around() -> Ints:
    """Odds of the values from 255 below a guess to 255 above it, for each decay: [decays, 511]."""
    import numpy as np

    sides = [[_PEAK] for _ in _DECAYS]
    for side, decay in zip(sides, _DECAYS, strict=True):
        while len(side) < _VALUES:
            side.append(side[-1] * decay // 32)
    return np.array([(*side[:0:-1], *side) for side in sides], np.int64)


def _even(count: int) -> Ints:
    import numpy as np

    return np.full(count, _UNIT // count, np.int64)


def _weigh(weights: Ints, odds: Floats) -> Ints:
    """The weights of guesses that gave these odds to what was right."""
    import numpy as np

    right = weights * (odds.astype(np.int64) + 1)
    learned: Ints = right * (_UNIT - _SHARE) // right.sum() + _SHARE // len(right)
    return learned


def _frequencies(mixed: Ints, guess: int) -> Floats32:
    """Mixed odds as the coder wants them, float32 [1, 256]; what rounding takes is the guess's."""
    import numpy as np

    from bfncodec.coding.rangecoder import total

    frequencies = mixed * total(_VALUES) // mixed.sum()
    frequencies[guess] += total(_VALUES) - frequencies.sum()
    row: Floats32 = frequencies[None].astype(np.float32)
    return row
