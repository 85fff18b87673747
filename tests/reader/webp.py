"""VP8L streams that hold pixels as they are, for files made again."""

from __future__ import annotations

from reader.methods import Mode, Samples


def encode_vp8l(mode: Mode, samples: Samples) -> bytes:
    """A stream without transforms, in which each number of a pixel has a code of eight bits."""
    bits = Writer()
    bits.put(0x2F, 8)
    bits.put(samples.width - 1, 14)
    bits.put(samples.height - 1, 14)
    bits.put(mode.channels == 4, 1)
    bits.put(0, 3 + 1 + 1 + 1)  # the version; no transform, no cache, no more groups of codes
    for _ in range(4):
        bits.put_bytes_code()
    bits.put(0b0001, 4)  # distances: a code of the one symbol 0
    step = mode.channels
    for k in range(0, len(samples.data), step):
        red, green, blue, *opacity = samples.data[k : k + step] if step > 2 else samples.data[k : k + 1] * 3
        for value in (green, red, blue, *(opacity or [255])):
            bits.put(REVERSED[value], 8)
    return bits.total.to_bytes((bits.count + 7) // 8, "little")


REVERSED = [int(f"{v:08b}"[::-1], 2) for v in range(256)]


class Writer:
    """Bits, the lowest of a byte first."""

    def __init__(self) -> None:
        self.total, self.count = 0, 0

    def put(self, value: int, count: int) -> None:
        self.total |= value << self.count
        self.count += count

    def put_bytes_code(self) -> None:
        """A prefix code of 256 symbols of eight bits: all lengths are 8, a symbol that is alone and has no bits."""
        self.put(0, 1)
        self.put(12 - 4, 4)  # twelve lengths of code lengths, of which the last is that of 8
        self.put(1 << 33, 36)
        self.put(1, 1)
        self.put(3, 3)  # the number of code lengths, less two, has eight bits
        self.put(254, 8)
