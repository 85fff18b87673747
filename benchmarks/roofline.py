"""Share of what this machine can do that encoding and decoding reach, and where the rest goes.

    python -m benchmarks.roofline --json roofline.json --plot roofline.png
    python -m benchmarks.roofline --text TEXT --photo PHOTO --level 5 --threads 1
    python -m benchmarks.roofline --quick

First the peak: multiplications of int8 a second, the most that our kernels or torch's do in any layer of our networks
with vector instructions (shares are of it, whatever the processor has besides), and with all there are, which where
there are tile registers (AMX) is a multiple of it; and copying of memory. It is measured before all else and again
behind it, and the larger counts.
Then each level codes a text and a photo in this process, compiled and loaded before. "of the peak" is the networks'
multiplications (`benchmarks.peaks.multiplications`) a second against it. Stages are shares of the time of all threads:
calls are timed where they stand, but products and attention, which are measured alone on the same shapes; "norms" is
what remains of the network: norms, activations, scales, tables. Where kernels call each other nothing can be timed, so
then calls are timed as Python makes them, and "hand-over" is what is left of the time that it takes without. Last the
seconds of whole processes for files so small that they are start-up alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import peaks, stages
from benchmarks.demo import FILES, read_pixels
from benchmarks.processes import cost
from benchmarks.tables import table
from bfncodec import models
from bfncodec.codecs.loading import load
from bfncodec.runtime.threads import threads_here

ROLES = {"text": "text", "photo": "image"}
LIKE_OURS = {16: "AVX512_CORE_VNNI", 8: "AVX2_VNNI", 0: "AVX2"}  # what torch may use, by the lanes of our kernels
PRODUCTS, ATTENTION, NORMS = "products", "attention", "norms"
ORDER = (
    *(PRODUCTS, ATTENTION, NORMS),
    *(stages.HEADS, stages.DISTRIBUTIONS, stages.READING, stages.MIXER, stages.CODER),
)
COLORS = ("#c2410c", "#f59e0b", "#fcd34d", "#7f1d1d", "#2563eb", "#0ea5e9", "#16a34a", "#9333ea", "#94a3b8")


@dataclass(frozen=True)
class Peak:
    """Peaks of the machine. All a second; products: multiplications by layer of our networks.

    kernel, ours: our fastest kernel; vector: the fastest of vector instructions, which is the same but on processors
    with tile registers; torch: with the same instructions as that.
    """

    threads: int
    kernel: str
    ours: dict[str, float]
    vector: dict[str, float]
    torch: dict[str, float]
    torch_with_all: dict[str, float]
    copied: float  # bytes

    @property
    def multiplications(self) -> float:
        """Return the peak that shares are of, that of vector instructions."""
        return max((*self.vector.values(), *self.torch.values()))

    def or_more(self, other: Peak) -> Peak:
        """Return the larger of two figures everywhere: what a machine does varies where others share its processors."""
        mine, others = (asdict(peak) for peak in (self, other))
        larger = {name: _larger(value, others[name]) for name, value in mine.items()}
        return Peak(**larger)

    @property
    def with_all(self) -> float:
        """Return the peak with all instructions that there are."""
        return max((self.multiplications, *self.ours.values(), *self.torch_with_all.values()))


def _larger(value: Any, other: Any) -> Any:
    """Return the larger of two numbers, or each of two tables of numbers; what is no number is the same in both."""
    if isinstance(value, dict):
        return {name: max(each, other[name]) for name, each in value.items()}
    return max(value, other)


@dataclass(frozen=True)
class Reached:
    """One direction of one level. rate: raw bytes a second; of_peak and stages: shares."""

    kind: str
    level: int
    model: str
    direction: str
    size: int
    rate: float
    each: int  # multiplications a byte or pixel
    of_peak: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Effort:
    """Effort of measuring: seconds of each product, times that files are coded, whether torch is with all it has."""

    seconds: float
    repeat: int
    every: bool


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.option("--text", type=click.Path(exists=True, path_type=Path), default=FILES / "alice.txt")
@click.option("--photo", type=click.Path(exists=True, path_type=Path), default=FILES / "coffee.png")
@click.option(
    "--bytes", "size", default=1_000_000, show_default=True, help="Of the text, repeated where it is shorter."
)
@click.option("--level", "levels", type=click.IntRange(1, 9), multiple=True, default=(1, 5, 9), show_default=True)
@click.option("--threads", type=click.IntRange(1), default=None, help="As many as there are processors.")
@click.option("--quick", is_flag=True, help="Small files, once: a minute, and figures that are rough.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the stages (needs matplotlib).")
def main(
    text: Path,
    photo: Path,
    size: int,
    levels: Sequence[int],
    threads: int | None,
    quick: bool,
    json_path: Path | None,
    plot: Path | None,
) -> None:
    effort = Effort(0.01, 1, False) if quick else Effort(1.0, 3, True)
    count, pixels = threads or threads_here(), read_pixels(photo)
    whole = text.read_bytes()
    words = (whole * (size // len(whole) + 1))[: 6_000 if quick else size]
    items: dict[str, Any] = {"text": words, "photo": np.ascontiguousarray(pixels[:64, :64] if quick else pixels)}
    codecs = {(kind, level): _codec(kind, level, count) for kind in items for level in levels}
    peak = peak_of(codecs, count, effort)
    _print_peak(peak)
    found = []
    for (kind, level), codec in codecs.items():
        found += reached(codec, kind, level, items[kind], peak, effort)
        click.echo(_table(found[-2:]) + "\n")
    if not quick:
        before, peak = peak, peak.or_more(peak_of(codecs, count, effort))
        found = [replace(row, of_peak=row.of_peak * before.multiplications / peak.multiplications) for row in found]
        click.echo(f"the larger of the peaks before and behind:{_summary(peak)}")
        click.echo(_table([replace(row, stages={}) for row in found]) + "\n")
    starting = {} if quick else start_up(words, pixels, levels)
    click.echo(table(["whole processes, seconds", "compress", "decompress"], _seconds(starting)) if starting else "")
    if json_path is not None:
        every = {"peak": asdict(peak), "reached": [asdict(row) for row in found], "start-up": starting}
        json_path.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
    if plot is not None:
        draw(plot, found)


def _codec(kind: str, level: int, threads: int) -> Any:
    return load(models.default(ROLES[kind], level), threads=threads)


def peak_of(codecs: dict[tuple[str, int], Any], threads: int, effort: Effort) -> Peak:
    """Measure the machine on the layers of the networks of some codecs."""
    from bfncodec.networks.kernels import SIMD_LANES, TILES, available, fastest

    linears, shapes = {}, {}
    for codec in codecs.values():
        for name, layer in peaks.layers(codec.network.weights):
            inner, columns = layer.weight.shape
            key = f"{codec.info.name} {name} {inner} x {columns}"
            linears[key], shapes[key] = layer, (peaks.ROWS, inner, -(-columns // 8) * 8)
    kernel, vector = fastest(), next(kernel for kernel in available() if kernel is not TILES)
    ours = peaks.our_products(linears, kernel, threads, effort.seconds)
    return Peak(
        threads,
        kernel.name,
        ours,
        ours if vector is kernel else peaks.our_products(linears, vector, threads, effort.seconds),
        peaks.torch_products(shapes, threads, effort.seconds, LIKE_OURS[SIMD_LANES]),
        peaks.torch_products(shapes, threads, effort.seconds) if effort.every else {},
        peaks.bandwidth(threads, effort.seconds),
    )


def reached(codec: Any, kind: str, level: int, item: Any, peak: Peak, effort: Effort) -> list[Reached]:
    """Encode and decode an item, the best of some times each, and tell where the time went."""
    raw = len(item) if kind == "text" else item.nbytes
    units = raw if kind == "text" else raw // 3
    steps = codec.schedule(raw).n_steps if kind == "text" else 1
    products, attention = peaks.multiplications(codec.network.weights, steps)
    payload = codec.encode(item)  # and everything is compiled
    each = products + attention
    rows = []
    for encoding in (True, False):
        seconds, watch = _best(
            codec, (lambda: codec.encode(item)) if encoding else (lambda: codec.decode(payload)), effort
        )
        alone = {PRODUCTS: units * _product_seconds(codec, peak)}
        if attention:
            streams = codec.schedule(raw).streams
            alone[ATTENTION] = units * stages.attention_seconds(
                codec.network.compiled, streams, steps, peak.threads, encoding
            )
        part, name = (stages.READING,) * 2 if watch.seconds[stages.READING] else (stages.NETWORK, NORMS)
        watch.seconds[name] = max(0.0, watch.seconds[part] - sum(alone.values()))
        watch.seconds.update(alone)
        share = each * units / seconds / peak.multiplications
        parts = stages.shares(watch, seconds, peak.threads, ORDER)
        direction = "encode" if encoding else "decode"
        rows.append(Reached(kind, level, codec.info.name, direction, raw, raw / seconds, each, share, parts))
    return rows


def _best(codec: Any, work: Callable[[], Any], effort: Effort) -> tuple[float, stages.Stopwatch]:
    """Return the least seconds, and the stages of as many other times: watching makes steps of texts longer."""
    alone, runs = [], []
    for _ in range(effort.repeat):
        alone.append(_seconds_of(work))
        with stages.watched(codec) as watch:
            runs.append((_seconds_of(work), watch))
    return min(alone), min(runs, key=lambda run: run[0])[1]


def _seconds_of(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _product_seconds(codec: Any, peak: Peak) -> float:
    """Return the seconds that a thread takes for the products of a byte or pixel, heads of pictures left out."""
    total = 0.0
    for name, layer in peaks.layers(codec.network.weights):
        inner, columns = layer.weight.shape
        if name != "heads":
            total += layer.weight.size / peak.ours[f"{codec.info.name} {name} {inner} x {columns}"]
    return total * peak.threads


def start_up(text: bytes, pixels: Any, levels: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Return the seconds of whole processes that compress and decompress 1 KB of text and 100 x 100 pixels."""
    from PIL import Image

    found = {}
    with tempfile.TemporaryDirectory() as name:
        files = (Path(name) / "1 KB of text.txt", Path(name) / "100 x 100 pixels.ppm")
        files[0].write_bytes(text[:1000])
        Image.fromarray(pixels[:100, :100]).save(files[1])
        for file in files:
            for level in levels:
                packed, back = file.with_suffix(".bfn"), file.with_stem("back")
                start = [sys.executable, "-m", "bfncodec"]
                there = cost([*start, "compress", f"-{level}", "-qf", str(file), "-o", str(packed)], 5)
                here = cost([*start, "decompress", "-qf", str(packed), "-o", str(back)], 5)
                found[f"{file.stem}, -{level}"] = (there.seconds, here.seconds)
    return found


