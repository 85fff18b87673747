"""A matrix of environments, with the same bytes in and out of each: versions of torch, threads, instructions,
kernels, and what the program around has set torch to.

    python -m benchmarks.matrix                                     this Python, all rows
    python -m benchmarks.matrix --python OTHER/bin/python           another environment's rows too; may repeat
    python -m benchmarks.matrix -m text -m photo                    of these models only
    python -m benchmarks.matrix --only plain --only "4 threads"     these rows only

Every row is a process of its own, which codes a little with each model, there and back (benchmarks.samples). The first
row is the plain one; all others must give its bytes. Other environments need torch, numpy, constriction, pillow,
safetensors, click, and numba for the rows with kernels. Prints a table in Markdown; ends with status 1 where anything
differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.samples import coded, names

ROOT = Path(__file__).parents[1]
KERNELS = "BFNCODEC_JIT"
Digests = dict[str, str]


@dataclass(frozen=True)
class Setting:
    """A row: variables of the environment, threads, and what the program around does (a key of `AROUND`)."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    around: str = "nothing"


def capped(torch: str, mkl: str, onednn: str, numba: str, kernels: str = "never") -> dict[str, str]:
    """Variables that keep torch, its libraries and Numba from using newer instructions."""
    return {
        "ATEN_CPU_CAPABILITY": torch,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "NUMBA_CPU_NAME": numba,
        KERNELS: kernels,
    }


PLAIN = {KERNELS: "never"}
SETTINGS = (
    Setting("plain", PLAIN),
    Setting("2 threads", PLAIN, 2),
    Setting("4 threads", PLAIN, 4),
    Setting("compiled kernels", {KERNELS: "always"}),
    Setting("compiled kernels, 4 threads", {KERNELS: "always"}, 4),
    Setting("SSE4.1", capped("default", "SSE4_2", "SSE41", "nehalem")),
    Setting("SSE4.1, compiled kernels", capped("default", "SSE4_2", "SSE41", "nehalem", "always")),
    Setting("AVX2", capped("avx2", "AVX2", "AVX2", "haswell")),
    Setting("AVX2, compiled kernels", capped("avx2", "AVX2", "AVX2", "haswell", "always")),
    Setting("AVX-512", capped("avx512", "AVX512", "AVX512_CORE", "skylake-avx512")),
    Setting("AVX-512, compiled kernels", capped("avx512", "AVX512", "AVX512_CORE", "skylake-avx512", "always")),
    Setting("MKL for any processor", PLAIN | {"MKL_CBWR": "COMPATIBLE"}),
    Setting("oneDNN in bfloat16", PLAIN | {"DNNL_DEFAULT_FPMATH_MODE": "BF16", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}),
    Setting("default type float64", PLAIN, around="float64"),
    Setting("default type bfloat16", PLAIN, around="bfloat16"),
    Setting("default device meta", PLAIN, around="device"),
    Setting("autocast", PLAIN, around="autocast"),
    Setting("products in bfloat16", PLAIN, around="medium"),
    Setting("denormals off", PLAIN, around="denormals"),
    Setting("denormals off, compiled kernels", {KERNELS: "always"}, around="denormals"),
    Setting("deterministic algorithms", PLAIN, around="deterministic"),
    Setting("inference mode", PLAIN, around="inference"),
)


@click.group(invoke_without_command=True, help=__doc__)
@click.option("--python", "pythons", multiple=True, help="Of another environment; may repeat.")
@click.option("-m", "--model", "models", multiple=True, help="Only these models; may repeat.  [default: all]")
@click.option("--only", multiple=True, help="Only these rows; may repeat.")
@click.pass_context
def main(context: click.Context, pythons: tuple[str, ...], models: tuple[str, ...], only: tuple[str, ...]) -> None:
    if context.invoked_subcommand is not None:
        return
    wanted = models or tuple(names())
    rows: list[list[str]] = []
    first: Digests | None = None
    for python in (sys.executable, *pythons):
        for setting in SETTINGS:
            if only and setting.name not in only:
                continue
            found, machine = _run(python, setting, wanted)
            first = found if first is None else first
            rows.append([machine, setting.name, str(setting.threads), _verdict(found, first)])
            click.echo(" | ".join(rows[-1]), err=True)
    for cells in (["environment", "setting", "threads", f"{len(wanted)} models"], ["---"] * 4, *rows):
        click.echo(f"| {' | '.join(cells)} |")
    sys.exit(any(row[-1] != "same" for row in rows))


def _verdict(found: Digests, first: Digests) -> str:
    wrong = [name for name in first if found.get(name) != first[name]]
    return "same" if not wrong else "other: " + ", ".join(f"{name} ({found.get(name, 'none')[:60]})" for name in wrong)


def _run(python: str, setting: Setting, models: tuple[str, ...]) -> tuple[Digests, str]:
    """Return what a process says: digests by model, and what it runs on."""
    environment = os.environ | setting.environment | {"PYTHONPATH": str(ROOT)}
    command = [python, "-m", "benchmarks.matrix", "row", setting.around, str(setting.threads), *models]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        return dict.fromkeys(models, f"status {done.returncode}"), Path(python).parents[1].name
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said["digests"], said["machine"]


@main.command(hidden=True)
@click.argument("around")
@click.argument("threads", type=int)
@click.argument("models", nargs=-1)
def row(around: str, threads: int, models: tuple[str, ...]) -> None:
    """Be a row's process."""
    import numpy as np
    import torch

    import bfncodec

    with AROUND[around]():
        digests = {}
        for name in models:
            try:
                digests[name] = hashlib.sha256(coded(bfncodec.load(name, threads=threads))).hexdigest()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the row's result
                digests[name] = f"{type(error).__name__}: {error}"
    machine = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    click.echo(json.dumps({"digests": digests, "machine": machine}))


# ---- what a program around may have set ---------------------------------------------------------


@contextmanager
def _set(put: Callable[[Any], Any], value: Any, after: Any) -> Iterator[None]:
    put(value)
    try:
        yield
    finally:
        put(after)


def _torch() -> Any:
    import torch

    return torch


AROUND: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "nothing": nullcontext,
    "float64": lambda: _set(_torch().set_default_dtype, _torch().float64, _torch().float32),
    "bfloat16": lambda: _set(_torch().set_default_dtype, _torch().bfloat16, _torch().float32),
    "device": lambda: _torch().device("meta"),
    "autocast": lambda: _torch().autocast("cpu", dtype=_torch().bfloat16),
    "medium": lambda: _set(_torch().set_float32_matmul_precision, "medium", "highest"),
    "denormals": lambda: _set(_torch().set_flush_denormal, True, False),
    "deterministic": lambda: _set(_torch().use_deterministic_algorithms, True, False),
    "inference": lambda: _torch().inference_mode(),
}


if __name__ == "__main__":
    main()
