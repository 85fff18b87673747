"""Arrays of numbers without a model: bytes of one significance together, each such plane as LZMA or stored.

Neighbouring numbers share their high bytes and differ in the low ones; in planes of their own, the former take next to
nothing. If numbers are close to those before them, their differences are cut into planes instead. Everything is
integers: the meaning of numbers does not matter, and every bit comes back. The encoder stands above its decoder.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from math import ceil

from bfncodec.errors import DamagedError
from bfncodec.format import lzmaraw
from bfncodec.format.kinds import Method
from bfncodec.format.wire import Reader, varint
from bfncodec.runtime.arrays import Array
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["Form", "PlaneKind", "decode", "encode", "forms_of"]

_WIDTHS = (1, 2, 4, 8, 16)  # bytes of an element
_BIG_ENDIAN = 8  # in the byte of a form
_SMALL = 1 << 16  # bytes of a plane that LZMA is tried on, noise or not
_THREADS = 2


class PlaneKind(IntEnum):
    """Source of planes: elements, their differences, or bits."""

    ELEMENTS = 0
    DIFFERENCES = 1
    BITS = 2


@dataclass(frozen=True)
class Form:
    """Form of planes.

    width: bytes of an element. lag: for differences, the number of elements back.
    """

    kind: PlaneKind
    width: int
    big_endian: bool = False
    lag: int = 0

    @property
    def dtype(self) -> str:
        """NumPy's name for the elements as unsigned integers."""
        return f"{'>' if self.big_endian else '<'}u{self.width}"

    def write(self) -> bytes:
        """Return the bytes of the form."""
        byte = self.kind << 4 | (_BIG_ENDIAN if self.big_endian else 0) | _WIDTHS.index(self.width)
        return bytes([byte]) + (varint(self.lag) if self.kind is PlaneKind.DIFFERENCES else b"")

    @classmethod
    def read(cls, reader: Reader, size: int) -> Form:
        """Return the form that :meth:`write` wrote.

        Raises DamagedError for one that content of ``size`` bytes cannot have.
        """
        byte = reader.byte("a form")
        kind, width = byte >> 4, byte & 7
        if kind > max(PlaneKind) or width >= len(_WIDTHS):
            raise DamagedError(f"an array's form {byte:#04x} cannot be")
        lag = reader.varint("a lag") if kind == PlaneKind.DIFFERENCES else 0
        form = cls(PlaneKind(kind), _WIDTHS[width], bool(byte & _BIG_ENDIAN), lag)
        wide = form.kind is PlaneKind.DIFFERENCES and (form.width > 8 or not 1 <= lag <= max(size // form.width, 1))
        if size % form.width or wide or (form.kind is PlaneKind.BITS and form.width > 1):
            raise DamagedError(f"{size} bytes cannot be an array of form {byte:#04x} and lag {lag}")
        return form

    def planes(self, data: bytes) -> list[Array]:
        """Return the planes of bytes, uint8 ``[n]`` each, the least significant of differences first."""
        import numpy as np

        if self.kind is PlaneKind.BITS:
            return [np.packbits(np.frombuffer(data, np.uint8))]
        if self.kind is PlaneKind.DIFFERENCES:
            data = self._differences(np.frombuffer(data, self.dtype)).tobytes()
        return list(np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(-1, self.width).T))

    def sizes(self, size: int) -> list[int]:
        """Return the bytes of each plane of content of ``size`` bytes."""
        return [ceil(size / 8)] if self.kind is PlaneKind.BITS else [size // self.width] * self.width

    def join(self, planes: Sequence[bytes], size: int) -> bytes:
        """Return the bytes whose planes these are; they have the right sizes."""
        import numpy as np

        if self.kind is PlaneKind.BITS:
            return np.unpackbits(np.frombuffer(planes[0], np.uint8), count=size).tobytes()
        data = np.stack([np.frombuffer(plane, np.uint8) for plane in planes], axis=1).tobytes()
        return self._sums(np.frombuffer(data, f"<u{self.width}")) if self.kind is PlaneKind.DIFFERENCES else data

    def _differences(self, numbers: Array) -> Array:
        """Return each number less the one ``lag`` before it, little-endian, with the sign in the lowest bit."""
        import numpy as np

        little = numbers.astype(f"<u{self.width}")
        found = little.copy()
        found[self.lag :] -= little[: -self.lag]
        signed = found.view(f"<i{self.width}")
        return np.asarray((found << 1) ^ (signed >> (8 * self.width - 1)).view(found.dtype))

    def _sums(self, differences: Array) -> bytes:
        """Return the bytes of the elements whose :meth:`_differences` are given."""
        import numpy as np

        found = (differences >> 1) ^ (~(differences & 1) + 1)
        rows = -(-len(found) // self.lag)
        padded = np.zeros(rows * self.lag, found.dtype)
        padded[: len(found)] = found
        sums = np.cumsum(padded.reshape(rows, self.lag), axis=0, dtype=found.dtype)
        return sums.reshape(-1)[: len(found)].astype(self.dtype).tobytes()


def forms_of(dtype: str, shape: Sequence[int]) -> list[Form]:
    """Return the forms worth trying for an array. dtype: element type as headers name it."""
    big, kind, width = dtype.startswith(">"), dtype.lstrip(">")[0], int(dtype.lstrip(">")[1:])
    if kind == "b":
        return [Form(PlaneKind.BITS, 1)]
    parts = 2 if kind == "c" else 1  # real and imaginary
    lags = {parts, parts * shape[-1]} if len(shape) > 1 else {parts}
    forms = [Form(PlaneKind.ELEMENTS, width, big)] if width > 1 else []
    return forms + [Form(PlaneKind.DIFFERENCES, width // parts, big, lag) for lag in sorted(lags)]


def encode(data: bytes, forms: Sequence[Form], policy: Policy = DEFAULT_POLICY, preset: int = lzmaraw.SLOWEST) -> bytes:
    """Return the smallest stream of planes, empty if there is none. forms: from :func:`forms_of`. preset: LZMA's."""
    able = [form for form in forms if _fits(form, data)]
    if len(data) > policy.forms_tried and len(able) > 1:
        able = [min(able, key=lambda form: _estimate(form, data, policy.form_sample))]
    streams = [varint(len(data)) + form.write() + _write_planes(form.planes(data), preset) for form in able]
    return min(streams, key=len, default=b"")


def _fits(form: Form, data: bytes) -> bool:
    if form.kind is PlaneKind.BITS:
        return bool(data) and max(data) <= 1
    return len(data) // form.width > max(form.lag, 1)


def _estimate(form: Form, data: bytes, size: int) -> int:
    """Return an estimate of the bytes for a sample of about ``size`` bytes in the middle of the data."""
    step = form.width * max(form.lag, 1)
    start = max(0, (len(data) - size) // 2) // step * step
    part = data[start : start + max(size // step, 2) * step]
    planes = [plane.tobytes() for plane in form.planes(part)]
    return sum(min(len(plane), len(zlib.compress(plane))) for plane in planes)


def _write_planes(planes: Sequence[Array], preset: int) -> bytes:
    with ThreadPoolExecutor(_THREADS) as pool:
        return b"".join(pool.map(partial(_write_plane, preset), [plane.tobytes() for plane in planes]))


def _write_plane(preset: int, plane: bytes) -> bytes:
    method, payload = Method.STORED, plane
    if len(plane) <= _SMALL or len(zlib.compress(plane, 1)) < len(plane):  # else noise
        squeezed = lzmaraw.pack(plane, preset)
        method, payload = min((method, payload), (Method.LZMA, squeezed), key=lambda item: len(item[1]))
    return varint(1 + len(payload)) + bytes([method]) + payload


def decode(payload: bytes) -> bytes:
    """Return the content of a stream that :func:`encode` made. Raises DamagedError for what it cannot have made."""
    reader = Reader(payload)
    size = reader.varint("the size of an array")
    form = Form.read(reader, size)
    planes = list(_read_planes(reader, form.sizes(size)))
    if reader.rest():
        raise DamagedError("bytes after the last plane")
    return form.join(planes, size)


def _read_planes(reader: Reader, sizes: Sequence[int]) -> Iterator[bytes]:
    for size in sizes:
        block = Reader(reader.take(reader.varint("the size of a plane"), "a plane"))
        method, payload = block.byte("a plane's method"), block.rest()
        if method == Method.LZMA:
            payload = lzmaraw.unpack(payload, limit=size)
        elif method != Method.STORED:
            raise DamagedError(f"a plane cannot be coded by method {method}")
        if len(payload) != size:
            raise DamagedError(f"expected a plane of {size} bytes, found {len(payload)}")
        yield payload
