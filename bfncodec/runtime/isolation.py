"""Isolation of exact networks from whatever a program has set torch to.

torch has switches that change what its operations compute, for the whole process or for all calls in a block: autocast,
less precise products of floats, another default type or device. A program that trains has good reasons for them; a file
written under them would be decoded nowhere else. So codecs work with all of them off, and put them back. Where torch is
not imported there is nothing to do, until it is (:func:`settle`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from bfncodec.runtime.lazytorch import imported_torch

__all__ = ["settle", "undisturbed"]

P = ParamSpec("P")
R = TypeVar("R")


def settle() -> None:
    """Switch off what torch, which has been imported since the calling block began, has on."""
    _PROCESS.settle()


def undisturbed(function: Callable[P, R]) -> Callable[P, R]:
    """The function with torch as it is when a program starts; afterwards everything is as before."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _thread(), _PROCESS:
            return function(*args, **kwargs)

    return call


@contextmanager
def _thread() -> Iterator[None]:
    """A block with the switches that each thread has for itself turned off: autocast and the default device."""
    torch = imported_torch()
    with ExitStack() as stack:
        for device in () if torch is None else ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch is not None and torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


class _Process:
    """The switches that all threads share: the default type, and the precision of products. The first thread to come in
    turns them off, the last one to leave puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._before: list[tuple[Callable[[Any], None], Any]] | None = None  # None: nothing was looked at

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
        self.settle()

    def settle(self) -> None:
        """Turn off what is on, unless that was done, or there is no torch yet, or nobody is inside."""
        with self._lock:
            if self._inside and self._before is None and imported_torch():
                self._before = _switched_off()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside = max(0, self._inside - 1)
            if not self._inside:
                self._put_back()

    def begin_anew(self) -> None:
        """Start over in a forked child: threads that were inside are not here, and one may have held the lock."""
        self._lock, self._inside = Lock(), 0
        self._put_back()

    def _put_back(self) -> None:
        before, self._before = self._before, None
        for put, value in before or ():
            put(value)


_PROCESS = _Process()
if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_PROCESS.begin_anew)


def _switched_off() -> list[tuple[Callable[[Any], None], Any]]:
    """Turn off what is on; returns what puts it back."""
    before: list[tuple[Callable[[Any], None], Any]] = []
    for put, value, off in _switches():
        if value != off:
            put(off)
            before.append((put, value))
    return before


def _switches() -> Iterator[tuple[Callable[[Any], None], Any, Any]]:
    """(what sets it, its value, its value when off) of each."""
    torch = imported_torch()
    yield torch.set_default_dtype, torch.get_default_dtype(), torch.float32
    try:
        yield torch.set_float32_matmul_precision, torch.get_float32_matmul_precision(), "highest"
    except RuntimeError:  # set for each backend, as one may since torch 2.9; the one for all must not be used then
        backends: Any = torch.backends
        for products in (backends.cuda.matmul, backends.mkldnn.matmul):
            yield partial(setattr, products, "fp32_precision"), products.fp32_precision, "ieee"
