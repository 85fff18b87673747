"""Section 5.3: numerals, of one lane."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

END = 10


@dataclass
class Column:
    """Numerals of one column: the last one and its differences in units of its last digit."""

    value: int = 0
    step: int = 0
    bend: int = 0
    decimal: int = 0
    width: int = 0
    known: int = 0
    errors: list[int] = field(default_factory=lambda: [0, 0, 0])

    def join(self, value: int, decimal: int, width: int) -> None:
        if self.known and self.decimal != decimal:
            self._scale(decimal - self.decimal)
        if self.known:
            off = value - self.value
            for n, miss in enumerate((off, off - self.step, off - self.step - self.bend)):
                e = self.errors[n]
                self.errors[n] = e - e // 4 + abs(miss) if self.known > n + 1 else 4 * abs(miss)
            self.step, self.bend = off, off - self.step if self.known > 1 else 0
        self.value, self.decimal, self.width, self.known = value, decimal, width, min(self.known + 1, 4)

    def _scale(self, more: int) -> None:
        numbers = [self.value, self.step, self.bend, *self.errors]
        if more > 0 and max(map(abs, numbers)) >= 10**17 // 10**more:
            self.__init__()  # type: ignore[misc]
            return
        numbers = [x * 10**more if more > 0 else x // 10**-more for x in numbers]
        self.value, self.step, self.bend, self.errors = *numbers[:3], numbers[3:]


@dataclass
class Following:
    """The number of 24 binary digits that a numeral follows."""

    rest: int
    binary: int
    right: int = 0

    def says(self, decimals: int) -> int:
        if decimals > 17 or self.rest <= 10**decimals >> 30:
            return END
        digit, rest = divmod(10 * self.rest, 1 << self.binary)
        ends = min(rest, (1 << self.binary) - rest) < 10 ** (decimals + 1) >> 30
        return digit + (ends and rest > (1 << self.binary) - rest)


class Numerals:
    """State of the numerals of a lane."""

    def __init__(self) -> None:
        self.columns: dict[tuple[int, int], Column] = defaultdict(Column)
        self.stage, self.sign, self.index, self.lately = "ahead", "", 0, 0
        self.digits, self.point, self.fails = "", -1, False
        self.follows: Following | None = None

    @property
    def decimals(self) -> int:
        return len(self.digits) - self.point if self.point >= 0 else 0

    def code(self, number: int) -> int:
        """Return a number for what is expected in the field of this number, 0 for nothing."""
        if self.stage == "begun" and self.follows:
            return 65536 + 16 * self.follows.says(self.decimals) + 4 * self.follows.right + self.lately
        column = self.columns[min(number, 31), min(self.index, 3)]
        orders = [column.value, column.value + column.step, column.value + column.step + column.bend]
        best = min(range(3), key=lambda n: (column.errors[n], n))
        digits, point = (self.digits, self.point) if self.stage == "begun" else ("", -1)
        if (
            self.stage == "passed"
            or not column.known
            or len(digits) >= 16
            or (self.stage == "ahead" and orders[best] < 0)
        ):
            return 0
        whole = max(len(str(abs(orders[best]) // 10**column.decimal)), column.width)
        place = column.decimal - 1 - self.decimals if point >= 0 else column.decimal - 1 + whole - len(digits)
        if place < 0 or (point < 0 and whole <= len(digits)):
            return 0
        sought = -orders[best] if self.sign == "-" else orders[best]
        halves = min(max(2 * sought // 10**place - 20 * int(digits or "0"), -4), 24)
        level = 12 if column.known == 1 else min((4 * column.errors[best] // 10**place).bit_length(), 11)
        return 1 + ((halves + 4) * 13 + level) * 3 + (self.stage == "begun") * (1 + (point >= 0))

    def foreseen(self, number: int) -> tuple[int, int]:
        """(the digit that is expected, as a byte; the level of its error), -1 for none."""
        code = self.code(number)
        if code >= 65536:
            digit = (code - 65536) // 16
            return (-1, 13) if digit == END else (48 + digit, 0)
        halves, level = divmod((code - 1) // 3, 13)
        return (48 + min(max((halves - 4) // 2, 0), 9), level) if code else (-1, -1)

    def reveal(self, byte: int, number: int, ends: bool) -> None:
        """Go on behind a byte in the field of this number. ends: it is a delimiter."""
        letter = chr(byte)
        if letter in "0123456789":
            self._digit(letter)
        elif letter == "." and self.stage == "begun" and self.point < 0:
            self.point = len(self.digits)
        else:
            if self.stage == "begun":
                self._end(number)
            self.sign = letter if letter in "+-" else ""
            self.stage = "signed" if self.sign else "ahead" if ends else "passed"
            self.index = 0 if ends else self.index

    def _digit(self, digit: str) -> None:
        if self.stage != "begun":
            self.stage, self.digits, self.point, self.follows, self.fails = "begun", "", -1, None, False
        if self.follows:
            f = self.follows
            if int(digit) == f.says(self.decimals):
                f.rest, f.right = 10 * f.rest - (int(digit) << f.binary), min(f.right + 1, 3)
            else:
                self.follows, self.fails = None, True
        self.digits += digit
        if not self.follows and not self.fails and self.point >= 0 and 7 <= len(self.digits) <= 16:
            self._look()

    def _look(self) -> None:
        p, f = int(self.digits), self.decimals
        if p == 0:
            return
        fits = [k for k in range(37) if 2**23 * 10**f <= p << k < 2**24 * 10**f]
        if not fits or f > 11:
            self.fails = True
        elif 10**f >= 1 << fits[0]:
            rest = -(p << fits[0]) % 10**f
            self.fails = rest >= 1 << fits[0]
            self.follows = None if self.fails else Following(rest, fits[0])

    def _end(self, number: int) -> None:
        if self.follows and self.follows.right == 3:
            self.lately = min(self.lately + 1, 3)
        elif self.fails:
            self.lately = 0
        place = min(number, 31), min(self.index, 3)
        self.index += 1
        decimal = self.decimals - max(len(self.digits) - 16, 0)
        if decimal < 0:
            self.columns[place] = Column()
            return
        width = len(self.digits) - self.decimals if self.digits[0] == "0" else 1
        value = int(self.digits[:16])
        self.columns[place].join(-value if self.sign == "-" else value, decimal, width)
