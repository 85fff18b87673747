"""Time and peak memory of processes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")

RESIDENT = 1 if sys.platform == "darwin" else 1024  # bytes in the unit systems count resident memory by

# A process is started by a small one of its own: until it runs, Linux counts its parent's memory.
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Cost:
    """One process."""

    seconds: float
    peak: int  # bytes resident at most


def cost(command: Sequence[str], repeat: int) -> Cost:
    """Run a command several times; its least time and least peak memory. Raises ClickException where it fails."""
    runs = [_run(command) for _ in range(repeat)]
    return Cost(min(run.seconds for run in runs), min(run.peak for run in runs))


def _run(command: Sequence[str]) -> Cost:
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    # A program that is installed has its modules' bytecode.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    report = subprocess.run(launcher, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    seconds, peak, code = (float(word) for word in report.split())
    if code:
        raise click.ClickException(f"failed: {' '.join(command)}")
    return Cost(seconds, int(peak) * RESIDENT)


def alone(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call a function in a new process, whose memory nothing else shares. Everything given must pickle."""
    # A fork of a small server: like programs, spawned processes are counted their parent's memory on Linux.
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(function, *arguments, **named).result()


def own_peak() -> int:
    """Bytes of memory that this process and the programs it ran held at most."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * RESIDENT
