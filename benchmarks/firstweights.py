"""First weights: what a context mixer begins with, learned from many short texts.

    python -m benchmarks.firstweights FILE FILE --pieces 120 --part 60 --kept FOLDER

Pieces of files, which no network was trained with, are coded once by a network and the package's mixer; what every
decision saw is kept in a folder. Then the table of `bfncodec/coding/mixing/first.py` goes down the gradient of the bits
of all pieces, each in proportion to what it takes at first. The mixer goes on learning in a piece, so the gradient goes
back through all that it learns there, by the adjoint of its updates from the last one to the first (only cells of final
maps count as given). The result is the mean of the tables of the second half of all steps; its rows are printed as the
module has them. Arithmetic is in floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.mixing import steps
from benchmarks.texts import content
from bfncodec.coding.mixing.bits import bits_of
from bfncodec.coding.mixing.contexts import StepContexts
from bfncodec.coding.mixing.first import FIRST_BITS, FIRST_WEIGHTS, first_columns, first_kinds, first_rows
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.phrases import Phrases
from bfncodec.coding.mixing.prediction import BitPredictions
from bfncodec.coding.mixing.state import (
    BIAS_RATES,
    CALM,
    CELL_BITS,
    CELLS,
    CONSTANT,
    EXPERT_LIMIT,
    FAST,
    FINAL_TRIALS,
    FIRST_TRIALS,
    FULL_PACE,
    LIMIT,
    MANY,
    MOST_TRIALS,
    SLOW,
    STATES,
    SYMBOLS,
    TRIAL_BITS,
    MixerState,
)
from bfncodec.coding.tables import LOGISTIC_STEPS
from bfncodec.runtime.arrays import Floats, Ints, Ints32
from bfncodec.runtime.jit import compiled

UNIT, RATE = 1.0 / LOGISTIC_STEPS, 1.0 / (1 << 16)  # of logits, of learning rates
BIASES = BIAS_RATES[0] * UNIT, BIAS_RATES[1] * UNIT
MOST, CELL, EXPERT = LIMIT * UNIT, UNIT * (1 << CELL_BITS), EXPERT_LIMIT * UNIT
SETS = 6  # of weights, that are added up
TINY = 1e-5


class Piece(NamedTuple):
    """The D decisions of a piece, step after step, by all they saw. Sets, biases and rows of final maps that never came
    are left out; there are S sets, B biases, F rows.
    """

    network: Floats  # its logits [D]
    state: Ints32  # of each expert's map [D, E]
    sets: Ints32  # [D, SETS]
    biases: Ints32  # [D, 2]
    final: Ints32  # row of the final map [D]
    bits: Ints32  # [D]
    edges: Ints  # where each step begins, and the last one ends
    rows: Ints  # of the table, with which each set begins [S]
    columns: Ints  # of the table, which the weights of a set are [E + 2]
    pace: Floats  # of the weights of each input [E + 2]
    hits: Floats  # that maps begin with [E STATES]
    places: Ints  # how many sets, biases and rows of final maps there are [3]


class Work(NamedTuple):
    """Room for all that a piece makes of a table, and for the adjoint of it. I = E + 2 inputs."""

    weights: Floats  # [S, I]
    slopes: Floats  # of a step, zeros between steps [S, I]
    decided: Ints  # in a step, in all [2, S]
    rate: Floats  # [S]
    bias: Floats  # [B]
    maps: Floats  # hits and trials [2, E STATES]
    finals: Floats  # likewise [2, F CELLS]
    cell: Ints  # that is counted in [D]
    inputs: Floats  # [D, I]
    mixture: Floats  # p [D]
    gradient: Floats  # of the bits of a decision, by its logit [D]
    rates: Floats  # of its sets [D, SETS]
    total: Floats  # bits [1]
    back: Floats  # gradient of all later bits, by the weights [S, I]
    back_bias: Floats  # … by the biases [B]


class Recorder(ContextMixer):
    """A mixer that keeps what it saw."""

    def __init__(self, size: int, streams: int, phrases: Phrases | None) -> None:
        super().__init__(size, streams, phrases=phrases)
        self.seen: list[tuple[StepContexts, BitPredictions, Ints]] = []

    def _update(self, contexts: StepContexts, predicted: BitPredictions, symbols: Ints) -> None:
        self.seen.append((contexts, predicted, symbols))
        super()._update(contexts, predicted, symbols)


# ---- pieces -------------------------------------------------------------------------------------


def record(steps: Iterable[tuple[Any, Any, Any]], size: int, streams: int, phrases: Phrases | None = None) -> Piece:
    """Return what a mixer sees of a text of so many bytes. steps: as `benchmarks.mixing.steps` has them; phrases: of
    the model
    """
    mixer = Recorder(size, streams, phrases)
    hits = mixer.state.hits[: mixer.state.first_final] / (1 << TRIAL_BITS)
    for step in steps:
        mixer.encode(*step)
    return _piece(mixer.state, hits, [_decisions(mixer.state, *seen) for seen in mixer.seen])


def _decisions(state: MixerState, contexts: StepContexts, predicted: BitPredictions, symbols: Ints) -> tuple[Any, ...]:
    """(network, state, sets, biases, final, bits) of a step, as :class:`Piece` has them but with all numbers."""
    node, last, known = predicted.node, contexts.last, len(state.orders) + 1
    place, match = predicted.place + state.first_place, predicted.match + state.first_match
    sets = np.broadcast_arrays(predicted.longest, known + node, known + SYMBOLS + last, place, contexts.pair, match)
    biases = last * SYMBOLS + node, SYMBOLS * SYMBOLS + predicted.bias
    final = predicted.longest * SYMBOLS + node
    maps = predicted.state.swapaxes(1, 2)
    found = predicted.inputs[..., 0], maps, np.stack(sets, -1), np.stack(biases, -1), final, bits_of(symbols)
    return tuple(array.reshape(node.size, *array.shape[2:]) for array in found)


def _piece(state: MixerState, hits: Floats, decisions: Sequence[tuple[Any, ...]]) -> Piece:
    network, maps, sets, biases, final, bits = (np.concatenate(parts) for parts in zip(*decisions, strict=True))
    edges = np.cumsum([0, *(len(step[0]) for step in decisions)])
    which, sets = np.unique(sets, return_inverse=True)
    bias, biases = np.unique(biases, return_inverse=True)
    row, final = np.unique(final, return_inverse=True)
    kinds = first_kinds(state.orders, state.own)
    rows = first_rows(kinds)  # other sets have the one behind the last
    rows = np.pad(rows, (0, len(state.decisions) - len(rows)), constant_values=len(FIRST_WEIGHTS))[which]
    return Piece(
        network=network * UNIT,
        state=maps.astype(np.int32),
        sets=sets.reshape(-1, SETS).astype(np.int32),
        biases=biases.reshape(-1, 2).astype(np.int32),
        final=final.astype(np.int32),
        bits=bits.astype(np.int32),
        edges=edges,
        rows=rows,
        columns=first_columns(kinds, state.places, len(state.matches.least), len(state.phrases.lengths) > 0),
        pace=state.pace / FULL_PACE,
        hits=hits,
        places=np.array([len(which), len(bias), len(row)]),
    )


def cut(text: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many pieces of 500 to 2,200 bytes, every eighth of 3,500 to 9,000, spread over a text, every second one from
    the beginning of a line on.
    """
    rng = np.random.default_rng(seed)
    for k in range(count):
        size = int(np.exp(rng.uniform(*np.log([3500, 9000] if k % 8 == 4 else [500, 2200]))))
        start = int((k + rng.uniform()) / count * max(len(text) - size, 0))
        line = text.find(b"\n", start, start + 1000) + 1
        start = line if k % 2 and line else start
        yield text[start : start + size]


