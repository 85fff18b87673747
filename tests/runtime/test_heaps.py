"""Heaps of the C library: what threads free is room for the next ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.commands import ENVIRONMENT

PROGRAM = """
import ctypes, sys, threading
from bfncodec.runtime.heaps import limit_heaps

if not limit_heaps(1):
    sys.exit(3)
allocate, found, together = ctypes.CDLL(None).malloc, [], threading.Barrier(4)
allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

def work():
    together.wait()
    found.append(allocate(100))
    together.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(max(found) - min(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only GNU's library can be told")
def test_threads_share_heaps() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("another C library")
    assert int(done.stdout) < 1 << 24
