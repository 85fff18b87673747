"""Texts that are coded side by side: their streams, and the network's predictions for them.

A text is cut into streams (:class:`bfncodec.flow.Comb`), which a network codes as one batch, also with the
streams of other texts. Nothing that is written depends on what is coded beside it, nor on threads or blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.threads import Team
from bfncodec.coding.mixing.corrections import Corrector
from bfncodec.flow.schedules.reveal import Comb
from bfncodec.forks import cached_property
from bfncodec.networks.protocol import IntervalState, SymbolNetwork, SymbolState
from bfncodec.runtime.arrays import Ints, Ints32

SYMBOLS = 256
Places = slice | NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """Numbers of streams and slots that are coded at once. Nothing that is written depends on it.

    batch: streams of all texts of a batch. mixers: texts of a batch that are mixed; what more of them have learned does
    not stay in a processor's cache from one step to the next. encode_streams: streams the network sees at once when
    encoding; more fill no more of the machine, and their KV cache less of the processor's. block: slots it sees at once
    when encoding. encode_least, decode_least, kernels_least: streams that pay for a thread of their own when encoding,
    decoding, and decoding with compiled kernels; short calls take turns at Python's lock.
    """

    batch: int = 128
    mixers: int = 8
    encode_streams: int = 16
    block: int = 1 << 10
    encode_least: int = 8
    decode_least: int = 32
    kernels_least: int = 4

    def steps(self, batch: Batch) -> int:
        """Steps that are predicted at once when all symbols are known."""
        return max(1, self.block // (min(batch.streams, self.encode_streams) * batch.teeth))


ON_A_GPU = Sizes(batch=1 << 10, mixers=1 << 10, encode_streams=1 << 10, block=1 << 15)
"""On a GPU whatever starts should be large: it all happens at once."""


@dataclass(frozen=True)
class Part:
    """One text of a batch. item: its number; mixed: whether context models learn from it while it is coded; machine:
    whether it is machine code.
    """

    item: int
    schedule: Comb
    mixed: bool
    machine: bool = False


@dataclass(frozen=True)
class Run:
    """Steps in which the same slots of a batch hold symbols.

    slots: of each text that has some, its number in the batch, the places of its slots among those of all streams, and
    their numbers in the text, int64 [n]. count: slots of all texts.
    """

    steps: range
    slots: tuple[tuple[int, Places, Ints], ...]
    count: int


@dataclass(frozen=True)
class Batch:
    """Texts that are coded side by side: one number of teeth, a similar number of steps, all of them mixed or none."""

    parts: tuple[Part, ...]

    @property
    def teeth(self) -> int:
        """Teeth of a stream."""
        return self.parts[0].schedule.teeth

    @property
    def symbols(self) -> int:
        """Symbols of all texts."""
        return sum(part.schedule.length for part in self.parts)

    @cached_property
    def n_steps(self) -> int:
        """Steps of the longest text."""
        return max(part.schedule.n_steps for part in self.parts)

    @cached_property
    def rows(self) -> list[slice]:
        """The streams of each text among all."""
        edges = np.cumsum([0, *(part.schedule.streams for part in self.parts)]).tolist()
        return [slice(start, end) for start, end in itertools.pairwise(edges)]

    @property
    def streams(self) -> int:
        """Streams of all texts, B."""
        return int(self.rows[-1].stop)

    @cached_property
    def exists(self) -> NDArray[np.bool_]:
        """Slots that hold a symbol, bool [B, teeth, steps]."""
        return np.concatenate([part.schedule.exists(self.n_steps) for part in self.parts])

    @property
    def runs(self) -> Iterator[Run]:
        """All steps, one after the other. Within a text slots end only once, so there are few runs."""
        inside = self.exists.reshape(-1, self.n_steps)
        changes = np.flatnonzero((inside[:, 1:] != inside[:, :-1]).any(0)) + 1
        for first, last in itertools.pairwise([0, *changes.tolist(), self.n_steps]):
            own = [(rows.start * self.teeth, np.flatnonzero(self.exists[rows, :, first])) for rows in self.rows]
            slots = [(k, _places(start, slot), slot) for k, (start, slot) in enumerate(own) if len(slot)]
            yield Run(range(first, last), tuple(slots), sum(len(slot) for *_, slot in slots))

    def cut(self, texts: Sequence[bytes]) -> NDArray[np.uint8]:
        """The symbols of all texts by slots, uint8 [B, teeth, steps]. texts: by the number of their items."""
        return np.concatenate([part.schedule.cut(texts[part.item], self.n_steps) for part in self.parts])

    def join(self, slots: NDArray[np.uint8]) -> list[bytes]:
        """Inverse of `cut`: the texts, in the order of `parts`."""
        return [part.schedule.join(slots[rows]) for part, rows in zip(self.parts, self.rows, strict=True)]

    def admits(self, part: Part, sizes: Sizes) -> bool:
        """Return whether another text may join, so that the batch is not larger than sizes say. Only streams of one
        tooth may be shorter than those beside them: where the second tooth begins, and so every position in it, follows
        from the length of the first. Texts that are mixed and others are apart: kernels read whole steps of mixed ones
        alone.
        """
        alike = part.schedule.teeth == self.teeth and (self.teeth == 1 or part.schedule.n_steps == self.n_steps)
        together = alike and part.mixed == self.parts[0].mixed
        room = not part.mixed or len(self.parts) < sizes.mixers
        return together and room and self.streams + part.schedule.streams <= sizes.batch


def batches(parts: Sequence[Part], sizes: Sizes) -> Iterator[Batch]:
    """Texts to code side by side, in any order; a batch is as large as sizes say at most, or one text."""
    batch: Batch | None = None
    for part in sorted(parts, key=lambda part: (part.schedule.teeth, part.mixed, part.schedule.n_steps)):
        if batch is not None and batch.admits(part, sizes):
            batch = Batch((*batch.parts, part))
            continue
        if batch is not None:
            yield batch
        batch = Batch((part,))
    if batch is not None:
        yield batch


def shares(sizes: Sequence[int], threads: int, least: int) -> list[list[int]]:
    """Return the numbers of texts of these sizes in shares of about as many bytes, one for each thread; in one share if
    there are not `least` texts for each thread, or if one of them is longer than a share.
    """
    if len(sizes) < threads * least or max(sizes, default=0) * threads > sum(sizes):
        return [list(range(len(sizes)))]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    return [order[k::threads] for k in range(threads)]


def _places(start: int, slot: Ints) -> Places:
    """Return where the slots of a text are among those of all, as a slice where they lie beside each other."""
    first, last = int(slot[0]), int(slot[-1])
    return slice(start + first, start + last + 1) if last - first + 1 == len(slot) else start + slot


class Predictor:
    """The network at work on the streams of a batch, in threads that each have streams of their own.

    What it has observed is theta; `weights` are integers in proportion to the probabilities of p_O.
    """

    def __init__(
        self,
        network: SymbolNetwork,
        batch: Batch,
        team: Team,
        parts: int = 1,
        block: int = 1,
        beside: float = 0,
    ) -> None:
        """Begin with nothing observed. parts: number of parts of the streams that the network sees one at a time, at
        least; block: steps that are predicted at once; beside: streams that take as long as what one of the threads
        also has to do.
        """
        self.team, self.shape = team, (batch.streams, batch.teeth)
        self.spans = _spans(batch.streams, parts, team.threads, beside)
        self.states: list[SymbolState] = [
            network.start(span.stop - span.start, batch.teeth, batch.n_steps, block) for span in self.spans
        ]

    def observe(self, first: int, symbols: NDArray[np.uint8]) -> None:
        """Update theta: symbols of the steps from `first` on, uint8 [B, teeth, k], are known."""
        for state, span in zip(self.states, self.spans, strict=True):
            state.reveal(first, symbols[span])

    def step(self, i: int) -> Ints32:
        """p_O of one step, int32 [B teeth, 256], which the next call overwrites."""
        rows, each = self.rows, self.shape[1]

        def predict(k: int) -> None:
            span = self.spans[k]
            rows[span.start * each : span.stop * each] = self.states[k].predict(i, i + 1).reshape(-1, SYMBOLS)

        self.team.each(predict, range(len(self.spans)))
        return rows

    @cached_property
    def rows(self) -> Ints32:
        """p_O of the latest step, int32 [B teeth, 256]."""
        streams, teeth = self.shape
        return np.empty((streams * teeth, SYMBOLS), np.int32)

    def weights(self, first: int, last: int) -> NDArray[np.int32]:
        """p_O of the steps [first, last), given the steps before each, int32 [B, last - first, teeth, 256]."""
        return self._joined(self.team.each(lambda state: state.predict(first, last), self.states))

    def begin(self, first: int, last: int) -> Callable[[], NDArray[np.int32]]:
        """Let the other threads begin with `weights`, which the function that is returned gives."""
        finish = self.team.begin(lambda state: state.predict(first, last), self.states)
        return lambda: self._joined(finish())

    def begin_intervals(self, first: int, last: int) -> Callable[[], NDArray[np.int32]]:
        """`begin` with the coder's intervals instead, which a network on a GPU tells: below and frequency of each
        symbol, int32 [B, last - first, teeth, 2].
        """
        states = cast("list[IntervalState]", self.states)
        finish = self.team.begin(lambda state: state.intervals(first, last), states)
        streams, teeth = self.shape
        return lambda: np.moveaxis(np.concatenate(finish(), 1), 0, -1).reshape(streams, -1, teeth, 2)

    def _joined(self, found: Sequence[Ints32]) -> NDArray[np.int32]:
        streams, teeth = self.shape
        return np.concatenate(found).reshape(streams, -1, teeth, SYMBOLS)


class CorrectedPredictor(Predictor):
    """A predictor whose predictions a corrector corrects, see :mod:`bfncodec.coding.mixing.corrections`. Steps are
    asked for in their order, each once.
    """

    def __init__(
        self, corrector: Corrector, network: SymbolNetwork, batch: Batch, team: Team, parts: int = 1, block: int = 1
    ) -> None:
        super().__init__(network, batch, team, parts, block)
        self.corrector = corrector

    def observe(self, first: int, symbols: NDArray[np.uint8]) -> None:
        super().observe(first, symbols)
        self.corrector.reveal(first, symbols)

    def step(self, i: int) -> Ints32:
        rows, (streams, teeth) = super().step(i), self.shape
        self.corrector.correct(i, rows.reshape(streams, 1, teeth, SYMBOLS))
        return rows

    def weights(self, first: int, last: int) -> NDArray[np.int32]:
        return self._corrected(first, super().weights(first, last))

    def begin(self, first: int, last: int) -> Callable[[], NDArray[np.int32]]:
        finish = super().begin(first, last)
        return lambda: self._corrected(first, finish())

    def _corrected(self, first: int, found: NDArray[np.int32]) -> NDArray[np.int32]:
        self.corrector.correct(first, found)
        return found


def _spans(count: int, parts: int, threads: int, beside: float = 0) -> list[slice]:
    """Ranges of streams: `parts` of nearly equal size, or some more, so that each thread has as many; the last is
    shorter, or none, if what lies `beside` it takes as long as so many streams.
    """
    parts = min(count, -(-parts // threads) * threads)
    if parts == 1 or not beside:
        return _even(count, parts)
    last = max(0, round((count + beside) / parts - beside))
    return [*_even(count - last, parts - 1), *[slice(count - last, count)] * (last > 0)]


def _even(count: int, parts: int) -> list[slice]:
    return [slice(count * k // parts, count * (k + 1) // parts) for k in range(parts)]