def kept(codec: Any, text: bytes, path: Path) -> Piece:
    """Return what a mixer sees of a text, read from a file or written to it."""
    if not path.exists():
        schedule = codec.schedule(len(text))
        piece = record(steps(codec, text), len(text), schedule.streams * schedule.teeth, codec.phrases)
        np.savez_compressed(path, **piece._asdict())
    with np.load(path) as file:
        return Piece(**file)


# ---- what a table costs, and its gradient -------------------------------------------------------


def workspace(piece: Piece) -> Work:
    """Return room for a piece."""
    (count, experts), inputs, (sets, biases, rows) = piece.state.shape, len(piece.columns), piece.places.tolist()
    zeros = np.zeros
    final = np.tile(FINAL_TRIALS / (1 + np.exp(MOST - CELL * np.arange(CELLS))), rows)
    return Work(
        weights=zeros((sets, inputs)),
        slopes=zeros((sets, inputs)),
        decided=zeros((2, sets), np.int64),
        rate=zeros(sets),
        bias=zeros(biases),
        maps=np.stack([piece.hits, np.full(experts * STATES, float(FIRST_TRIALS))]),
        finals=np.stack([final, np.full(rows * CELLS, float(FINAL_TRIALS))]),
        cell=zeros(count, np.int64),
        inputs=zeros((count, inputs)),
        mixture=zeros(count),
        gradient=zeros(count),
        rates=zeros((count, SETS)),
        total=zeros(1),
        back=zeros((sets, inputs)),
        back_bias=zeros(biases),
    )


