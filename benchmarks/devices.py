"""Comparison of a device with the CPU: whether it computes the same, model by model, and how fast.

Two minutes of a GPU are enough.

    python -m benchmarks.devices                  on CUDA
    python -m benchmarks.devices --device cpu     the CPU against itself
    python -m benchmarks.devices -m text -m photo --seconds 20

On the device, every golden file and payload in tests/golden is decoded, and what it holds encoded again; of every model
that ships a little is coded, which must give the CPU's bytes. Then a photo and a text are coded for the speeds. What
does not fit into --seconds is left out, and said to be. Ends with status 1 where anything differs.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

import bfncodec
from benchmarks.samples import check, coded, names, photo, text
from benchmarks.tables import table

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
LETTERS = 40_000  # of the text that speeds are measured with


@dataclass(frozen=True)
class Found:
    """Outcome of one check: "same", or what is wrong."""

    what: str
    outcome: str
    seconds: float


@click.command(help=__doc__)
@click.option("--device", default="cuda", show_default=True)
@click.option("-m", "--model", "models", multiple=True, help="Only these models; may repeat.  [default: all]")
@click.option("--seconds", default=110.0, show_default=True, help="Begin nothing new after so long.")
@click.option("--no-speed", is_flag=True, help="Leave the speeds out.")
@click.option(
    "--side", default=384, show_default=True, help="Side in pixels of the photo that speeds are measured with."
)
def main(device: str, models: tuple[str, ...], seconds: float, no_speed: bool, side: int) -> None:
    import torch

    end, wanted = time.monotonic() + seconds, models or tuple(names())
    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else "the CPU"
    click.echo(f"{where}, torch {torch.__version__}\n")
    # What is quick comes first.
    checks = sorted(_checks(device, wanted), key=lambda pair: "payload" in pair[0])
    found = [_outcome(what, work, end) for what, work in checks]
    click.echo(table(["what", "outcome", "seconds"], [[f.what, f.outcome, f"{f.seconds:.2f}"] for f in found]))
    if not no_speed:
        rows = [row for name in wanted if time.monotonic() < end for row in _speed(name, device, side)]
        click.echo("\n" + table(["model", "bytes", "packed", "encode KB/s", "decode KB/s"], rows))
    wrong = [f.what for f in found if f.outcome not in ("same", "left out")]
    click.echo(f"\n{len(found)} checks, {len(wrong)} wrong{': ' + ', '.join(wrong) if wrong else ''}")
    sys.exit(bool(wrong))


def _outcome(what: str, work: Callable[[], None], end: float) -> Found:
    start = time.monotonic()
    if start > end:
        return Found(what, "left out", 0.0)
    try:
        work()
        outcome = "same"
    except (bfncodec.BfncodecError, AssertionError, RuntimeError) as error:
        outcome = f"{type(error).__name__}: {error}".splitlines()[0]
    return Found(what, outcome, time.monotonic() - start)


def _checks(device: str, wanted: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and work of each check; the work raises where something differs."""
    loaded = {name: bfncodec.load(name, device=device) for name in wanted}
    for name, codec in loaded.items():
        yield (
            f"{name}: a little of it, as the CPU writes it",
            lambda codec=codec, name=name: check(  # type: ignore[misc]
                np.frombuffer(coded(codec), np.uint8), np.frombuffer(coded(bfncodec.load(name)), np.uint8)
            ),
        )
    golden, known = _golden(), {codec.info.id.hex() for codec in loaded.values()}
    for name, content in golden.originals().items():
        blob = (GOLDEN / f"{name}.bfn").read_bytes()
        if set(bfncodec.describe(blob).models) <= known:
            yield (
                f"golden file {name}",
                lambda blob=blob, content=content: check(  # type: ignore[misc]
                    bfncodec.decompress(blob, device=device), content
                ),
            )
    for name, content in golden.archives().items():
        if name in wanted:
            payload = (GOLDEN / f"{name}.payload").read_bytes()
            yield f"golden payload {name}", lambda codec=loaded[name], p=payload, x=content: _both(codec, p, x)  # type: ignore[misc]


def _both(codec: Any, payload: bytes, content: bytes) -> None:
    """Decode a payload, and encode what it holds as the CPU does."""
    check(np.frombuffer(codec.decode(payload), np.uint8), np.frombuffer(content, np.uint8))
    written = bfncodec.load(codec.info).encode(content)
    check(np.frombuffer(codec.encode(content), np.uint8), np.frombuffer(written, np.uint8))


def _speed(name: str, device: str, side: int) -> Iterator[list[str]]:
    """Rows of a model of pictures or texts: the second of two runs counts, as the first loads what is needed."""
    codec = bfncodec.load(name, device=device)
    if codec.info.role == "archive":
        return
    x: Any = photo(side) if codec.info.role == "image" else text(LETTERS)
    size = x.nbytes if isinstance(x, np.ndarray) else len(x)
    codec.decode(codec.encode(x[: side // 8]))
    start = time.perf_counter()
    payload = codec.encode(x)
    middle = time.perf_counter()
    check(codec.decode(payload), x)
    rates = [size / spent / 1e3 for spent in (middle - start, time.perf_counter() - middle)]
    yield [name, f"{size:,}", f"{len(payload):,}", *(f"{rate:,.1f}" for rate in rates)]


def _golden() -> ModuleType:
    """The module that knows what the golden files hold."""
    spec = importlib.util.spec_from_file_location("golden", GOLDEN / "make_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
