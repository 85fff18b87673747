"""Comparison of a device with the CPU: whether it computes the same, model by model, and how fast.

Two minutes of a GPU are enough.

    python -m benchmarks.devices                              on CUDA
    python -m benchmarks.devices --device cpu --share 0.01    the CPU against itself
    python -m benchmarks.devices --no-speed --seconds 50      whether it computes the same
    python -m benchmarks.devices --no-checks --profile        how fast it is, and what takes its time

On the device, a little of every model that ships and some items side by side are coded, which must give the CPU's
bytes; every golden file and payload in tests/golden is decoded, and what payloads hold encoded again. Then whole files
and batches of many items are coded for the speeds, beside two threads of the CPU where its kernels are compiled. What
does not fit into --seconds is left out, and said to be; every line is printed as soon as it is known. Ends with status
1 where anything differs.
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
from benchmarks import devicespeed
from benchmarks.samples import check, coded, names, photo, text

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
FIRST = ("as the CPU", "side by side", "several_models", "text27", "mnist", "cifar10-gaussian", "golden")
"""Parts of the names of checks that come first: the rest was seen to be the same on a GPU before."""


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
@click.option("--no-checks", is_flag=True, help="Leave out whether it computes the same.")
@click.option("--no-speed", is_flag=True, help="Leave the speeds out.")
@click.option("--profile", "profiled", is_flag=True, help="Show the operators that take longest.")
@click.option("--share", default=1.0, show_default=True, help="Share of what speeds are measured with.")
def main(
    device: str, models: tuple[str, ...], seconds: float, no_checks: bool, no_speed: bool, profiled: bool, share: float
) -> None:
    import torch

    end, wanted = time.monotonic() + seconds, models or tuple(names())
    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else "the CPU"
    click.echo(f"{where}, torch {torch.__version__}\n")
    found = [] if no_checks else [_checked(*each, end) for each in sorted(_checks(device, wanted), key=_turn)]
    if not no_speed:
        devicespeed.measure(device, wanted, end, share)
    if profiled:
        devicespeed.profile(device, wanted, end)
    wrong = [f.what for f in found if f.outcome not in ("same", "left out")]
    click.echo(f"\n{len(found)} checks, {len(wrong)} wrong{': ' + ', '.join(wrong) if wrong else ''}")
    sys.exit(bool(wrong))


def _turn(check: tuple[str, Callable[[], None]]) -> int:
    """Place of a check among all by its name."""
    last = len(FIRST)
    return last if "on a stack" in check[0] else next((k for k, part in enumerate(FIRST) if part in check[0]), last)


def _checked(what: str, work: Callable[[], None], end: float) -> Found:
    """Outcome of a check, which is printed."""
    found = _outcome(what, work, end)
    click.echo(f"{found.outcome:10}  {found.what} ({found.seconds:.2f} s)")
    return found


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
            f"{name}: a little on a stack" if codec.info.role == "archive" else f"{name}: a little, as the CPU",
            lambda codec=codec, name=name: check(  # type: ignore[misc]
                np.frombuffer(coded(codec), np.uint8), np.frombuffer(coded(bfncodec.load(name)), np.uint8)
            ),
        )
        if codec.info.role != "archive":
            yield f"{name}: items side by side", lambda codec=codec: _side_by_side(codec)  # type: ignore[misc]
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
            codec = loaded[name]
            yield f"golden payload {name}", lambda codec=codec, p=payload, x=content: _decodes(codec, p, x)  # type: ignore[misc]
            yield f"{name}: encoding that", lambda codec=codec, p=payload, x=content: _encodes(codec, p, x)  # type: ignore[misc]


def _side_by_side(codec: Any) -> None:
    """Code items of several sizes in one call, as the CPU does: of those sizes for which a device works otherwise."""
    xs: list[Any] = [photo(48), photo(33)[:20], photo(17)]
    if codec.info.role == "text":
        xs = [text(size) for size in (1500, 800, 400, 300, 45, 1)]
    payloads = codec.encode_batch(xs)
    for found, wanted in zip(payloads, bfncodec.load(codec.info).encode_batch(xs), strict=True):
        check(np.frombuffer(found, np.uint8), np.frombuffer(wanted, np.uint8))
    for back, x in zip(codec.decode_batch(payloads), xs, strict=True):
        check(np.frombuffer(back, np.uint8) if isinstance(back, bytes) else back, _values(x))


def _values(x: Any) -> Any:
    return np.frombuffer(x, np.uint8) if isinstance(x, bytes) else x


def _decodes(codec: Any, payload: bytes, content: bytes) -> None:
    """Decode a payload."""
    check(np.frombuffer(codec.decode(payload), np.uint8), np.frombuffer(content, np.uint8))


def _encodes(codec: Any, payload: bytes, content: bytes) -> None:
    """Encode what a payload holds as the CPU does: mostly that is the payload."""
    found = codec.encode(content)
    if found != payload:
        written = bfncodec.load(codec.info).encode(content)
        check(np.frombuffer(found, np.uint8), np.frombuffer(written, np.uint8))


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
