"""Kernels: functions that Numba, which the extra ``fast`` installs, compiles to machine code.

A kernel computes what NumPy or torch compute without it, to the bit. Integers are integers, and floats are added,
multiplied, divided, rounded and taken the root of one IEEE operation at a time: Numba reorders and fuses none of them
unless asked to (``fastmath``), which nothing here does. Division by zero follows NumPy (no exception).

Importing Numba takes half a second. So machine code is kept on disk (:mod:`bfncodec.runtime.kept`), and a kernel whose
code is there runs without Numba. Modules with kernels therefore do not import Numba; what they need of it for being
compiled, :func:`written` names. :mod:`bfncodec.networks.acceleration` decides when kernels work.

Every kernel has one way to be called, whatever its arguments are: all their numbers and the addresses, shapes and
strides of their arrays, as 64-bit words behind each other.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bfncodec.forks import cached_property
from bfncodec.runtime import kept, shipped
from bfncodec.runtime.arrays import Array

__all__ = ["Flat", "Kernel", "Late", "Prepared", "compiled", "flat", "inlined", "is_kept", "written"]

RESULTS: dict[str, Callable[[bytes], Any]] = {
    "none": lambda _: None,
    "bool": lambda word: word[0] == 1,
    "int64": lambda word: struct.unpack("q", word)[0],
    "float32": lambda word: np.float32(struct.unpack("f4x", word)[0]),
}
"""The value of a result, by its type in Numba, of the word that it is."""

_INTEGERS = [struct.Struct(f"{count}q").pack for count in range(64)]


class Flat(NamedTuple):
    """An argument as kernels take it, which can be passed in place of its value.

    Attributes
    ----------
    value
        The argument itself.
    kind
        Its type: arguments of one kind have the same machine code.
    words
        Its 64-bit words.
    """

    value: Any
    kind: str
    words: bytes


def flat(value: Any) -> Flat:
    """Return an argument as kernels take it: worth keeping where many calls have it. Arrays in it are the same arrays,
    and must not be resized.

    value: an array, a number, or a tuple of such.
    """
    if isinstance(value, np.ndarray):
        return _flat_array(value)
    if isinstance(value, tuple):
        parts = [flat(part) for part in value]
        kind = ",".join(part.kind for part in parts)
        return Flat(value, f"{type(value).__qualname__}({kind})", b"".join([part.words for part in parts]))
    if isinstance(value, (bool, np.bool_)):
        return Flat(value, "bool", struct.pack("q", value))
    if isinstance(value, (int, np.int64)):
        return Flat(value, "int", struct.pack("q", value))
    if isinstance(value, np.float32):
        return Flat(value, "float32", struct.pack("f4x", value))
    raise TypeError(f"expected an array, a number or a tuple, found {type(value).__name__}")


def _flat_array(array: Array) -> Flat:
    """Return an array as Numba's native code has it: two owners, of which there are none; size, bytes of an entry,
    address, shape, strides.
    """
    known = array.__array_interface__
    address, fixed = known["data"]
    layout = "C" if known["strides"] is None else "F" if array.flags.f_contiguous else "A"
    kind = f"{known['typestr']}{array.ndim}{layout}{'r' if fixed else 'w'}"
    words = (0, 0, array.size, array.itemsize, address, *array.shape, *array.strides)
    return Flat(array, kind, _INTEGERS[len(words)](*words))


class Found(NamedTuple):
    """Machine code, and the function that passes words to it."""

    code: kept.MachineCode
    run: Callable[[bytes | int], Any]


class Prepared:
    """A call of a kernel, to be made again and again: by Python, or by kernels that know its addresses.

    Attributes
    ----------
    address
        Where the machine code lies.
    words
        The arguments, which are read at each call.
    turn
        Place among the words of the argument that differs from call to call, -1 if none does.
    result
        Type of the result, in Numba's words.
    """

    def __init__(self, found: Found, flats: Sequence[Flat], turn: int | None) -> None:
        self._run, self._owners = found.run, flats  # arrays live as long
        self.address, self.result = found.code.address, found.code.result
        self.words = np.frombuffer(b"".join([each.words for each in flats]), np.int64).copy()
        self.turn = -1 if turn is None else sum(len(each.words) for each in flats[:turn]) // self.words.itemsize

    def set_turn(self, value: int) -> None:
        """Set the argument that differs, an integer."""
        self.words[self.turn] = value

    def __call__(self) -> Any:
        """Make the call."""
        return self._run(self.words.ctypes.data)


class Late:
    """A thing that kernels may call, in a form that needs no Numba; `made` is what Numba knows."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Any:
        """Return it as Numba has it. Raises ImportError without Numba."""
        return self._make()


