"""Schedules of the erasure sender on text: bits, network calls and time of each number of teeth, and of lanes.

    python -m benchmarks.schedules MODEL FILE --size 1024 --size 8192

m symbols are revealed at a step. As teeth of a comb they are far apart in one window of the model, and a symbol sees
all teeth; as lanes they are pieces of the text that see only themselves. Both make the same number of network calls.
MODEL is measured with the numbers of teeth that it was trained for (configs/text-schedules.toml: 1 to 64); what a text
says about itself is not used.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.tables import table
from bfncodec import models
from bfncodec.models import ModelInfo


@dataclass(frozen=True)
class Row:
    """One way to code texts of a size."""

    size: int
    teeth: int  # of each lane
    lanes: int
    calls: int  # of the network, for one text
    ideal: float  # L^n, bits per byte
    real: float  # of payloads
    encode_s: float  # of one text
    decode_s: float


def codec_of(info: ModelInfo, teeth: int, lanes: int) -> Any:
    """The codec of a model, with so many teeth in each of so many lanes, which learns nothing from the text."""
    from bfncodec.codecs.loading import load

    ways = {"teeth_by_length": [[0, teeth]], "streams": {"length": 1, "most": lanes}, "contexts": None}
    return load(replace(info, config={**info.config, **ways}))


def measure(info: ModelInfo, texts: list[bytes], teeth: int, lanes: int) -> Row:
    """Ideal and real bits of all texts, time of the first."""
    codec, size = codec_of(info, teeth, lanes), len(texts[0])
    start = time.perf_counter()
    (first,) = codec.encode_batch(texts[:1])
    middle = time.perf_counter()
    (back,) = codec.decode_batch([first])
    end = time.perf_counter()
    if back != texts[0]:
        raise AssertionError(f"{teeth} teeth in {lanes} lanes: the text came back different")
    ideal = float(np.mean([codec.codelength(text).bits for text in texts])) / size
    real = 8 * sum(map(len, codec.encode_batch(texts))) / (size * len(texts))
    calls = -(-size // (teeth * lanes))
    return Row(size, teeth, lanes, calls, ideal, real, middle - start, end - middle)


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("model")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", "sizes", type=click.IntRange(1), multiple=True, default=(1024,), show_default=True)
@click.option("--pieces", type=click.IntRange(1), default=16, show_default=True, help="Texts of each size.")
@click.option("--window", type=click.IntRange(1), default=1024, show_default=True, help="Bytes of a window.")
def main(model: str, file: Path, sizes: tuple[int, ...], pieces: int, window: int) -> None:
    info = models.find(Path(model) if "/" in model else model)
    combs = [int(m) for m in info.config["teeth"]]
    data = file.read_bytes()
    rows = []
    for size in sizes:
        starts = [k * (len(data) - size) // pieces for k in range(pieces)]
        texts = [data[s : s + size] for s in starts]
        windows = -(-size // window)
        ways = [(m, windows) for m in combs] + [(1, windows * m) for m in combs if m > 1]
        rows += [measure(info, texts, teeth, lanes) for teeth, lanes in ways]
    heads = ["bytes", "teeth", "streams", "network calls", "ideal bits/byte", "real", "encode s", "decode s"]
    click.echo(table(heads, [cells(row) for row in rows]))


def cells(row: Row) -> list[str]:
    counts = [f"{row.size:,}", str(row.teeth), str(row.lanes), f"{row.calls:,}"]
    return [*counts, f"{row.ideal:.4f}", f"{row.real:.4f}", f"{row.encode_s:.2f}", f"{row.decode_s:.2f}"]


if __name__ == "__main__":
    main()
