"""Properties that are computed once, and locks, of which a forked child never waits for a thread that it has not.

A child that is forked while another thread of its parent has a lock would wait for it for ever.
"""

from __future__ import annotations

import os
import sys
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:  # noqa: N801 - takes the place of that of functools
        """A property that is computed once for each object, or by several threads at once, as Python has it from 3.12
        on: before, all objects have one lock, which forked children cannot have.
        """

        def __init__(self, function):  # noqa: ANN001, ANN204 - checked as the one of functools
            self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

        def __set_name__(self, owner, name):  # noqa: ANN001, ANN204
            self.name = name

        def __get__(self, instance, owner=None):  # noqa: ANN001, ANN204
            if instance is None:
                return self
            found = instance.__dict__[self.name] = self.function(instance)
            return found


__all__ = ["ProcessLock", "cached_property"]


class ProcessLock:
    """A lock that forked children find free."""

    def __init__(self) -> None:
        self._lock = Lock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def begin_anew(self) -> None:
        """Be free in a forked child."""
        self._lock = Lock()


_LOCKS = WeakSet[ProcessLock]()


def _begin_anew() -> None:
    for lock in _LOCKS:
        lock.begin_anew()


if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_begin_anew)
