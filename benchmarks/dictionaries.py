"""Messages, rows and short files of one kind with a dictionary of others: ours beside zstd and PPMd.

    python -m benchmarks.dictionaries FILE... [--lines 4] [--size 60KB] [--few 60] [-m text-fast -m text]

Some samples are drawn and coded one by one, as rows of a database are; of the others, as many as fit are the
dictionary of all. Ours are payloads of `encode_batch`, decoded and compared; zstd writes no checksum, no size and no
identity.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

import bfncodec
from benchmarks.tables import table
from benchmarks.texts import Amount, content
from bfncodec.analysis.peers import installed, ppmd
from bfncodec.codecs.protocol import Codec
from bfncodec.models import ModelInfo

T = TypeVar("T")
SEED = 1


@dataclass(frozen=True)
class Found:
    """The bytes of all messages by a codec. times: seconds to load, to encode, to decode; none of peers."""

    name: str
    size: int
    times: tuple[float, float, float] | None = None

    def row(self, total: int) -> list[str]:
        """Cells of a table; total: bytes of the messages."""
        cells = [self.name, f"{self.size:,}", f"{8 * self.size / total:.3f}"]
        if self.times is None:
            return [*cells, "", "", ""]
        load, encode, decode = self.times
        return [*cells, f"{load:.2f}", f"{total / 1e3 / encode:.1f}", f"{total / 1e3 / decode:.1f}"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lines", type=click.IntRange(1), help="So many lines of a file are a message; else a file is one.")
@click.option("--size", type=Amount(), default="110KB", show_default=True, help="Bytes of the dictionary at most.")
@click.option("--few", type=click.IntRange(1), default=60, show_default=True, help="Messages that are coded.")
@click.option("-m", "--model", "names", multiple=True, default=["text-fast", "text"], show_default=True)
def main(files: Sequence[Path], lines: int | None, size: int, few: int, names: Sequence[str]) -> None:
    """Code messages with a dictionary of others and without."""
    samples = list(dict.fromkeys(filter(None, samples_of(files, lines))))
    random.Random(SEED).shuffle(samples)
    messages, others = samples[:few], samples[few:]
    dictionary = joined(others, size)
    total = sum(map(len, messages))
    if not dictionary:
        raise click.UsageError(f"expected more than {few} messages, some below {size:,} bytes, found {len(samples)}")
    click.echo(f"{len(messages)} messages of {total // len(messages)} bytes; a dictionary of {len(dictionary):,} bytes")
    found = [*peers(messages, others, dictionary), *(row for name in names for row in ours(name, messages, dictionary))]
    click.echo(table(["", "bytes", "bits a byte", "load s", "in KB/s", "out"], [row.row(total) for row in found]))


def samples_of(files: Sequence[Path], lines: int | None) -> Iterator[bytes]:
    """The messages in files: so many lines of a file each, or a file each."""
    for file in files:
        data = content(file)
        if lines is None:
            yield data
            continue
        all_lines = data.splitlines(keepends=True)
        yield from (b"".join(all_lines[k : k + lines]) for k in range(0, len(all_lines) - lines + 1, lines))


def joined(samples: Sequence[bytes], size: int) -> bytes:
    """As many samples as fit, behind each other; those that end without a line's end get one."""
    found = b""
    for sample in samples:
        part = sample if sample.endswith(b"\n") else sample + b"\n"
        found += part if len(found) + len(part) <= size else b""
    return found


def peers(messages: Sequence[bytes], samples: Sequence[bytes], dictionary: bytes) -> Iterator[Found]:
    """zstd without a dictionary, with these bytes, with one that it makes of all samples; PPMd behind these bytes."""
    for library in installed("zstandard"):
        yield Found("zstd -22", zstd_size(library, messages, b""))
        yield Found("zstd -22, these bytes", zstd_size(library, messages, dictionary))
        try:
            trained = bytes(library.train_dictionary(len(dictionary), list(samples), level=22).as_bytes())
            yield Found("zstd -22, trained", zstd_size(library, messages, trained))
        except library.ZstdError as error:
            click.echo(f"zstd trains no dictionary: {error}")
    for library in installed("pyppmd"):
        encode = ppmd(library, dictionary)[0]
        yield Found("PPMd, primed", sum(len(encode(message)) for message in messages))


def zstd_size(zstandard: Any, messages: Sequence[bytes], dictionary: bytes) -> int:
    """The bytes of all messages, each alone."""
    own = {"dict_data": zstandard.ZstdCompressionDict(dictionary)} if dictionary else {}
    flags = {"write_checksum": False, "write_content_size": False, "write_dict_id": False}
    made = zstandard.ZstdCompressor(level=22, **flags, **own)
    return sum(len(made.compress(message)) for message in messages)


def ours(name: str, messages: Sequence[bytes], dictionary: bytes) -> Iterator[Found]:
    """A model without and with the dictionary. Raises ClickException where something else comes back."""
    with tempfile.TemporaryDirectory() as folder:
        made = bfncodec.make_dictionary([dictionary], Path(folder, "made"), name, size=len(dictionary))
        yield measured(name, name, messages)
        yield measured(f"{name}, dictionary", made, messages)


def measured(title: str, model: str | ModelInfo, messages: Sequence[bytes]) -> Found:
    """Measure a model on the messages. Raises ClickException where something else comes back."""
    codec, load = timed(partial(learned, model))
    payloads, encode = timed(partial(codec.encode_batch, messages))
    restored, decode = timed(partial(codec.decode_batch, payloads))
    if restored != list(messages):
        raise click.ClickException(f"{title}: messages came back changed")
    return Found(title, sum(map(len, payloads)), (load, encode, decode))


def learned(model: str | ModelInfo) -> Codec[bytes]:
    """A codec that has learned its dictionary, if it has one."""
    codec = bfncodec.load(model)
    codec.encode(b"?")
    return codec


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of a call, and its seconds."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


if __name__ == "__main__":
    main()
