"""Steps of texts as rounds of kernels: the network on its streams in threads, then mixers and range decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bfncodec.codecs.streams import Batch, Places, Predictor, Run
from bfncodec.codecs.threads import Team
from bfncodec.coding.bitcoder import BitDecoder
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.rangecoder import SymbolSource, damaged
from bfncodec.networks.protocol import PreparedNetwork, PreparedState, SymbolNetwork
from bfncodec.runtime.arrays import Bytes, Ints
from bfncodec.runtime.jit import Prepared
from bfncodec.runtime.progress import Progress
from bfncodec.runtime.rounds import Rounds

if TYPE_CHECKING:  # it is loaded where kernels work
    from bfncodec.coding.mixing.compiled.mixer import PreparedMixer

LEAST = 4  # steps that pay
MIXING = 250_000  # multiplications of a network that take as long as what a mixer does with a symbol beside it
TOGETHER = 32  # steps between two reports of progress


@dataclass(frozen=True)
class Turn:
    """A text at some steps. place: of its slots among those of the batch; own: their numbers in the text."""

    mixer: ContextMixer | None
    source: SymbolSource
    place: Places
    own: Ints


@dataclass(frozen=True)
class Steps:
    """Some steps of texts. end: calls that follow the last."""

    rounds: Rounds
    end: Sequence[Prepared]


def mixing_beside(network: SymbolNetwork, batch: Batch) -> float:
    """Return how many streams a network of kernels has done with while mixers do what need not wait for it."""
    mixed = sum(part.schedule.streams for part in batch.parts if part.mixed)
    return mixed * MIXING / cast("PreparedNetwork", network).work


def steps_of(predictor: Predictor, symbols: Bytes, turns: Sequence[Turn], steps: range) -> Steps | None:
    """Return steps as rounds of a predictor and mixers of kernels, None where they have to go through Python: few
    steps, texts that are not mixed, other sources than range decoders.

    symbols: of all slots and steps, uint8 [B, n], which are filled.
    """
    mixers = [found for turn in turns if (found := _reading(predictor, symbols, turn))]
    if len(steps) < LEAST or len(mixers) < len(turns):
        return None
    states, spans = cast("list[PreparedState]", predictor.states), predictor.spans
    units = [mixer.before for mixer in mixers]
    units += [state.prepare(symbols[span], predictor.rows[span]) for state, span in zip(states, spans, strict=True)]
    after = [call for mixer in mixers for call in mixer.after]
    return Steps(Rounds(units, after, steps.start), [mixer.end for mixer in mixers])


def _reading(predictor: Predictor, symbols: Bytes, turn: Turn) -> PreparedMixer | None:
    """Return the calls that read steps of one text, None where only Python can."""
    from bfncodec.coding.mixing.compiled.mixer import CompiledMixer

    mixer, source, place = turn.mixer, turn.source, turn.place
    if not (isinstance(mixer, CompiledMixer) and isinstance(source, BitDecoder) and isinstance(place, slice)):
        return None
    return mixer.prepare(predictor.rows[place], turn.own, source, symbols[place])


def play(found: Steps, run: Run, team: Team, progress: Progress) -> None:
    """Take the steps of a run, in the threads of a team: one of them mixes while others have the network.

    Raises DamagedError for what no encoder writes.
    """
    rounds = found.rounds
    finish = team.begin(lambda _: rounds.help(), range(1, team.threads))
    try:
        for first in range(run.steps.start, run.steps.stop, TOGETHER):
            last = min(first + TOGETHER, run.steps.stop)
            if not rounds.run(last):
                raise damaged()
            progress(run.count * (last - first))
    finally:
        rounds.stop()
        finish()
    for call in found.end:
        call()
