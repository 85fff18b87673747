"""Write the machine code of kernels that a wheel brings, for every level of processors that this one runs.

    python share/kernels.py         # then make the wheel; with Numba, on Linux on x86-64

Each level has a process of its own, in which Numba compiles for another processor than the one it runs on. It codes
small texts and pictures at some levels of compression and writes what was compiled for them beside the package's
modules, see :mod:`bfncodec.runtime.shipped`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import bfncodec
from bfncodec.runtime import kept, shipped
from bfncodec.runtime.jit import Kernel

FILES = Path(__file__).parents[1] / "benchmarks" / "demo_files"
SIDE, BYTES, FEW = 64, 3000, 200  # so few are corrected, not mixed
LONG = 5  # the level of a text so long that its mixer is read by a kernel which short ones do not need
LEVELS = (1, 5, 9)  # of compression: each has models of its own


def make_all() -> None:
    """Write the code of all levels that this processor has."""
    shutil.rmtree(shipped.FOLDER, ignore_errors=True)
    here = kept.processor()[1].split(",")
    for level in shipped.LEVELS:
        if not {f"+{feature}" for feature in level.features} <= set(here):
            print(f"{level.name}: not on this processor")
            continue
        with tempfile.TemporaryDirectory() as cache:
            features = ",".join(f"+{feature}" for feature in sorted(level.features))
            settings = {"NUMBA_CPU_NAME": level.processor, "NUMBA_CPU_FEATURES": features}
            switches = {"XDG_CACHE_HOME": cache, "BFNCODEC_JIT": "always"}
            command = [sys.executable, __file__, level.name]
            subprocess.run(command, env=os.environ | settings | switches, check=True)


def make(level: shipped.Level) -> None:
    """Write the code of one level, which Numba was told to compile for."""
    _work()
    written = 0
    kernels = [each for module in list(sys.modules.values()) for each in vars(module).values() if type(each) is Kernel]
    for kernel in kernels:
        place = shipped.place(level, kernel.function, kernel.since)
        if place is None:
            raise SystemExit("a source file was changed meanwhile: begin again")
        for kinds, found in kernel.found.items():
            place.mkdir(parents=True, exist_ok=True)
            kept.write(place, kept.symbol(kernel.function, kinds), found.code)
    for path in (shipped.FOLDER / level.name).glob("*/*"):
        path.chmod(0o644)
        written += path.stat().st_size
    print(f"{level.name}: {written:,} bytes")


def _work() -> None:
    """Code what needs all kernels that are shipped."""
    picture = Image.open(FILES / "coffee.png").convert("RGB").crop((0, 0, SIDE, SIDE))
    text = (FILES / "alice.txt").read_text()[:BYTES]
    for level in LEVELS:
        for data in (text, text[:FEW], picture, picture.convert("L")):
            bfncodec.decompress(bfncodec.compress(data, level=level, verify=False))
    bfncodec.decompress(bfncodec.compress((FILES / "alice.txt").read_text(), level=LONG, verify=False))


if __name__ == "__main__":
    named = [level for level in shipped.LEVELS if sys.argv[1:] == [level.name]]
    make(named[0]) if named else make_all()