def written(module: str, name: str) -> Any:
    """Return what a module that imports Numba defines: instructions that kernels call, written for LLVM."""
    return Late(lambda: getattr(import_module(module), name))


class Kernel(Late):
    """A function that runs as machine code, without Python's global lock."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(self._numba)
        self.function, self.options, self.since = function, options, time.time_ns()
        self.found: dict[tuple[str, ...], Found] = {}

    def __call__(self, *args: Any) -> Any:
        """Compute with arrays, numbers, tuples of them, or what `flat` made of them.

        Raises ImportError where the code is not kept and Numba is not here.
        """
        flats = [each if type(each) is Flat else flat(each) for each in args]
        kinds = tuple([each.kind for each in flats])
        found = self.found.get(kinds) or self._find(kinds, [each.value for each in flats])
        return found.run(b"".join([each.words for each in flats]))

    def prepare(self, *args: Any, turn: int | None = None) -> Prepared:
        """Return the call with these arguments. turn: number of the one that differs from call to call, an integer

        Raises ImportError where the code is not kept and Numba is not here.
        """
        flats = [flat(each) if type(each) is not Flat else each for each in args]
        kinds = tuple([each.kind for each in flats])
        found = self.found.get(kinds) or self._find(kinds, [each.value for each in flats])
        return Prepared(found, flats, turn)

    def __getattr__(self, name: str) -> Any:
        """Be, for Numba, what it made of the function."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.made, name)

    @property
    def place(self) -> Path | None:
        """Return the folder that its code is kept in, None where it is not."""
        return kept.place(self.function, self.since)

    def _find(self, kinds: tuple[str, ...], values: list[Any]) -> Found:
        """Return the code for arguments of some kinds: kept, shipped, or compiled now and kept."""
        place = self.place
        symbol = kept.symbol(self.function, kinds)
        code = kept.load(place, symbol) or shipped.load(self.function, self.since, symbol)
        if code is None:
            from bfncodec.runtime.compiling import compile_kernel

            code = compile_kernel(self.made, values, symbol)
            if kept.is_unchanged(self.function, self.since):
                kept.save(place, symbol, code)
        found = self.found[kinds] = Found(code, _caller(code))
        return found

    def _numba(self) -> Any:
        from bfncodec.runtime.compiling import dispatcher

        return dispatcher(self.function, self.options, (Late, Kernel))


def _caller(code: kept.MachineCode) -> Callable[[bytes | int], Any]:
    """Return the function that passes words, or their address, to machine code, without Python's global lock, and gives
    its result.
    """
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p)(code.address)
    result = RESULTS[code.result]

    def run(words: bytes | int, code: kept.MachineCode = code) -> Any:  # holds the code as long as it may be called
        word = ctypes.create_string_buffer(8)
        status = call(words, word)
        if status:
            raise RuntimeError(f"a kernel ended with status {status}")
        return result(word.raw)

    return run


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function as a kernel, which is compiled on its first call with arguments of some types."""
    return Kernel(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Return the function as a part of kernels: its code stands in them wherever they call it, so that a call costs
    nothing.
    """
    return Kernel(function, inline="always")


def is_kept(kernel: Kernel) -> bool:
    """Return whether code of a kernel is on disk that this process may load: of the same sources and for this kind of
    processor, kept by the same Numba and NumPy or shipped.
    """
    return kept.is_there(kernel.place, kernel.function) or shipped.is_there(kernel.function, kernel.since)
