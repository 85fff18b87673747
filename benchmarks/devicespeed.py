"""Speeds of a device, and those of two threads of the CPU beside it: whole files, and batches of many items."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bfncodec
from benchmarks.demo import FILES
from benchmarks.samples import check
from bfncodec.networks.acceleration import CONVNET, TRANSFORMER

DOCS = Path(__file__).parents[1] / "docs"
CPU_THREADS = 2
PROFILED = 14  # operators that a profile shows


@dataclass(frozen=True)
class Case:
    """Items that a model codes in one call.

    encoded, decoded: for the device, which are few enough to be soon done; beside: for the CPU.
    """

    name: str
    model: str
    encoded: Sequence[Any]
    decoded: Sequence[Any]
    beside: Sequence[Any]


@dataclass(frozen=True)
class Speed:
    """KB/s of both directions."""

    encode: float
    decode: float


def cases(share: float) -> list[Case]:
    """Return what is measured. share: of the items and of what is in them, 1 for a GPU."""
    some = max(1, round(10 * share))
    whole, words = _mirrored(), _prose()
    photo = np.asarray(Image.open(FILES / "coffee.png").convert("RGB"))
    tiles = [whole[r : r + 32, c : c + 32] for r in range(0, 1184, 32) for c in range(0, 1760, 32)][: 200 * some]
    short = [words[k * 250 : k * 250 + 500] for k in range(100 * some)]
    longer = [words[k * 1000 : k * 1000 + 6000] for k in range(20 * some)]
    if share < 1:
        whole = photo = photo[: 16 * some, : 16 * some]
        words, longer, short, tiles = words[: 700 * some], longer[:2], short[:20], tiles[:20]
    return [
        Case("a text", "text", [words], [words], [words[:30_000]]),
        Case("texts of 500 bytes", "text", short, short, short[:200]),
        Case("texts of 6,000 bytes", "text", longer, longer, longer[:8]),
        Case("a photo", "photo", [whole], [photo], [photo]),
        Case("tiles of 32 x 32", "cifar10", tiles, tiles, tiles[:300]),
        Case("a text", "text-max", [words[:130_000]], [words[:65_000]], [words[:8_000]]),
        Case("a photo", "photo-max", [whole], [photo], [photo[:, :300]]),
    ]


def measure(device: str, wanted: Sequence[str], end: float, share: float) -> None:
    """Print the speeds of a device, then those of the CPU and how many times as fast the device is, row by row until
    the clock says `end`.
    """
    chosen = [case for case in cases(share) if case.model in wanted]
    found = [_row(case, bfncodec.load(case.model, device=device), case.encoded, case.decoded, end) for case in chosen]
    # Without kernels the CPU would be at its slowest.
    if not (TRANSFORMER.compiled() and CONVNET.compiled()):
        click.echo("no compiled kernels are kept here, and the CPU is not compared: let it code something large first")
        return
    for case, other in zip(chosen, found, strict=True):
        codec = bfncodec.load(case.model, device="cpu", threads=CPU_THREADS)
        own = _row(case, codec, case.beside, case.beside, end)
        if own and other:
            times = f"{other.encode / own.encode:.1f} times encoding, {other.decode / own.decode:.1f} decoding"
            click.echo(f"        {device} is as fast {times}")


def _row(case: Case, codec: Any, encoded: Sequence[Any], decoded: Sequence[Any], end: float) -> Speed | None:
    """Measure a case, unless the clock says `end`, and print a row of it."""
    start = time.monotonic()
    found, outcome = None, "left out"
    if start < end:
        try:
            found = speed(codec, encoded, decoded)
            outcome = f"{found.encode:,.1f} KB/s encoding, {found.decode:,.1f} decoding"
        except (bfncodec.BfncodecError, AssertionError, RuntimeError) as error:
            outcome = f"{type(error).__name__}: {error}".splitlines()[0]
    spent = time.monotonic() - start
    click.echo(f"{codec.device:6}  {case.model}: {case.name}: {outcome} ({spent:.1f} s)")
    return found


def speed(codec: Any, encoded: Sequence[Any], decoded: Sequence[Any]) -> Speed:
    """Return the speed of a codec on items, once it has coded a little. AssertionError where others come back."""
    little = [encoded[0][: 600 if codec.info.role == "text" else 64]] * min(len(encoded), 4)  # long enough for mixers
    codec.decode_batch(codec.encode_batch(little))
    start = time.perf_counter()
    payloads = codec.encode_batch(encoded)
    encode = _size(encoded) / (time.perf_counter() - start)
    if decoded is not encoded:
        payloads = codec.encode_batch(decoded)
    start = time.perf_counter()
    back = codec.decode_batch(payloads)
    decode = _size(decoded) / (time.perf_counter() - start)
    for found, item in zip(back, decoded, strict=True):
        check(np.frombuffer(found, np.uint8) if isinstance(found, bytes) else found, _values(item))
    return Speed(encode / 1e3, decode / 1e3)


def profile(device: str, wanted: Sequence[str], end: float) -> None:
    """Print the operators that take longest, of encoding and of decoding a text and a photo."""
    import torch

    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if device.startswith("cuda") else []
    photo = np.asarray(Image.open(FILES / "coffee.png").convert("RGB"))
    for name, x, short in (("text", _prose()[:50_000], _prose()[:300]), ("photo", photo, photo[:40, :60])):
        if name not in wanted:
            continue
        codec = bfncodec.load(name, device=device)
        payload = codec.encode(short)
        codec.decode(payload)
        works: list[tuple[str, Callable[[], Any]]] = [
            (f"encoding {len(x):,}", lambda codec=codec, x=x: codec.encode(x)),  # type: ignore[misc]
            (f"decoding {len(short):,}", lambda codec=codec, payload=payload: codec.decode(payload)),  # type: ignore[misc]
        ]
        for what, work in works:
            if time.monotonic() > end:
                return
            start = time.perf_counter()
            with torch.profiler.profile(activities=activities) as found:
                work()
            events = found.key_averages()
            key = "self_device_time_total" if device.startswith("cuda") else "self_cpu_time_total"
            calls, copies = sum(e.count for e in events), sum(e.count for e in events if "copy" in e.key.lower())
            spent = time.perf_counter() - start
            click.echo(f"\n{name}, {what}: {spent:.2f} s, {calls:,} calls, {copies:,} of them copies")
            click.echo(events.table(sort_by=key, row_limit=PROFILED, max_name_column_width=40))
            if device.startswith("cuda"):
                click.echo(events.table(sort_by="self_cpu_time_total", row_limit=PROFILED, max_name_column_width=40))


def _size(items: Sequence[Any]) -> int:
    return sum(_values(item).nbytes for item in items)


def _values(item: Any) -> NDArray[np.uint8]:
    return np.frombuffer(item, np.uint8) if isinstance(item, bytes) else np.asarray(item)


def _mirrored() -> NDArray[np.uint8]:
    """Nine of the demonstration's photo side by side, mirrored in turn, uint8 [1200, 1800, 3]."""
    photo = np.asarray(Image.open(FILES / "coffee.png").convert("RGB"))
    row = np.concatenate([photo, photo[:, ::-1], photo], 1)
    return np.concatenate([row, row[::-1], row])


def _prose() -> bytes:
    """The demonstration's text and the documentation."""
    return b"".join(path.read_bytes() for path in (FILES / "alice.txt", *sorted(DOCS.glob("*.md"))))
