"""Steps of texts as rounds of kernels: the network on its streams in threads, then mixers and range decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bfncodec.codecs.streams import Places, Predictor, Run
from bfncodec.codecs.threads import Team
from bfncodec.coding.mixing.contexts import ContextMixer
from bfncodec.coding.rangecoder import RangeDecoder, SymbolSource, damaged
from bfncodec.networks.protocol import PreparedState
from bfncodec.runtime.arrays import Bytes, Ints
from bfncodec.runtime.jit import Prepared
from bfncodec.runtime.progress import Progress
from bfncodec.runtime.rounds import Rounds

LEAST = 4  # steps that pay
TOGETHER = 32  # steps between two reports of progress


@dataclass(frozen=True)
class Turn:
    """What a text does at some steps: place: of its slots among those of the batch; own: their numbers in the text."""

    mixer: ContextMixer | None
    source: SymbolSource
    place: Places
    own: Ints


def rounds_of(predictor: Predictor, symbols: Bytes, turns: Sequence[Turn], steps: range) -> Rounds | None:
    """Return steps as rounds of a predictor and mixers of kernels, None where they have to go through Python: few
    steps, texts that are not mixed, other sources than range decoders.

    symbols: of all slots and steps, uint8 [B, n], which are filled.
    """
    after = [_reading(predictor, symbols, turn) for turn in turns]
    if len(steps) < LEAST or not all(after):
        return None
    states, spans = cast("list[PreparedState]", predictor.states), predictor.spans
    units = [state.prepare(symbols[span], predictor.rows[span]) for state, span in zip(states, spans, strict=True)]
    return Rounds(units, [call for calls in after for call in calls], steps.start)


def _reading(predictor: Predictor, symbols: Bytes, turn: Turn) -> list[Prepared]:
    """Return the calls that read a step of one text, none where only Python can."""
    from bfncodec.coding.mixing.compiled import CompiledMixer

    mixer, source, place = turn.mixer, turn.source, turn.place
    if not (isinstance(mixer, CompiledMixer) and isinstance(source, RangeDecoder) and isinstance(place, slice)):
        return []
    return mixer.prepare(predictor.rows[place], turn.own, source, symbols[place])


def play(rounds: Rounds, run: Run, team: Team, progress: Progress) -> None:
    """Take the steps of a run, whose network the threads of a team share.

    Raises DamagedError for what no encoder writes.
    """
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
