"""Permission to use the tile registers of x86 processors (AMX), which Linux gives to whoever asks.

The registers take 8 KB, which the kernel saves for a thread only while they are in use. A process asks once, for all of
its threads. See https://docs.kernel.org/arch/x86/xstate.html.
"""

from __future__ import annotations

import ctypes
import platform
import sys

ARCH_PRCTL, GET_PERMISSIONS, REQUEST_PERMISSION = 158, 0x1022, 0x1023  # numbers of the call and of what it does
TILE_DATA = 18  # number of the registers among those that a processor saves


def may_use_tiles() -> bool:
    """Ask for the permission, and return whether this process has it."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        return False
    call, found = ctypes.CDLL(None).syscall, ctypes.c_uint64(0)
    call(ctypes.c_long(ARCH_PRCTL), ctypes.c_long(REQUEST_PERMISSION), ctypes.c_ulong(TILE_DATA))
    failed = call(ctypes.c_long(ARCH_PRCTL), ctypes.c_long(GET_PERMISSIONS), ctypes.byref(found))
    return not failed and bool(found.value >> TILE_DATA & 1)