def bits_and_gradient(piece: Piece, table: Floats) -> tuple[float, Floats]:
    """(bits of a piece whose mixer begins with a table of weights, their gradient by the table)."""
    work, whole = workspace(piece), np.pad(table, ((0, 1), (0, 1)))
    work.weights[...] = whole[np.ix_(piece.rows, piece.columns)]
    _forward(piece, work)
    _backward(piece, work)
    gradient = np.zeros_like(whole)
    np.add.at(gradient, (piece.rows[:, None], piece.columns[None]), work.back)
    return float(work.total[0]), gradient[:-1, :-1] / np.log(2)


@compiled
def _forward(piece: Piece, work: Work) -> None:
    """Code a piece, and learn from it."""
    for step in range(len(piece.edges) - 1):
        for d in range(piece.edges[step], piece.edges[step + 1]):
            _ask(piece, work, d)
            _refine(piece, work, d, _mix(piece, work, d))
        _learn(piece, work, piece.edges[step], piece.edges[step + 1])
        for d in range(piece.edges[step], piece.edges[step + 1]):
            for o in range(piece.state.shape[1]):
                if piece.state[d, o] % STATES > 0:
                    _count(work.maps, piece.state[d, o], piece.bits[d])
            _count(work.finals, work.cell[d], piece.bits[d])


@compiled
def _ask(piece: Piece, work: Work, d: int) -> None:
    """Set the inputs of a decision."""
    count = piece.state.shape[1]
    work.inputs[d, 0], work.inputs[d, count + 1] = piece.network[d], CONSTANT * UNIT
    for o in range(count):
        which = piece.state[d, o]
        if which % STATES > 0:
            work.inputs[d, 1 + o] = min(max(_logit(work.maps, which), -EXPERT), EXPERT)


@compiled
def _logit(maps: Floats, which: int) -> Any:
    """Return the logit of a state."""
    hits, trials = maps[0, which], maps[1, which]
    return np.log((hits + TINY) / (trials - hits + TINY))


@compiled
def _mix(piece: Piece, work: Work, d: int) -> Any:
    """Return the mixture's logit, not clipped."""
    x = work.bias[piece.biases[d, 0]] + work.bias[piece.biases[d, 1]]
    for q in range(SETS):
        for i in range(work.inputs.shape[1]):
            x += work.weights[piece.sets[d, q], i] * work.inputs[d, i]
    return x


@compiled
def _refine(piece: Piece, work: Work, d: int, logit: float) -> None:
    """Ask the final map, and count the bits that the decision takes."""
    x = min(max(logit, -MOST), MOST)
    cell = min(int((x + MOST) / CELL), CELLS - 2)
    part, low = (x + MOST) / CELL - cell, piece.final[d] * CELLS + cell
    left, right = _logit(work.finals, low), _logit(work.finals, low + 1)
    p = 1 / (1 + np.exp(-(5 * x + 3 * (left * (1 - part) + right * part)) / 8))
    bit = piece.bits[d]
    work.total[0] -= np.log2(max(p if bit else 1 - p, 2.0**-20))
    work.cell[d], work.mixture[d] = low + (1 if part > 0.5 else 0), 1 / (1 + np.exp(-x))
    work.gradient[d] = (p - bit) * (5 + 3 * (right - left) / CELL) / 8 if x == logit else 0.0


