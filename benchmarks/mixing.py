"""In-file learning: bits and time of the context mixer, and of each of its contexts.

    python -m benchmarks.mixing FILE FILE --size 100KB
    python -m benchmarks.mixing FILE --size 100KB --each --zpaq

Each file, or its head of a size, is predicted by a network once; mixers that know more or less then code it side by
side: all contexts with the network's predictions; all with uniform ones instead; the network alone; with --each, all
contexts but one. Bits are ideal, of the frequencies that the coder takes: real payloads have at most 8 bytes more.
Times are the mixer's in its kernels, on one thread, encoding.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.codecs import text_codecs
from benchmarks.tables import table
from benchmarks.texts import Amount, content
from bfncodec.analysis.peers import PPMD, ZPAQ
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.phrases import Phrases
from bfncodec.coding.mixing.state import CONTEXTS, Contexts
from bfncodec.coding.rangecoder import information

PLACES = (
    "word",
    "two words",
    "column",
    "shape",
    "key",
    "line, number",
    "numeral",
    "counterpart",
    "agreeing",
    "foretold",
)
"""Names of the contexts of `places.place_hashes`."""


@dataclass
class Run:
    """A mixer at work, and what it took so far."""

    mixer: ContextMixer | None  # None: the network alone
    network: bool = True  # whether it is told the network's predictions
    bits: float = 0.0
    seconds: float = 0.0

    def step(self, weights: Any, streams: Any, symbols: Any) -> None:
        """Code a step. weights: the network's [L, 256]; streams, symbols: [L]"""
        if self.mixer is None:
            share = weights[np.arange(len(symbols)), symbols] / weights.sum(1, dtype=np.int64)
            self.bits -= float(np.log2(np.maximum(share, 2.0**-24)).sum())
            return
        told = weights if self.network else np.full_like(weights, 1 << 16)
        start = time.thread_time()
        ones = self.mixer.encode(told, streams, symbols)
        self.seconds += time.thread_time() - start
        self.bits += float(information(bit_intervals(ones.ravel(), bits_of(symbols).ravel()).frequency).sum())


def runs(size: int, streams: int, phrases: Phrases | None, each: bool) -> dict[str, Run]:
    """The mixers of a file of so many bytes and streams, by name. phrases: of the model; each: also mixers without
    them, or without one of the contexts
    """
    from bfncodec.coding.mixing.compiled.mixer import CompiledMixer

    def run(contexts: Contexts = CONTEXTS, network: bool = True, phrases: Phrases | None = phrases) -> Run:
        return Run(CompiledMixer(size, streams, contexts, phrases), network)

    found = {"all": run(), "without the network": run(network=False), "network alone": Run(None)}
    if not each:
        return found
    less = {f"without {name}": run(rest) for name, rest in without_one()}
    return found | less | ({"without phrases": run(phrases=None)} if phrases else {})


def without_one() -> Iterator[tuple[str, Contexts]]:
    """Names of contexts, and all others."""
    for order in CONTEXTS.shared:
        yield f"{order} bytes", CONTEXTS._replace(shared=tuple(n for n in CONTEXTS.shared if n != order))
    for order in CONTEXTS.own:
        yield f"{order} bytes, own", CONTEXTS._replace(own=tuple(n for n in CONTEXTS.own if n != order))
    for place in CONTEXTS.places:
        yield PLACES[place], CONTEXTS._replace(places=tuple(n for n in CONTEXTS.places if n != place))
    for least in CONTEXTS.matches:
        yield f"matches of {least}", CONTEXTS._replace(matches=tuple(n for n in CONTEXTS.matches if n != least))


def steps(codec: Any, text: bytes) -> Iterator[tuple[Any, Any, Any]]:
    """(weights, streams, symbols) of each step of a text, as its codec has them."""
    from bfncodec.codecs.streams import Batch, Part, Predictor
    from bfncodec.codecs.threads import Team

    batch = Batch((Part(0, codec.schedule(len(text)), True),))
    symbols, block = batch.cut([text]), codec.sizes.steps(batch)
    with Team(1) as team:
        parts = -(-batch.streams // codec.sizes.encode_streams)
        predictor = Predictor(codec.network.compiled, batch, team, parts, block)
        predictor.observe(0, symbols)
        for first in range(0, batch.n_steps, block):
            weights = predictor.weights(first, min(first + block, batch.n_steps))
            for k in range(weights.shape[1]):
                stream, tooth = np.nonzero(batch.exists[:, :, first + k])
                lane = stream * batch.teeth + tooth
                yield weights[stream, k, tooth], lane, symbols[stream, tooth, first + k].astype(np.int64)


def measure(codec: Any, text: bytes, each: bool) -> dict[str, Run]:
    """Code a text with all mixers."""
    schedule = codec.schedule(len(text))
    found = runs(len(text), schedule.streams * schedule.teeth, codec.phrases, each)
    for step in steps(codec, text):
        for run in found.values():
            run.step(*step)
    return found


def report(texts: Mapping[str, bytes], found: Mapping[str, Mapping[str, Run]], peers: Sequence[str]) -> str:
    """A row a mixer, a column a file: bits a byte, those without a context in percent of all; then the peers."""
    names = list(next(iter(found.values())))
    cells = []
    for name in names:
        cells.append([name])
        for title, text in texts.items():
            own, whole = found[title][name], found[title]["all"]
            less = name.startswith("without ") and name != "without the network"
            cells[-1].append(f"{own.bits / whole.bits - 1:+.2%}" if less else f"{own.bits / len(text):.3f}")
        spent = sum(found[title][name].seconds for title in texts) / sum(map(len, texts.values()))
        cells[-1].append(f"{spent * 1e6:.2f}" if spent else "")
    codecs = [codec for codec in text_codecs(zpaq=True) if codec.name in peers]
    for codec in codecs:
        sizes = {title: len(codec.encode(text)) for title, text in texts.items()}
        cells.append([codec.name, *(f"{8 * size / len(texts[title]):.3f}" for title, size in sizes.items()), ""])
        share = [f"{found[title]['all'].bits / 8 / size:.1%}" for title, size in sizes.items()]
        cells.append([f"all / {codec.name}", *share, ""])
    return table(["bits a byte", *texts, "us a byte"], cells)


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", type=Amount(), default=100_000, show_default=True, help="Bytes of each, at most: its head.")
@click.option("-m", "--model", default="text", show_default=True, help="Model whose network predicts.")
@click.option("--each", is_flag=True, help="Also all contexts but one, one after the other.")
@click.option("--zpaq", is_flag=True, help="Run zpaq -m5, too.")
def main(files: tuple[Path, ...], size: int, model: str, each: bool, zpaq: bool) -> None:
    from bfncodec.codecs.loading import load

    codec = load(model, threads=1)
    texts = {file.name[:16]: content(file)[:size] for file in files}
    found = {name: measure(codec, text, each) for name, text in texts.items()}
    click.echo(report(texts, found, (PPMD, ZPAQ) if zpaq else (PPMD,)))


if __name__ == "__main__":
    main()
