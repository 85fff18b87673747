"""Rounds of kernels, with nothing of Python's between them.

A round has *units*, each of which are some calls one after the other: any thread takes any unit. When all are done, the
thread that leads makes some more calls, and the next round begins. A thread that waits looks again and again, since
sleeping and being woken take as long as a round, but lets whatever else wants the processor have it: nobody waits for a
unit that it has not begun. After some milliseconds without work it sleeps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bfncodec.runtime.arrays import Ints
from bfncodec.runtime.jit import Prepared, compiled, inlined, written

LOOKS = 1 << 9  # before a thread that waits lets others have the processor
PATIENCE = 1 << 7  # times that it does, before it sleeps
REST = 1e-3  # seconds that it sleeps
ADDRESS, WORDS, TURN, ASKED = range(4)  # of a call: code, arguments, place of the round's number, whether it is asked
# Numbers that threads share, in lines of the cache of their own: unit to take, units to be had, units that are done,
# and whether a kernel gave up. The last is of the thread that leads: its round.
NEXT, OPEN, DONE, BROKEN, ROUND = range(0, 40, 8)
WAITING, FINISHED, REFUSED, FAILED = range(4)

_call = written("bfncodec.runtime.atomics", "call")
_put = written("bfncodec.runtime.atomics", "put")
_pause = written("bfncodec.runtime.atomics", "pause")
_read = written("bfncodec.runtime.atomics", "read")
_write = written("bfncodec.runtime.atomics", "write")
_add = written("bfncodec.runtime.atomics", "add")
_exchange = written("bfncodec.runtime.atomics", "exchange")


class Rounds:
    """Rounds from a number on.

    units: calls that threads share; after: those that follow, of which one that returns False ends all. Calls that have
    a `turn` get the number of the round there.
    """

    def __init__(self, units: Sequence[Sequence[Prepared]], after: Sequence[Prepared], first: int) -> None:
        self._calls = units, after  # which own what is called
        self._control = np.zeros(64, np.int64)
        self._control[[NEXT, OPEN, DONE, ROUND]] = [first * len(units)] * 3 + [first]
        shared, following = _rows([call for unit in units for call in unit]), _rows(after)
        edges = np.cumsum([0, *map(len, units)])
        self._lead = _lead.prepare(shared, edges, following, self._control, 0, LOOKS, turn=4)
        self._help = _help.prepare(shared, edges, self._control, LOOKS)
        self._stopped = False

    def run(self, last: int) -> bool:
        """Make all rounds before `last`. Returns False if a call said so, in whose round it stays.

        Raises RuntimeError if a kernel gave up.
        """
        self._lead.set_turn(last)
        while (state := self._lead()) == WAITING:
            _yield()  # whoever has begun with a unit may wait for this processor
        if state == FAILED:
            raise RuntimeError("a kernel gave up")
        return bool(state == FINISHED)

    def help(self) -> None:
        """Take units until `stop`: what other threads than the leading one do."""
        idle = 0
        while not self._stopped:
            idle = 0 if self._help() else idle + 1
            _yield() if idle < PATIENCE else time.sleep(REST)

    def stop(self) -> None:
        """End `help` in all threads."""
        self._stopped = True


def _yield() -> None:
    """Let another thread have the processor."""
    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


def _rows(calls: Sequence[Prepared]) -> Ints:
    """Return calls as kernels take them, int64 [calls, 4]."""
    rows = [(each.address, each.words.ctypes.data, each.turn, each.result == "bool") for each in calls]
    return np.array(rows, np.int64).reshape(-1, 4)


@compiled
def _lead(calls: Ints, edges: Ints, after: Ints, control: Ints, last: int, most: int) -> int:
    """Make all rounds before `last`, or as many as can be made without waiting for long.

    calls, after: int64 [calls, 4]; edges: of the units among the first [units + 1]; control: see NEXT.
    """
    while control[ROUND] < last:
        number = control[ROUND]
        end = (number + 1) * (len(edges) - 1)
        _write(control, OPEN, end)
        while _take(calls, edges, control):
            pass
        looks = 0
        while _read(control, DONE) < end:
            looks += 1
            if looks > most:
                return WAITING
            _pause()
        if _read(control, BROKEN):
            return FAILED
        for k in range(len(after)):
            said = _make(after[k], number)
            if said <= 0:
                return REFUSED if said == 0 else FAILED
        control[ROUND] = number + 1
    return FINISHED


@compiled
def _help(calls: Ints, edges: Ints, control: Ints, most: int) -> bool:
    """Take units until there have been none for long. Returns whether there were any."""
    found, looks = False, 0
    while looks <= most:
        if _take(calls, edges, control):
            found, looks = True, 0
        else:
            looks += 1
            _pause()
    return found


@inlined
def _take(calls: Ints, edges: Ints, control: Ints) -> bool:
    """Take a unit, if there is one, and make its calls. Returns whether there was."""
    number = _read(control, NEXT)
    there = number < _read(control, OPEN)
    if there and _exchange(control, NEXT, number, number + 1):
        units = len(edges) - 1
        unit = number % units
        for k in range(edges[unit], edges[unit + 1]):
            if _make(calls[k], number // units) < 0:
                _write(control, BROKEN, 1)
        _add(control, DONE, 1)
    return bool(there)


@inlined
def _make(row: Ints, number: Any) -> Any:
    """Make a call. Returns 1, 0 if it returns False, and -1 if it gave up."""
    if row[TURN] >= 0:
        _put(row[WORDS], row[TURN], number)
    said = _call(row[ADDRESS], row[WORDS])
    return said if row[ASKED] or said < 0 else np.int64(1)
