"""16-bit samples as planes of bytes: the numbers that are used, cut into high and low bits.

The high bits look like the picture and are coded as one. The low bits are mostly noise; they are kept as the
difference to a prediction from their neighbours, which is small where the picture is smooth. Everything is integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from bfncodec.errors import DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.wire import Reader, varint
from bfncodec.runtime.arrays import Pixels

__all__ = ["ALL_LOW", "Used", "join", "low_planes", "natural_shift", "split"]

ALL_LOW = 16  # the shift at which no high bits are left: all is the difference to a prediction
_CENTRE = 128  # added to the differences at that shift, so that small ones of both signs fit one byte
_BYTE = 8
_LARGEST = 0xFFFF
_THIN = 64  # samples of a slanted line, below which NumPy takes longer to begin than to add


@dataclass(frozen=True)
class Used:
    """A set of 16-bit numbers, those that occur: offset + factor·n for n = 0, 1, ...; or any, where factor is 0.

    gaps: the gaps, uint16 little-endian, as an LZMA payload.
    """

    offset: int
    factor: int
    gaps: bytes = b""

    @classmethod
    def by(cls, values: Pixels) -> Used:
        """Return the numbers among uint16 samples, of any shape.

        A list of gaps, as scaled samples have them, is made where it saves twice its size.
        """
        import numpy as np

        used = np.flatnonzero(np.bincount(values.ravel()))
        offset, gaps = int(used[0]), np.diff(used)
        factor = int(np.gcd.reduce(gaps)) if gaps.size else 1
        span = (int(used[-1]) - offset) // factor + 1
        if span > used.size:
            packed = lzmaraw.pack(gaps.astype("<u2").tobytes())
            if values.size * log2(span / used.size) > 2 * 8 * len(packed):
                return cls(offset, 0, packed)
        return cls(offset, factor)

    def write(self) -> bytes:
        """Return the set as bytes."""
        return varint(self.offset) + varint(self.factor) + (b"" if self.factor else varint(len(self.gaps)) + self.gaps)

    @classmethod
    def read(cls, reader: Reader) -> Used:
        """Read what :meth:`write` wrote. DamagedError for numbers beyond 16 bits."""
        offset, factor = reader.varint("the least sample"), reader.varint("a factor")
        if offset > _LARGEST or factor > _LARGEST:
            raise DamagedError(f"16-bit samples cannot begin at {offset} with factor {factor}")
        return cls(offset, factor, b"" if factor else reader.take(reader.varint("the size of gaps"), "gaps"))

    def numbers(self, values: Pixels) -> Pixels:
        """Return the ranks of samples in the set, uint16 from 0 on."""
        import numpy as np

        if self.factor:
            return (values - np.uint16(self.offset)) // np.uint16(self.factor)
        used = self._used()
        table = np.zeros(_LARGEST + 1, np.uint16)
        table[used] = np.arange(used.size)
        return table[values]

    def samples(self, numbers: Pixels) -> Pixels:
        """Return the samples, uint16, of these ranks. DamagedError for ranks that no sample has."""
        import numpy as np

        largest = int(numbers.max())
        if not self.factor:
            used = self._used()
            if largest >= used.size or used[-1] > _LARGEST:
                raise DamagedError(f"number {largest} where {used.size} 16-bit samples occur")
            return used.astype(np.uint16)[numbers]
        if self.offset + self.factor * largest > _LARGEST:
            raise DamagedError(f"number {largest} stands for a sample beyond 16 bits")
        return numbers * np.uint16(self.factor) + np.uint16(self.offset)

    def _used(self) -> Pixels:
        import numpy as np

        gaps = lzmaraw.unpack(self.gaps, limit=2 * _LARGEST)
        if len(gaps) % 2:
            raise DamagedError(f"{len(gaps)} bytes cannot be gaps between 16-bit samples")
        return self.offset + np.concatenate([[0], np.cumsum(np.frombuffer(gaps, "<u2"), dtype=np.int64)])


# ---- high and low bits ------------------------------------------------------------------------


def natural_shift(numbers: Pixels) -> int:
    """Return how many low bits numbers have if their high bits are to fit a byte."""
    return max(0, int(numbers.max()).bit_length() - _BYTE)


def low_planes(shift: int) -> int:
    """Return how many planes of low bits a shift makes, 0 to 2. DamagedError for a shift that no writer chooses."""
    if shift > _BYTE and shift != ALL_LOW:
        raise DamagedError(f"samples cannot be cut at bit {shift}")
    return 2 if shift == ALL_LOW else int(shift > 0)


def split(numbers: Pixels, shift: int) -> tuple[Pixels | None, list[Pixels]]:
    """Split numbers, uint16 ``[H, W, C]``, at a bit.

    Returns the high bits, None where the shift leaves none, and the planes of the low bits, all uint8 ``[H, W, C]``.
    """
    import numpy as np

    high = None if shift == ALL_LOW else (numbers >> np.uint16(shift)).astype(np.uint8)
    if not shift:
        return high, []
    known = np.pad(numbers.astype(np.int32), ((1, 0), (1, 0), (0, 0)))
    prediction = _median(known[1:, :-1], known[:-1, 1:], known[:-1, :-1])
    low = (numbers - prediction + _centre(shift)) & ((1 << shift) - 1)
    return high, [(low >> _BYTE * plane).astype(np.uint8) for plane in range(low_planes(shift))]


def join(high: Pixels | None, low: list[Pixels], shift: int) -> Pixels:
    """Return the numbers, uint16 ``[H, W, C]``, that :func:`split` was given.

    One slanted line of pixels is made after the other: its neighbours to the left and above are then known.
    """
    import numpy as np

    if high is not None and not shift:
        return high.astype(np.uint16)
    height, width, channels = low[0].shape
    differences = np.full((height, width, channels), -_centre(shift), np.int32)
    for number, plane in enumerate(low):
        differences += plane.astype(np.int32) << _BYTE * number
    base = np.zeros_like(differences) if high is None else high.astype(np.int32) << shift
    if min(height, width) * channels < _THIN:
        return _join_thin(base, differences, (1 << shift) - 1)
    known, base, differences = (_padded(plane) for plane in (np.zeros_like(base), base, differences))
    mask, row = (1 << shift) - 1, width + 1
    for line in range(height + width - 1):
        first, last = max(0, line - width + 1), min(line, height - 1)
        start = row + 1 + line + first * width  # of the line in the padded plane, in which it is every width-th pixel
        here, left, above, corner = (
            slice(start - back, start - back + (last - first) * width + 1, width) for back in (0, 1, row, row + 1)
        )
        prediction = _median(known[left], known[above], known[corner])
        known[here] = base[here] + ((differences[here] + prediction) & mask)
    return known.reshape(height + 1, row, channels)[1:, 1:].astype(np.uint16)


def _join_thin(base: Pixels, differences: Pixels, mask: int) -> Pixels:
    """Return the numbers of :func:`join`, made one sample after the other.

    This is faster where slanted lines are short. base: the high bits in their place. differences: to the predictions.
    """
    import numpy as np

    samples = np.empty(base.shape, np.uint16)
    for channel in range(base.shape[2]):
        above = [0] * (base.shape[1] + 1)
        rows = zip(base[:, :, channel].tolist(), differences[:, :, channel].tolist(), strict=True)
        for row, (highs, lows) in enumerate(rows):
            corner = left = 0
            known = [0]
            for high, low, up in zip(highs, lows, above[1:], strict=True):
                least, most = (left, up) if left < up else (up, left)
                left = high + (low + min(max(left + up - corner, least), most) & mask)
                corner = up
                known.append(left)
            samples[row, :, channel] = known[1:]
            above = known
    return samples


def _padded(plane: Pixels) -> Pixels:
    """Return a plane ``[H, W, C]`` behind a row and a column of zeros, as ``[(H + 1)(W + 1), C]``."""
    import numpy as np

    return np.pad(plane, ((1, 0), (1, 0), (0, 0))).reshape(-1, plane.shape[2])


def _centre(shift: int) -> int:
    return _CENTRE if shift == ALL_LOW else 0


def _median(left: Pixels, above: Pixels, corner: Pixels) -> Pixels:
    """Return the median of left, above and left + above - corner: smooth slopes go on, edges stay.

    It is the median edge detector of LOCO-I (Weinberger, Seroussi and Sapiro, 2000).
    """
    import numpy as np

    low, high = np.minimum(left, above), np.maximum(left, above)
    median: Pixels = np.minimum(np.maximum(left + above - corner, low), high)
    return median