def _print_peak(peak: Peak) -> None:
    parts = (peak.ours, peak.vector, peak.torch, peak.torch_with_all)
    rows = [[name, *(f"{part[name] / 1e9:,.0f}" if part else "" for part in parts)] for name in peak.ours]
    heads = [f"products, 10^9 a second, {peak.threads} threads", peak.kernel, "vectors", "torch, vectors", "torch, all"]
    click.echo(table(heads, rows))
    click.echo(_summary(peak))


def _summary(peak: Peak) -> str:
    """Return lines that say what the machine does at most."""
    return (
        f"\npeak of vector instructions: {peak.multiplications / 1e9:,.0f} x 10^9 multiplications a second\n"
        f"peak of all instructions: {peak.with_all / 1e9:,.0f} x 10^9\n"
        f"memory: {peak.copied / 1e9:,.1f} GB a second\n"
    )


def _table(found: Sequence[Reached]) -> str:
    named = [stage for stage in (*ORDER, stages.REST) if any(stage in row.stages for row in found)]
    rows = [
        [f"{row.kind} -{row.level} {row.direction}", f"{row.rate / 1e3:,.1f}", f"{row.of_peak:.1%}"]
        + [f"{row.stages.get(stage, 0):.1%}" for stage in named]
        for row in found
    ]
    return table(["", "KB/s", "of the peak", *named], rows)


def _seconds(starting: dict[str, tuple[float, float]]) -> list[list[str]]:
    return [[name, *(f"{seconds:.2f}" for seconds in pair)] for name, pair in starting.items()]


def draw(path: Path, found: Sequence[Reached]) -> None:
    """Draw a bar of stages for each row, with its speed and its share of the peak, and save it (needs matplotlib)."""
    from matplotlib.figure import Figure

    names = [f"{row.kind} -{row.level} {row.direction}" for row in found]
    figure = Figure(figsize=(10, 1.5 + 0.4 * len(found)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(found))
    for stage, color in zip((*ORDER, stages.REST), COLORS, strict=True):
        width = np.array([row.stages.get(stage, 0.0) for row in found])
        axes.barh(names, width, left=left, color=color, label=stage)
        left += width
    for name, row in zip(names, found, strict=True):
        reached = f"{row.rate / 1e3:,.0f} KB/s, {row.of_peak:.0%} of the peak"
        axes.annotate(reached, (1.01, name), va="center", annotation_clip=False)
    axes.plot([row.of_peak for row in found], names, "k|", ms=14, mew=2, label="of the peak")
    axes.set(xlim=(0, 1), xlabel="share of the time of all threads")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=6, frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