@compiled
def _learn(piece: Piece, work: Work, first: int, last: int) -> None:
    """Move biases and weights by the decisions of a step."""
    inputs = work.inputs.shape[1]
    for d in range(first, last):
        error = piece.bits[d] - work.mixture[d]
        for b in range(2):
            work.bias[piece.biases[d, b]] += error * BIASES[b]
        for q in range(SETS):
            work.decided[0, piece.sets[d, q]] += 1
            for i in range(inputs):
                work.slopes[piece.sets[d, q], i] += error * work.inputs[d, i]
    for d in range(first, last):
        for q in range(SETS):
            which = piece.sets[d, q]
            many = work.decided[0, which]
            if many > 0:
                work.decided[0, which], work.decided[1, which] = 0, work.decided[1, which] + many
                rate = (FAST / (1 + work.decided[1, which] / CALM) + SLOW) * RATE
                work.rate[which] = rate / max(many // MANY, 1)
                for i in range(inputs):
                    work.weights[which, i] += work.rate[which] * piece.pace[i] * work.slopes[which, i]
                    work.slopes[which, i] = 0
            work.rates[d, q] = work.rate[which]


@compiled
def _count(maps: Floats, which: int, bit: int) -> None:
    """Count a bit in a state."""
    maps[0, which] += bit
    maps[1, which] += 1
    if maps[1, which] > MOST_TRIALS:
        maps[0, which], maps[1, which] = maps[0, which] / 2, maps[1, which] / 2


@compiled
def _backward(piece: Piece, work: Work) -> None:
    """Set the gradient of all bits by the first weights, behind `_forward`."""
    inputs = work.inputs.shape[1]
    for step in range(len(piece.edges) - 2, -1, -1):
        for d in range(piece.edges[step], piece.edges[step + 1]):
            moved = 0.0
            for b in range(2):
                moved += BIASES[b] * work.back_bias[piece.biases[d, b]]
            for q in range(SETS):
                for i in range(inputs):
                    moved += work.rates[d, q] * piece.pace[i] * work.back[piece.sets[d, q], i] * work.inputs[d, i]
            if work.gradient[d] != 0.0:
                work.gradient[d] -= moved * work.mixture[d] * (1 - work.mixture[d])
        for d in range(piece.edges[step], piece.edges[step + 1]):
            for b in range(2):
                work.back_bias[piece.biases[d, b]] += work.gradient[d]
            for q in range(SETS):
                for i in range(inputs):
                    work.back[piece.sets[d, q], i] += work.gradient[d] * work.inputs[d, i]


# ---- learning -----------------------------------------------------------------------------------


@dataclass
class Descent:
    """Adam (Kingma and Ba 2015) whose steps also go back towards the first table, and the mean of its later tables."""

    table: Floats
    rate: float = 0.003
    pull: float = 0.7

    def __post_init__(self) -> None:
        self.first, self.mean = self.table.copy(), np.zeros_like(self.table)
        self.slope, self.square = np.zeros_like(self.table), np.zeros_like(self.table)
        self.steps = self.later = 0

    def step(self, gradient: Floats, done: float) -> None:
        """Take a step. done: share of the steps before it"""
        self.steps += 1
        self.slope += 0.1 * (gradient - self.slope)
        self.square += 0.02 * (gradient**2 - self.square)
        slope, square = self.slope / (1 - 0.9**self.steps), self.square / (1 - 0.98**self.steps)
        change = slope / (np.sqrt(square) + 1e-9) + self.pull * (self.table - self.first)
        self.table -= self.rate * max(1 - done, 0.1) * change
        if done >= 0.5:
            self.later += 1
            self.mean += (self.table - self.mean) / self.later


def learn(pieces: Sequence[Piece], table: Floats, epochs: int, batch: int = 24) -> Floats:
    """Return the table that a first one becomes."""
    base = [bits_and_gradient(piece, table)[0] for piece in pieces]
    descent, rng, turns = Descent(table.copy()), np.random.default_rng(0), -(-len(pieces) // batch)
    for epoch in range(epochs):
        share = 0.0
        for turn, chosen in enumerate(np.array_split(rng.permutation(len(pieces)), turns)):
            gradient = np.zeros_like(table)
            for k in chosen.tolist():
                bits, slope = bits_and_gradient(pieces[k], descent.table)
                share += bits / base[k] / len(pieces)
                gradient += slope / base[k] / len(chosen)
            descent.step(gradient, (epoch * turns + turn) / (epochs * turns))
        click.echo(f"# epoch {epoch + 1}: {share - 1:+.3%} of the bits, while learning")
    return descent.mean


def lines(table: Floats) -> str:
    """The rows of a table, as the module has them."""
    whole = np.rint(table * (1 << FIRST_BITS)).astype(int)
    return "\n".join(f"    ({', '.join(map(str, row))})," for row in whole.tolist())


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--pieces", default=120, show_default=True, help="Of each file.")
@click.option("--part", default=100, show_default=True, help="Percent of each file, its head, that they are of.")
@click.option("-m", "--model", default="text", show_default=True, help="Model whose network predicts.")
@click.option("--epochs", default=4, show_default=True, help="How often every piece has its turn.")
@click.option("--kept", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Their folder.")
def main(files: tuple[Path, ...], pieces: int, part: int, model: str, epochs: int, folder: Path) -> None:
    from bfncodec.codecs.loading import load

    codec = load(model, threads=1)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed, file in enumerate(files):
        text = content(file)
        for k, piece in enumerate(cut(text[: len(text) * part // 100], pieces, seed)):
            found.append(kept(codec, piece, folder / f"{file.name}-{model}-{k}.npz"))
    click.echo(lines(learn(found, np.array(FIRST_WEIGHTS) / (1 << FIRST_BITS), epochs)))


if __name__ == "__main__":
    main()
