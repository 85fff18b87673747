"""Bits per byte against the size of a file, and how ours compare with their peers at each size."""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import click

from benchmarks.codecs import DICTIONARY, PPMD_PRIMED, ZSTD_TRAINED, Codec, Ours, text_codecs
from benchmarks.measuring import Row, Workload
from benchmarks.tables import is_ours, table
from bfncodec.analysis.peers import PPMD, ZPAQ

SIZES = (100, 200, 500, 1000, 2000, 10_000, 100_000, 1_000_000)
PIECES = 200  # of a size, at most
ZPAQ_LEAST = 10_000  # bytes of the smallest pieces that are worth half a second each
DICTIONARY_MOST = 2000  # bytes of the largest pieces that a dictionary matters for
SAMPLES = 100 * DICTIONARY  # bytes that a dictionary is trained on, as zstd advises

PRIMED = (ZSTD_TRAINED, PPMD_PRIMED)
Measured = Mapping[int, Sequence[Row]]  # by the size of the pieces, one row a codec


class Amount(click.ParamType[int]):
    """Bytes, such as 300, 10KB or 1MB, of thousands."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+) ?(|KB|MB)", str(value), re.IGNORECASE)
        amount = int(found[1]) * {"": 1, "KB": 1000, "MB": 1_000_000}[found[2].upper()] if found else 0
        if not amount:
            self.fail(f"expected bytes such as 300, 10KB or 1MB, found {value}", param, ctx)
        return amount


# --- pieces ------------------------------------------------------------------------------------


def content(file: Path) -> bytes:
    """Return what is in a file, or in the one that xz packed."""
    return lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes()


def how_many(length: int, size: int, budget: int) -> int:
    """Pieces of a size: all that `length` bytes have, within the budget and PIECES, but one at least if it fits."""
    return min(length // size, max(budget // size, 1), PIECES)


def pieces(file: Path, size: int, count: int) -> list[bytes]:
    """Implements :func:`cut`."""
    return cut(content(file), size, count)


def cut(data: bytes, size: int, count: int) -> list[bytes]:
    """Pieces from the middles of `count` equal parts, each moved back to where a character of UTF-8 starts."""
    part = len(data) // count
    starts = (character(data, i * len(data) // count + (part - size) // 2) for i in range(count))
    return [data[start : start + size] for start in starts]


def character(data: bytes, start: int) -> int:
    """Place where the character begins that the byte at `start` is in; `start` itself in what is not UTF-8."""
    before = range(start, max(start - 4, -1), -1)
    return next((at for at in before if data[at] & 0xC0 != 0x80), start)


def samples(data: bytes, size: int) -> list[bytes]:
    """Pieces of a size to train a dictionary on, from everywhere."""
    return cut(data, size, count) if (count := min(len(data), SAMPLES) // size) else [data]


def of_size(file: Path, size: int, count: int, dictionary: bytes, zpaq: bool) -> Workload[bytes]:
    """Pieces of one size, and the codecs that make sense for it."""
    codecs: Callable[..., list[Codec[bytes]]]
    codecs = partial(text_codecs, dictionary=dictionary, zpaq=zpaq and size >= ZPAQ_LEAST)
    title = f"{file.name} in pieces of {size:,} bytes"
    return Workload(title, "bits/byte", partial(pieces, file, size, count), codecs)


# --- reports -----------------------------------------------------------------------------------


def sizes_report(title: str, found: Measured, ours: Sequence[Ours]) -> str:
    """Everything measured, for people: bits, speed and memory; what our models weigh; ours against the peers."""
    parts = [f"{title}, bits/byte", bits(found)]
    parts += ["\n".join(weighed(ours))] if ours else []
    parts += [against(found, ours)] if ours else []
    return "\n\n".join(parts)


def curves(found: Measured) -> dict[str, list[tuple[int, float]]]:
    """Sizes and bits per byte of each codec; peers first, then those with a dictionary, then ours."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for size, rows in found.items():
        for row in rows:
            lines.setdefault(row.codec, []).append((size, row.total_bits))
    return {name: lines[name] for name in sorted(lines, key=lambda name: (is_ours(name), name in PRIMED))}


def bits(found: Measured) -> str:
    """A row a codec, a column a size; speed and memory are those of the largest."""
    largest = {row.codec: row for row in found[max(found)]}
    cells = [["(pieces)", *(f"{rows[0].items:,}" for rows in found.values()), "", "", ""]]
    for name, line in curves(found).items():
        by_size = dict(line)
        cells.append([name, *(f"{by_size[size]:.3f}" if size in by_size else "" for size in found)])
        cells[-1] += speed(largest[name]) if name in largest else ["", "", ""]
    return table(["codec", *(f"{size:,}" for size in found), "encode KB/s", "decode KB/s", "peak MB"], cells)


def speed(row: Row) -> list[str]:
    """Speed of the calls, both ways, and memory of the process."""
    there, back = (row.raw / seconds / 1e3 for seconds in (row.encode_s, row.decode_s))
    return [f"{there:,.1f}", f"{back:,.1f}", f"{row.peak / 1e6:,.0f}"]


def weighed(ours: Sequence[Ours]) -> Iterator[str]:
    """Return what the model directories weigh, which are in no file and needed on both sides."""
    from bfncodec import models

    for way in ours:
        if way.model == "none":
            continue
        level = way.level or models.DEFAULT_LEVEL
        info = models.default("text", level) if way.model == "auto" else models.find(way.model)
        weight = sum(path.stat().st_size for path in info.path.iterdir() if path.is_file())
        yield f"{way.name}: its model {info.name} weighs {weight:,} bytes"


def against(found: Measured, ours: Sequence[Ours]) -> str:
    """Bytes of ours in percent of a peer's, at each size."""
    own = [way.name for way in ours]
    packed = [{row.codec: row.packed for row in rows} for rows in found.values()]
    best = [smallest(at, {*own, *PRIMED}) for at in packed]
    cells = [["smallest peer without a dictionary", *best]]
    for name in own:
        cells.append([f"{name} / that one", *map(share, packed, repeat(name), best)])
        cells += [
            [f"{name} / {peer}", *map(share, packed, repeat(name), repeat(peer))] for peer in (PPMD, ZPAQ, *PRIMED)
        ]
    measured = [row for row in cells if any(row[1:])]
    return table(["bytes of ours in percent of a peer's", *(f"{size:,}" for size in found)], measured)


def smallest(packed: Mapping[str, int], but: Collection[str]) -> str:
    """The codec of the fewest bytes, some left aside; empty where no other is measured."""
    return min((name for name in packed if name not in but), key=packed.__getitem__, default="")


def share(packed: Mapping[str, int], name: str, peer: str) -> str:
    """A codec's bytes in percent of another's; empty where either is not measured."""
    return f"{packed[name] / packed[peer]:.1%}" if name in packed and peer in packed else ""
