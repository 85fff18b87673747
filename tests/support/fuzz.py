"""Fuzzing: forged files and models, what becomes of them, and how much of the library that tried.

    PYTHONPATH=tests python -m support.fuzz --cases 100000 --seed 1

A case is a small file of any kind, or a model directory, with some of its parts changed and all lengths and checksums
made right again (:mod:`support.forge`). It must end in a content or in an error of :mod:`bfncodec.errors`, soon, and
without taking more memory than the limits it is given allow. Files that reach lines of the library that none before
did are kept and changed further. The same seed makes the same cases.
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
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

import bfncodec
from bfncodec.api import describe
from bfncodec.errors import BfncodecError
from bfncodec.files.data import decode_data
from bfncodec.files.options import Options
from bfncodec.format.limits import Limits
from support import forge
from support.specimens import CODECS, specimens

PACKAGE = str(Path(bfncodec.__file__).parent) + os.sep
SECONDS = 10.0  # of processor time that a case may take
ROOM = 1 << 30  # bytes of address space that all cases together may take beyond what is taken at first
LIMITS = Limits(pixels=1 << 22, memory=1 << 27, output=1 << 26)
_MODELS = 0.01  # of the cases: they take fifty times as long


class Hang(BaseException):
    """A case took too long."""


# ---- one case ---------------------------------------------------------------------------------


def decompress(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, limits=LIMITS)


def salvage(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, limits=LIMITS, on_damage=lambda damage: None)


def crop(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, limits=LIMITS, crop=(rng.randrange(3), rng.randrange(3), 1, 2))


def line(blob: bytes, rng: Random) -> None:
    bfncodec.decompress(blob, codecs=CODECS, limits=LIMITS, line=(1, rng.randrange(1, 4)))


def preview(blob: bytes, rng: Random) -> None:
    bfncodec.preview(blob, codecs=CODECS, limits=LIMITS)


def to_file(blob: bytes, rng: Random) -> None:
    decode_data(blob, Options(limits=LIMITS), CODECS)


def look(blob: bytes, rng: Random) -> None:
    describe(blob)


Use = Callable[[bytes, Random], None]
USES: tuple[Use, ...] = (decompress, decompress, to_file, to_file, salvage, crop, line, preview, look)


@dataclass(frozen=True)
class Outcome:
    """The end of a case: with which error, "none" without; and the traceback of one that may not be."""

    use: str
    error: str
    fault: str = ""


def outcome_of(use: str, work: Callable[[], object]) -> Outcome:
    """Do the work of a case, with an eye on the processor's clock."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        work()
    except BfncodecError as error:
        return Outcome(use, type(error).__name__)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(use, type(error).__name__, "".join(traceback.format_exception(error)))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(use, "none")


def use_file(blob: bytes, rng: Random) -> Outcome:
    """Use a file in one way; mostly with the checksums of its segments taken to be right, as a forger makes them."""
    use, forged = rng.choice(USES), rng.random() < 0.7

    def work() -> None:
        if not forged:
            use(blob, rng)
            return
        with forge.accepting():
            use(blob, rng)

    return outcome_of(use.__name__, work)


def use_model(folder: Path, rng: Random) -> Outcome:
    """Write a forged model and use it."""
    from support import fuzz_models

    fuzz_models.forge_model(rng, folder)
    return outcome_of("model", partial(fuzz_models.use_model, folder))


# ---- which lines were reached -----------------------------------------------------------------


class Coverage:
    """The lines of the library that were run. A function of which all are known is not followed any more."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._left: dict[CodeType, set[int]] = {}

    def run(self, work: Callable[[], Outcome]) -> tuple[Outcome, bool]:
        """Return what work returns, and whether it reached a new line."""
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
    """The ends of some cases. faults: by where they were raised, the case's number, its file, and the traceback."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)
    lines: int = 0
    kept: int = 0
    seconds: float = 0.0

    def add(self, case: int, outcome: Outcome, blob: bytes) -> None:
        self.ends[outcome.error] += 1
        if outcome.fault:
            where = [
                text.strip() for text in outcome.fault.splitlines() if text.lstrip().startswith(f'File "{PACKAGE}')
            ]
            self.faults.setdefault(f"{outcome.error} {where[-1:]}", (case, blob, outcome.fault))


def fuzz(cases: int, seed: int, models: bool = True) -> Report:
    """Try so many cases."""
    rng, coverage, report = Random(seed), Coverage(), Report()
    corpus, began = list(specimens().values()), time.process_time()
    with TemporaryDirectory() as folder:
        for case in range(cases):
            if models and rng.random() < _MODELS:
                report.add(case, use_model(Path(folder), rng), b"")
                continue
            blob = forge.mutated(rng.choice(corpus[-40:] if rng.random() < 0.5 else corpus), rng, corpus)
            outcome, new = coverage.run(partial(use_file, blob, rng))
            report.add(case, outcome, blob)
            if new and len(blob) < 1 << 14:
                corpus.append(blob)
    report.lines, report.kept = len(coverage.lines), len(corpus)
    report.seconds = time.process_time() - began
    return report


def guard() -> None:
    """A signal for cases that take too long, and an end of memory."""

    def hang(number: int, frame: object) -> None:
        raise Hang(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGPROF, hang)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-models", action="store_true", help="files only: twice as fast")
    parser.add_argument("--keep", type=Path, help="folder for what failed")
    given = parser.parse_args()
    os.environ.setdefault("BFNCODEC_JIT", "never")
    specimens()
    if not given.no_models:
        import torch

        from support import fuzz_models

        torch.set_num_threads(1)
        fuzz_models.model_folders()
    guard()
    report = fuzz(given.cases, given.seed, not given.no_models)
    for key, (case, blob, fault) in report.faults.items():
        print(f"case {case}: {key}")
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"{given.seed}-{case}.bfn").write_bytes(blob)
            (given.keep / f"{given.seed}-{case}.txt").write_text(fault)
    print(
        f"{given.cases} cases, seed {given.seed}: {len(report.faults)} faults; {dict(report.ends.most_common())}; "
        f"{report.lines} lines of the library by {report.kept} files; {report.seconds:.0f} s of processor time"
    )
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
