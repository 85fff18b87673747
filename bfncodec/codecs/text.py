"""Bytes through the erasure sender on the comb schedule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.codecs.base import ModelCodec, check_size
from bfncodec.codecs.protocol import Capabilities
from bfncodec.codecs.threads import Team
from bfncodec.coding.ans import RandomStack
from bfncodec.coding.cdf import Intervals, softmax_frequencies, softmax_intervals
from bfncodec.coding.mixing.contexts import BITS, ContextMixer, bit_frequencies, bit_intervals, bits_of
from bfncodec.coding.rangecoder import RangeDecoder, RangeEncoder, SymbolSource, information
from bfncodec.flow.report import CodeLength
from bfncodec.format.wire import Reader, varint
from bfncodec.models import ModelInfo
from bfncodec.networks.acceleration import kernels_pay
from bfncodec.networks.storage import check_shapes
from bfncodec.networks.transformer.exact import ExactTransformer, TransformerState, stored_shapes
from bfncodec.networks.transformer.model import FAR, TransformerConfig
from bfncodec.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from bfncodec.networks.transformer.compiled import CompiledTransformer, CompiledTransformerState

SYMBOLS = 256
BATCH_LANES = 128  # lanes of all items together that are coded at once
# Lanes the network sees at once when encoding: more fill no more of the machine, and their keys and values less cache.
ENCODE_LANES = 16
BLOCK_SLOTS = 1 << 10  # slots the network sees at once when encoding
ENCODE_LEAST, DECODE_LEAST = 8, 32  # lanes that pay for a thread of their own: short calls take turns at Python's lock
LOOPS_LEAST = 8  # the same where compiled loops decode
# Without compiled loops, roughly: what a symbol takes to encode, a step and a lane of it to decode.
ENCODE_SECONDS, STEP_SECONDS, LANE_SECONDS = 1e-4, 3e-3, 5e-4


@dataclass(frozen=True)
class Lanes:
    """An item cut into lanes of nearly equal length that are coded side by side."""

    item: int
    starts: tuple[int, ...]  # first byte of each
    lengths: tuple[int, ...]
    teeth: int
    mixed: bool  # with what the item says about itself

    @property
    def steps(self) -> int:
        """Symbols of a full tooth."""
        return -(-max(self.lengths) // self.teeth)

    def exist(self, steps: int) -> NDArray[np.bool_]:
        """Which slots hold a symbol of the text. bool [lanes, m, steps]"""
        place = np.arange(self.teeth)[:, None] * self.steps + np.arange(steps)
        inside = (place < np.asarray(self.lengths)[:, None, None]) & (np.arange(steps) < self.steps)
        return np.asarray(inside)


@dataclass(frozen=True)
class Coded:
    """Decisions of an item in coding order."""

    item: int
    intervals: Intervals
    choices: int  # of each: a symbol, or a bit of one
    step: NDArray[np.int64]


class TextCodec(ModelCodec[bytes]):
    """Byte strings of any length, in any encoding.

    Payload: varint length, then the symbols. The text is cut into lanes of nearly equal length, as the table `lanes`
    of the model's config says: so many that none is longer than `length` bytes, but at most `most`, unless positions
    do not reach. Step after step the symbols of that step are coded, lane by lane and tooth by tooth. How many teeth
    a lane has follows from the length of the text, by the table `coding_teeth`. Where the config has a table
    `contexts`, texts of `contexts.least` bytes and more learn from themselves.
    """

    capabilities = Capabilities(batch=1 << 20)

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        self.config = TransformerConfig.from_dict(dict(info.config["network"]))
        self.teeth = [(int(size), int(m)) for size, m in info.config["coding_teeth"]]
        self.length, self.most = (int(info.config["lanes"][key]) for key in ("length", "most"))
        contexts = info.config.get("contexts")
        self.least_mixed = int(contexts["least"]) if contexts else None
        check_shapes(tensors, stored_shapes(self.config))
        self.network = ExactTransformer(self.config, tensors, device)

    def encode_items(self, xs: Sequence[bytes], progress: Progress, thorough: bool) -> list[bytes]:
        encoders = [RangeEncoder() for _ in xs]
        for coded in self._coded(xs, progress):
            part = coded.intervals
            encoders[coded.item].encode_intervals(part.below, part.frequency, part.symbol, coded.choices)
        return [varint(len(x)) + encoder.finish() for x, encoder in zip(xs, encoders, strict=True)]

    def decode_items(self, payloads: Sequence[bytes], progress: Progress) -> list[bytes]:
        sizes, bodies = zip(*map(_split, payloads), strict=True) if payloads else ((), ())
        return self._decode_all(sizes, [RangeDecoder(body) for body in bodies], progress)

    def draw(self, count: int, size: tuple[int, ...], seed: np.random.SeedSequence) -> list[bytes]:
        """Return samples of the model: texts of ``size[0]`` bytes."""
        return self._decode_all(list(size) * count, [RandomStack(own) for own in seed.spawn(count)], silent)

    def _decode_all(self, sizes: Sequence[int], sources: Sequence[SymbolSource], progress: Progress) -> list[bytes]:
        """The texts of these sizes that sources of symbols, one for each, give."""
        items = [b""] * len(sizes)
        for batch in self._batches(sizes):
            texts = self._decode_batch(batch, sizes, [sources[lanes.item] for lanes in batch], progress)
            for lanes, text in zip(batch, texts, strict=True):
                items[lanes.item] = text
        return items

    def codelength(self, x: bytes) -> CodeLength:
        self.check(x)
        kl = np.zeros(max((lanes.steps for lanes in self._lanes(0, len(x))), default=0))
        for coded in self._coded([x], silent):
            kl += np.bincount(coded.step, weights=information(coded.intervals.frequency), minlength=len(kl))
        return CodeLength(kl, 0.0, len(x))

    def _coded(self, xs: Sequence[bytes], progress: Progress) -> Iterator[Coded]:
        """Return what the coder needs, block after block."""
        for batch in self._batches([len(x) for x in xs]):
            steps = max(lanes.steps for lanes in batch)
            loops = self._loops(batch, ENCODE_SECONDS * sum(sum(lanes.lengths) for lanes in batch))
            mixers = _mixers(batch, [len(x) for x in xs], loops)
            exist = np.concatenate([lanes.exist(steps) for lanes in batch])  # [B, m, S]
            symbols = np.concatenate([_cut(xs[lanes.item], lanes, steps) for lanes in batch])
            for first, weights in self._predictions(symbols, loops):
                for lanes, mixer, rows in zip(batch, mixers, _rows(batch), strict=True):
                    inside = exist[rows, :, first : first + weights.shape[1]]
                    step, lane, tooth = np.nonzero(inside.transpose(2, 0, 1))
                    known = symbols[rows][lane, tooth, first + step].astype(np.int64)
                    own = weights[rows][lane, step, tooth]
                    if mixer is None:
                        yield Coded(lanes.item, softmax_intervals(own, known), SYMBOLS, first + step)
                    else:
                        bits = _mixed(mixer, own, known, step, lane * lanes.teeth + tooth)
                        yield Coded(lanes.item, bits, 2, np.repeat(first + step, BITS))
                    progress(len(known))

    def _predictions(self, symbols: NDArray[np.uint8], loops: bool) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """First step of each block and the network's weights for it, int32 [B, k, m, 256], of lanes that are known.
        symbols: [B, m, S]
        """
        count, teeth, steps = symbols.shape
        block = max(1, BLOCK_SLOTS // (min(count, ENCODE_LANES) * teeth))
        threads = self._threads(count // ENCODE_LEAST)
        spans = _spans(count, -(-count // ENCODE_LANES), threads)
        network = self._compiled if loops else self.network
        runs = [network.start(span.stop - span.start, teeth, steps, block) for span in spans]
        for run, span in zip(runs, spans, strict=True):
            run.reveal(0, torch.from_numpy(symbols[span]).to(self.device))
        with Team(threads) as team:
            for first in range(0, steps, block):
                weights = np.concatenate(team.each(_weights(first, min(first + block, steps)), runs))
                yield first, weights.reshape(count, -1, teeth, SYMBOLS)

    def _decode_batch(
        self, batch: Sequence[Lanes], sizes: Sequence[int], sources: Sequence[SymbolSource], progress: Progress
    ) -> list[bytes]:
        steps, teeth = max(lanes.steps for lanes in batch), batch[0].teeth
        loops = self._loops(batch, steps * (STEP_SECONDS + LANE_SECONDS * sum(len(lanes.lengths) for lanes in batch)))
        mixers = _mixers(batch, sizes, loops)
        exist = np.concatenate([lanes.exist(steps) for lanes in batch])  # [B, m, S]
        threads = self._threads(len(exist) // (LOOPS_LEAST if loops else DECODE_LEAST))
        spans = _spans(len(exist), 1, threads)
        network = self._compiled if loops else self.network
        runs = [network.start(span.stop - span.start, teeth, steps) for span in spans]
        symbols = np.zeros(exist.shape, np.uint8)
        firsts = np.array([rows.start * teeth for rows in _rows(batch)])
        with Team(threads) as team:
            for i in range(steps):
                slots = np.flatnonzero(exist[:, :, i])
                weights = np.concatenate(team.each(_weights(i, i + 1), runs)).reshape(-1, SYMBOLS)[slots]
                ends = [*np.searchsorted(slots, firsts), len(slots)]
                new = [
                    _decode_rows(weights[a:b], slots[a:b] - first, mixer, source)
                    for mixer, source, first, a, b in zip(mixers, sources, firsts, ends, ends[1:], strict=False)
                ]
                symbols[slots // teeth, slots % teeth, i] = np.concatenate(new)
                for run, span in zip(runs, spans, strict=True):
                    run.reveal(i, torch.from_numpy(symbols[span, :, i : i + 1]).to(self.device))
                progress(len(slots))
        return [_join(symbols[rows], lanes) for lanes, rows in zip(batch, _rows(batch), strict=True)]

    def _loops(self, batch: Sequence[Lanes], seconds: float) -> bool:
        """Return whether compiled loops are to code a batch, which takes about so long without them."""
        able = batch[0].teeth == 1 and self.device.type == "cpu"
        return able and kernels_pay(seconds)

    @cached_property
    def _compiled(self) -> CompiledTransformer:
        from bfncodec.networks.transformer.compiled import CompiledTransformer

        return CompiledTransformer(self.network)

    def _threads(self, most: int) -> int:
        """How many may run the network side by side, each for lanes of its own."""
        return max(1, min(torch.get_num_threads(), most)) if self.device.type == "cpu" else 1

    def _batches(self, sizes: Sequence[int]) -> Iterator[list[Lanes]]:
        """Items to code side by side: one number of teeth, similar lengths."""
        cut = [lanes for item, size in enumerate(sizes) for lanes in self._lanes(item, size)]
        cut.sort(key=lambda lanes: (lanes.teeth, lanes.steps))
        batch: list[Lanes] = []
        for lanes in cut:
            if batch and not _side_by_side(batch, lanes):
                yield batch
                batch = []
            batch.append(lanes)
        if batch:
            yield batch

    def _lanes(self, item: int, size: int) -> Iterator[Lanes]:
        """The lanes of an item; none for an empty one."""
        if not size:
            return
        reach = FAR * self.config.window
        count = max(min(-(-size // self.length), self.most), -(-size // reach))
        edges = [size * k // count for k in range(count + 1)]
        lengths = tuple(end - start for start, end in itertools.pairwise(edges))
        teeth = max(size_and_teeth for size_and_teeth in self.teeth if size_and_teeth[0] <= size)[1]
        mixed = self.least_mixed is not None and size >= self.least_mixed
        yield Lanes(item, tuple(edges[:-1]), lengths, teeth, mixed)


def _side_by_side(batch: Sequence[Lanes], lanes: Lanes) -> bool:
    """Whether an item may join a batch. Only lanes of one tooth may be shorter than their neighbours: where the second
    tooth begins, and so every position in it, follows from the length of the first.
    """
    same = lanes.teeth == batch[0].teeth and (lanes.teeth == 1 or lanes.steps == batch[0].steps)
    return same and sum(len(other.lengths) for other in (*batch, lanes)) <= BATCH_LANES


def _weights(first: int, last: int) -> Callable[[TransformerState | CompiledTransformerState], NDArray[np.int32]]:
    """Return what a run predicts for these steps, int32 [B, (last - first) m, 256]."""

    def work(run: TransformerState | CompiledTransformerState) -> NDArray[np.int32]:
        found: NDArray[np.int32] = run.predict(first, last).cpu().numpy()
        return found

    return work


def _spans(count: int, parts: int, threads: int) -> list[slice]:
    """So many lanes in `parts` parts of nearly equal size, or some more, that each thread may have as many."""
    parts = min(count, -(-parts // threads) * threads)
    return [slice(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


def _rows(batch: Sequence[Lanes]) -> list[slice]:
    """Where the lanes of each item of a batch are."""
    edges = np.cumsum([0, *(len(lanes.lengths) for lanes in batch)]).tolist()
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _mixers(batch: Sequence[Lanes], sizes: Sequence[int], loops: bool) -> list[ContextMixer | None]:
    """The contexts of each item that learns from itself."""
    kind = ContextMixer
    if loops:
        from bfncodec.coding.mixing.compiled import CompiledMixer

        kind = CompiledMixer
    return [kind(sizes[lanes.item], len(lanes.lengths) * lanes.teeth) if lanes.mixed else None for lanes in batch]


def _mixed(
    mixer: ContextMixer,
    weights: NDArray[np.int32],
    symbols: NDArray[np.int64],
    step: NDArray[np.int64],
    lane: NDArray[np.int64],
) -> Intervals:
    """Bits of known symbols [n] under the network's weights [n, 256] and what their item says about itself: step after
    step, the first bit of all lanes, then the second.
    """
    edges = np.flatnonzero(np.diff(step, prepend=-1, append=-1)).tolist()
    chances = [mixer.encode(weights[a:b], lane[a:b], symbols[a:b]).ravel() for a, b in itertools.pairwise(edges)]
    bits = [bits_of(symbols[a:b]).ravel() for a, b in itertools.pairwise(edges)]
    empty = np.zeros(0, np.int64)
    return bit_intervals(np.concatenate([empty, *chances]), np.concatenate([empty, *bits]))


def _decode_rows(
    weights: NDArray[np.int32], lanes: NDArray[np.int64], mixer: ContextMixer | None, source: SymbolSource
) -> NDArray[np.int64]:
    """The next symbols of an item, [L], under weights [L, 256] and what its contexts say."""
    if mixer is None:
        return source.decode_rows(softmax_frequencies(weights)).astype(np.int64)
    return mixer.decode(weights, lanes, lambda ones: source.decode_rows(bit_frequencies(ones)).astype(np.int64))


def _split(payload: bytes) -> tuple[int, bytes]:
    reader = Reader(payload)
    size = reader.varint("text length")
    check_size(size, "bytes")
    return size, reader.rest()


def _cut(text: bytes, lanes: Lanes, steps: int) -> NDArray[np.uint8]:
    """The lanes of a text as teeth, zeros where a tooth is shorter. uint8 [lanes, m, steps]"""
    result = np.zeros((len(lanes.lengths), lanes.teeth, steps), np.uint8)
    for row, start, length in zip(result, lanes.starts, lanes.lengths, strict=True):
        padded = np.zeros(lanes.teeth * lanes.steps, np.uint8)
        padded[:length] = np.frombuffer(text, np.uint8, length, start)
        row[:, : lanes.steps] = padded.reshape(lanes.teeth, lanes.steps)
    return result


def _join(symbols: NDArray[np.uint8], lanes: Lanes) -> bytes:
    """The inverse of `_cut`. symbols: [lanes, m, steps]"""
    parts = symbols[:, :, : lanes.steps].reshape(len(symbols), -1)
    return b"".join(part[:length].tobytes() for part, length in zip(parts, lanes.lengths, strict=True))
