"""Fuzzing: forged files, what becomes of them, and which parts of the library that tried.

    python tests/fuzz.py --cases 100000 --seed 1

Every case is a small file, or a model directory, with some of its parts changed and all lengths and checksums made
right again (:mod:`forge`). It must end in a content or in an error of :mod:`bfncodec.errors`, soon, and without taking
more memory than it declares. Files that reach lines of the library that none before did are kept and changed further.
The same seed makes the same cases.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import Any

import forge
from specimens import CODECS, specimens

import bfncodec
from bfncodec.api import describe
from bfncodec.errors import BfncodecError
from bfncodec.files import Options, decode_data

PACKAGE = str(Path(bfncodec.__file__).parent) + os.sep
SECONDS = 5.0  # that a case may take
ROOM = 1 << 30  # bytes of address space beyond what is taken at first


class Hang(BaseException):
    """A case took too long."""


# ---- one case ---------------------------------------------------------------------------------


def decompress(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS)


def salvage(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, on_damage=lambda damage: None)


def crop(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, crop=(rng.randrange(3), rng.randrange(3), 1, 2))


def line(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, line=(1, rng.randrange(1, 4)))


def preview(blob: bytes, rng: Random) -> None:
    bfncodec.preview(blob, codecs=CODECS)


def to_file(blob: bytes, rng: Random) -> None:
    decode_data(blob, Options(), CODECS)


def look(blob: bytes, rng: Random) -> None:
    describe(blob)


USES: tuple[Callable[[bytes, Random], None], ...] = (
    decompress,
    decompress,
    to_file,
    to_file,
    salvage,
    crop,
    line,
    preview,
    look,
)


@dataclass
class Outcome:
    """How a case ended: with an error, which, or without; what is wrong with that, if anything."""

    use: str
    error: str
    fault: str = ""


def run_case(blob: bytes, rng: Random, forged: bool) -> Outcome:
    """Use a file in one way. forged: take the checksums of its segments to be right."""
    use = rng.choice(USES)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        if forged:
            with forge.accepting():
                use(blob, rng)
        else:
            use(blob, rng)
    except BfncodecError as error:
        return Outcome(use.__name__, type(error).__name__)
    except (Exception, Hang) as error:  # noqa: BLE001 - what may not be
        return Outcome(use.__name__, type(error).__name__, "".join(traceback.format_exception(error)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Outcome(use.__name__, "none")


# ---- which lines were reached -----------------------------------------------------------------


class Coverage:
    """The lines of the library that were run. What is known of a function wholly is not followed any more."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._left: dict[CodeType, set[int]] = {}

    def run(self, work: Callable[[], Any]) -> tuple[Any, bool]:
        """What work returns, and whether it reached a new line."""
        before = len(self.lines)
        sys.settrace(self._enter)
        try:
            made = work()
        finally:
            sys.settrace(None)
        return made, len(self.lines) > before

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        left = self._left.get(code)
        if left is None:
            ours = code.co_filename.startswith(PACKAGE)
            left = self._left[code] = {line for *_, line in code.co_lines() if line is not None} if ours else set()
        return self._follow if left else None

    def _follow(self, frame: FrameType, event: str, argument: object) -> Any:
        left = self._left[frame.f_code]
        if frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._follow


# ---- many cases -------------------------------------------------------------------------------


@dataclass
class Report:
    cases: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    lines: int = 0
    corpus: int = 0
    seconds: float = 0.0
    peak: int = 0


def fuzz(cases: int, seed: int, say: Callable[[str], None] = lambda line: None) -> Report:
    rng, coverage, report = Random(seed), Coverage(), Report()
    corpus = list(specimens().values())
    began = time.process_time()
    for case in range(cases):
        parent = rng.choice(corpus[-40:] if rng.random() < 0.5 else corpus)
        blob = forge.mutated(parent, rng, corpus)
        forged = rng.random() < 0.7
        outcome, new = coverage.run(partial(run_case, blob, rng, forged))
        report.ends[outcome.error] += 1
        if outcome.fault:
            where = outcome.fault.strip().splitlines()
            key = "|".join(
                [outcome.error, *[w.strip() for w in where if w.lstrip().startswith("File") and PACKAGE in w][-1:]]
            )
            if key not in report.faults:
                report.faults[key] = blob, outcome.fault
                say(f"case {case} {outcome.use}: {key}")
        if new and len(blob) < 1 << 14:
            corpus.append(blob)
    report.cases, report.lines, report.corpus = cases, len(coverage.lines), len(corpus)
    report.seconds = time.process_time() - began
    report.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return report


def _hang(number: int, frame: object) -> None:
    raise Hang(f"more than {SECONDS} seconds")


def bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    given = parser.parse_args()
    specimens()
    signal.signal(signal.SIGALRM, _hang)
    bound_memory()
    report = fuzz(given.cases, given.seed, print)
    print(
        f"{report.cases} cases, seed {given.seed}, {report.seconds:.0f} s, {report.lines} lines, "
        f"{report.corpus} files kept, "
        f"{report.peak // 1024} MiB, {dict(report.ends.most_common())}, {len(report.faults)} faults"
    )
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        for n, (key, (blob, fault)) in enumerate(report.faults.items()):
            (given.keep / f"{n}.bfn").write_bytes(blob)
            (given.keep / f"{n}.txt").write_text(key + "\n" + fault)
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
