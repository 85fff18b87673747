"""Bytes through the erasure sender on the comb schedule.

Each step of the schedule reveals one symbol of every tooth of every stream. The sender delivers them exactly, so the
receiver's prediction p_R is the network's p_O, and the step costs KL(p_S || p_R) = -log2 p_O(x | theta) for each: a
range coder under p_O takes that, and needs no bits back. Within a stream of one tooth this is autoregression.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs.base import Architecture, Implementations, ModelCodec, check_size, named
from bfncodec.codecs.protocol import Capabilities
from bfncodec.codecs.steps import Turn, mixing_beside, play, steps_of
from bfncodec.codecs.streams import (
    ON_A_GPU,
    SYMBOLS,
    Batch,
    CorrectedPredictor,
    Part,
    Predictor,
    Sizes,
    batches,
    shares,
)
from bfncodec.codecs.threads import Each, Team, in_threads, side_by_side
from bfncodec.coding.ans import RandomStack
from bfncodec.coding.bitcoder import BitDecoder, BitEncoder
from bfncodec.coding.cdf import Intervals, softmax_frequencies, softmax_intervals
from bfncodec.coding.machinecode import absolute, is_machine_code, relative
from bfncodec.coding.mixing.bits import bit_frequencies, bit_intervals, bits_in_order
from bfncodec.coding.mixing.corrections import VERSION as CORRECTING
from bfncodec.coding.mixing.corrections import Corrections, Corrector, corrections_of
from bfncodec.coding.mixing.dictionary import Dictionary
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.phrases import Phrases, phrases_of
from bfncodec.coding.mixing.state import BITS, CONTEXTS, MACHINE_CONTEXTS, VERSION, Contexts, learned_in
from bfncodec.coding.rangecoder import RangeDecoder, RangeEncoder, SymbolSource, information
from bfncodec.errors import DamagedError, ModelError
from bfncodec.flow.report import CodeLength, StepCosts
from bfncodec.flow.schedules.reveal import Comb
from bfncodec.forks import cached_property
from bfncodec.format.wire import Reader, varint
from bfncodec.models import CONFIG, ModelInfo
from bfncodec.networks.acceleration import CORRECTIONS, MIXING, TRANSFORMER, kernels_pay
from bfncodec.networks.protocol import SymbolNetwork
from bfncodec.networks.stored import Tensors
from bfncodec.networks.transformer.config import FAR, TransformerConfig
from bfncodec.networks.transformer.weights import TransformerWeights
from bfncodec.runtime.progress import Progress, silent
from bfncodec.runtime.threads import threads_here

# Without compiled kernels, roughly: what a symbol takes to encode, a step and a stream of it to decode.
ENCODE_SECONDS, STEP_SECONDS, STREAM_SECONDS = 1e-4, 3e-3, 5e-4
MIX_SECONDS = 2e-3  # … and a step of a text to mix


MIXED_STREAMS = 64  # that pay for threads which mix a step of them
MACHINE = np.zeros(1, np.int64)  # frequency of machine code among mixed texts: it costs 24 bits, others nothing


@dataclass(frozen=True)
class Decisions:
    """Decisions of a text in coding order: intervals of symbols, or, with a mixer, of the bits of symbols, and their
    steps.
    """

    part: Part
    mixer: ContextMixer | None
    intervals: Intervals
    step: NDArray[np.int64]


class TextCodec(ModelCodec[bytes]):
    """Byte strings of any length, in any encoding.

    Payload: varint length, then the symbols. The text is cut into streams of nearly equal length, as the table
    `streams` of the model's config says: so many that none is longer than `length` bytes, but at most `most`, unless
    positions do not reach. Step after step the symbols of that step are coded, stream by stream and tooth by tooth. How
    many teeth a stream has follows from the length of the text, by the table `teeth_by_length`. Where the config has a
    table `mixing`, texts of its `from_length` bytes and more are mixed with context models that learn from them; what
    looks like machine code has addresses in place of distances, and more contexts. In shorter texts the network's
    predictions are corrected, if the table has `corrections`. Its `version` says how all this is done; a model with
    another one than there is here raises ModelError. A model may have a dictionary, with which the mixer of every text
    begins (:mod:`bfncodec.coding.mixing.dictionary`); machine code is not looked for then.
    """

    capabilities = Capabilities(batch=1 << 20)
    sizes = Sizes()

    def __init__(self, info: ModelInfo, tensors: Tensors, device: str) -> None:
        self.info, self.device = info, device
        self.sizes = Sizes() if device == "cpu" else ON_A_GPU
        self.teeth = [(int(size), int(m)) for size, m in info.config["teeth_by_length"]]
        self.length, self.most = (int(info.config["streams"][key]) for key in ("length", "most"))
        mixing = info.config.get("mixing")
        if mixing:
            _check_version(info, mixing)
        self.least_mixed = int(mixing["from_length"]) if mixing else None
        self.phrases, self.words = _phrases(info), _dictionary(info)
        self.corrections = _corrections(info, mixing or {}, self.phrases)
        self.make_schedule = named(SCHEDULES, info.config.get("schedule", "comb"), "schedule")
        values = dict(info.config["network"])
        self.reach = FAR * int(values["window"])
        architecture = named(NETWORKS, values.get("architecture", "transformer"), "architecture")
        self.network = Implementations(architecture, values, tensors, device)

    def schedule(self, size: int) -> Comb:
        """Return the schedule of a text of so many bytes: when which symbol is revealed."""
        streams = max(min(-(-size // self.length), self.most), -(-size // self.reach), 1)
        teeth = max(size_and_teeth for size_and_teeth in self.teeth if size_and_teeth[0] <= size)[1]
        return self.make_schedule(size, teeth, streams)

    def encode_items(self, xs: Sequence[bytes], progress: Progress, thorough: bool) -> list[bytes]:
        def encode(own: list[int], report: Progress) -> list[bytes]:
            return self._encode([xs[i] for i in own], report)

        self._learn_dictionary()
        return self._in_shares(encode, [len(x) for x in xs], progress)

    def _encode(self, xs: Sequence[bytes], progress: Progress) -> list[bytes]:
        encoders: dict[int, RangeEncoder | BitEncoder] = {}
        for found in self._decisions(xs, progress):
            if found.part.item not in encoders:
                encoders[found.part.item] = _encoder(found)
            _append(encoders[found.part.item], found.intervals)
        coded = [encoders[i].finish() if i in encoders else b"" for i in range(len(xs))]
        return [varint(len(x)) + code for x, code in zip(xs, coded, strict=True)]

    def decode_items(self, payloads: Sequence[bytes], progress: Progress) -> list[bytes]:
        sizes, bodies = zip(*map(_split, payloads), strict=True) if payloads else ((), ())
        sources = [
            BitDecoder(body) if self._mixes(size) else RangeDecoder(body)
            for size, body in zip(sizes, bodies, strict=True)
        ]
        return self._decode_all(sizes, sources, progress)

    def draw(self, count: int, size: tuple[int, ...], seed: np.random.SeedSequence) -> list[bytes]:
        """Return samples of the model: texts of ``size[0]`` bytes."""
        return self._decode_all(list(size) * count, [RandomStack(own) for own in seed.spawn(count)], silent)

    def codelength(self, x: bytes) -> CodeLength:
        self.check(x)
        costs = StepCosts(self.schedule(len(x)).n_steps)
        for found in self._decisions([x], silent):
            costs.add(found.step, information(found.intervals.frequency))
        return costs.total(len(x))

    def surprise(self, x: bytes) -> NDArray[np.float64]:
        self.check(x)
        schedule, found = self.schedule(len(x)), np.zeros(len(x))
        coded = [_symbol_bits(part) for part in self._decisions([x], silent)]
        found[schedule.order] = np.concatenate([np.zeros(0), *coded])
        return found

    # ---- encoder and decoder --------------------------------------------------------------------

    def _decisions(self, xs: Sequence[bytes], progress: Progress) -> Iterator[Decisions]:
        """Decisions of all texts, block after block: the encoder knows x, so that theta of all steps is at hand."""
        machine = [self.words is None and self._mixes(len(x)) and is_machine_code(x) for x in xs]
        xs = [absolute(x) if is_code else x for x, is_code in zip(xs, machine, strict=True)]
        for batch in self._batches([len(x) for x in xs], machine):
            yield from self._batch_decisions(batch, batch.cut(xs), self.dictionary, progress)

    @cached_property
    def dictionary(self) -> Dictionary | None:
        """The model's dictionary, and what it teaches; None if the model has none."""
        if self.words is None:
            return None
        batch, new = Batch((Part(0, self.schedule(len(self.words)), True),)), Dictionary(self.words)
        *_, last = self._batch_decisions(batch, batch.cut([self.words]), new, silent)
        assert last.mixer is not None
        return learned_in(last.mixer.state, self.words)

    def _learn_dictionary(self) -> None:
        """Learn it now, with all threads, instead of in each of them."""
        _ = self.dictionary

    def _batch_decisions(
        self, batch: Batch, symbols: NDArray[np.uint8], dictionary: Dictionary | None, progress: Progress
    ) -> Iterator[Decisions]:
        """`_decisions` of the texts of a batch, cut into symbols, uint8 [B, teeth, steps]."""
        kernels = self._kernels(batch, ENCODE_SECONDS * batch.symbols)
        network = self.network.compiled if kernels else self.network.exact
        mixers, block = self._mixers(batch, dictionary, kernels), self.sizes.steps(batch)

        def decisions(k: int) -> Decisions:
            part, rows = batch.parts[k], batch.rows[k]
            return _part_decisions(part, mixers[k], found[rows], symbols[rows], batch.exists[rows], first)

        with self._mixing(batch, 2) as each, self._team(batch.streams // self.sizes.encode_least, True) as team:
            parts = -(-batch.streams // self.sizes.encode_streams)
            predictor = self._predictor(network, batch, team, kernels, parts, block)
            predictor.observe(0, symbols)
            # Where nothing else has a say, a GPU tells intervals, which are far less than distributions.
            short = self.device != "cpu" and not any(mixers) and not isinstance(predictor, CorrectedPredictor)
            begin = predictor.begin_intervals if short else predictor.begin
            finish = begin(0, min(block, batch.n_steps))
            for first in range(0, batch.n_steps, block):
                found, following = finish(), first + block
                if following < batch.n_steps:  # while this block is mixed and coded
                    finish = begin(following, min(following + block, batch.n_steps))
                yield from each(decisions, range(len(batch.parts)))
                progress(int(batch.exists[:, :, first : first + block].sum()))

    def _decode_all(self, sizes: Sequence[int], sources: Sequence[SymbolSource], progress: Progress) -> list[bytes]:
        """The texts of these sizes that sources of symbols, one for each, give."""
        self._learn_dictionary()

        def decode(own: list[int], report: Progress) -> list[bytes]:
            return self._decode([sizes[i] for i in own], [sources[i] for i in own], report)

        return self._in_shares(decode, sizes, progress)

    def _decode(self, sizes: Sequence[int], sources: Sequence[SymbolSource], progress: Progress) -> list[bytes]:
        items = [b""] * len(sizes)
        machine = [self._mixes(n) and _read_kind(source) for n, source in zip(sizes, sources, strict=True)]
        if self.words is not None and any(machine):
            raise DamagedError("expected a text, found machine code, which a model with a dictionary does not write")
        for batch in self._batches(sizes, machine):
            texts = self._decode_batch(batch, [sources[part.item] for part in batch.parts], progress)
            for part, text in zip(batch.parts, texts, strict=True):
                items[part.item] = relative(text) if part.machine else text
        return items

    def _decode_batch(self, batch: Batch, sources: Sequence[SymbolSource], progress: Progress) -> list[bytes]:
        """The inverse of `_decisions` and the coder, step after step."""
        kernels = self._kernels(batch, batch.n_steps * (STEP_SECONDS + STREAM_SECONDS * batch.streams))
        network = self.network.compiled if kernels else self.network.exact
        mixers, symbols = self._mixers(batch, self.dictionary, kernels), np.zeros(batch.exists.shape, np.uint8)
        slots = symbols.reshape(-1, batch.n_steps)
        least = self.sizes.kernels_least if kernels else self.sizes.decode_least
        with self._mixing(batch, MIXED_STREAMS) as each, self._team(batch.streams // least) as team:
            predictor = self._predictor(network, batch, team, kernels)
            for run in batch.runs:
                turns = [Turn(mixers[k], sources[k], place, own) for k, place, own in run.slots]
                mixed = any(turn.mixer for turn in turns)
                steps = steps_of(predictor, slots, turns, run.steps) if kernels else None
                if steps is not None:
                    play(steps, run, team, progress)
                    predictor.observe(run.steps[-1], symbols[:, :, run.steps[-1] : run.steps.stop])
                    continue
                for i in run.steps:
                    p_O: NDArray[Any] = predictor.step(i)
                    if not mixed:
                        p_O = softmax_frequencies(p_O)  # in one call for all texts

                    def decode(turn: Turn, p_O: NDArray[Any] = p_O, i: int = i) -> None:
                        slots[turn.place, i] = _decode_symbols(p_O[turn.place], turn.own, turn.mixer, turn.source)

                    for _ in each(decode, turns):
                        pass
                    predictor.observe(i, symbols[:, :, i : i + 1])
                    progress(run.count)
        return batch.join(symbols)

    # ---- what runs where ------------------------------------------------------------------------

    def _in_shares(
        self, work: Callable[[list[int], Progress], list[bytes]], sizes: Sequence[int], progress: Progress
    ) -> list[bytes]:
        """Return what `work` makes of the texts of these sizes, told by their numbers, in their order. Many texts are
        shared out among threads: in each of them mixers wait for nobody.
        """
        threads = threads_here() if self.device == "cpu" else 1
        groups = shares(sizes, threads, self.sizes.kernels_least)
        made = [work(groups[0], progress)] if len(groups) == 1 else in_threads(work, groups, progress, threads)
        found = dict(zip(itertools.chain(*groups), itertools.chain(*made), strict=True))
        return [found[i] for i in range(len(sizes))]

    def _mixes(self, size: int) -> bool:
        """Return whether context models learn from a text of so many bytes."""
        return self.least_mixed is not None and size >= max(self.least_mixed, 1)

    def _batches(self, sizes: Sequence[int], machine: Sequence[bool]) -> Iterator[Batch]:
        """The texts of these sizes, of which some are machine code, in batches."""
        parts = []
        for item, (size, is_code) in enumerate(zip(sizes, machine, strict=True)):
            parts += [Part(item, self.schedule(size), self._mixes(size), is_code)] if size else []
        return batches(parts, self.sizes)

    def _kernels(self, batch: Batch, seconds: float) -> bool:
        """Return whether compiled kernels are to code a batch, which takes about so long without them."""
        return batch.teeth == 1 and self.network.kernels_pay(seconds)

    def _team(self, most: int, ahead: bool = False) -> Team:
        """At most so many threads that run the network side by side, each for streams of its own. ahead: whether the
        network may work while something else is done, for which a GPU wants a thread more.
        """
        return Team(max(1, min(threads_here(), most)) if self.device == "cpu" else 1 + ahead)

    def _predictor(
        self, network: SymbolNetwork, batch: Batch, team: Team, kernels: bool, parts: int = 1, block: int = 1
    ) -> Predictor:
        """Return the network at work on a batch. kernels: whether they are to correct it, where a CPU has it"""
        if self.corrections is None or self.phrases is None or batch.parts[0].mixed:
            beside = mixing_beside(network, batch) if kernels and parts == block == 1 else 0
            return Predictor(network, batch, team, parts, block, beside)
        alone = self.device != "cpu" and kernels_pay(MIX_SECONDS * batch.n_steps, CORRECTIONS)
        corrector = _corrector(batch, self.phrases, self.corrections, kernels or alone)
        return CorrectedPredictor(corrector, network, batch, team, parts, block)

    def _mixers(self, batch: Batch, dictionary: Dictionary | None, kernels: bool) -> list[ContextMixer | None]:
        """Context models of each text that they learn from, in kernels where a GPU has the network and these pay."""
        turns = sum(part.schedule.n_steps for part in batch.parts if part.mixed)
        alone = self.device != "cpu" and turns > 0 and kernels_pay(MIX_SECONDS * turns, MIXING)
        return _mixers(batch, self.phrases, dictionary, kernels or alone)

    def _mixing(self, batch: Batch, least: int) -> AbstractContextManager[Each]:
        """Return the block that codes texts: side by side where a GPU has the network and so many streams wait."""
        texts = sum(part.mixed for part in batch.parts)
        return side_by_side(min(threads_here(), texts) if self.device != "cpu" and batch.streams >= least else 1)


def _weights(values: dict[str, Any], tensors: Tensors) -> TransformerWeights:
    return TransformerWeights.of(TransformerConfig.from_dict(values), tensors)


def _exact(weights: TransformerWeights, device: str) -> SymbolNetwork:
    import torch

    from bfncodec.networks.transformer.exact import ExactTransformer

    return ExactTransformer(weights, torch.device(device))


def _compiled(weights: TransformerWeights) -> SymbolNetwork:
    from bfncodec.networks.transformer.compiled import CompiledTransformer

    return CompiledTransformer(weights)


NETWORKS: Mapping[str, Architecture[Any, SymbolNetwork]] = {
    "transformer": Architecture(_weights, _exact, _compiled, TRANSFORMER)
}
"""Networks of texts by the name of their architecture, which only a config.json of another than the first says."""

SCHEDULES: Mapping[str, Callable[[int, int, int], Comb]] = {"comb": Comb}
"""Schedules of texts, of so many bytes, teeth and streams, by the name in config.json."""


def _check_version(info: ModelInfo, mixing: Mapping[str, Any]) -> None:
    """Raise ModelError for a model whose texts another mixer writes."""
    wanted, found = VERSION if mixing.get("corrections") is None else CORRECTING, mixing.get("version", 1)
    if found != wanted or isinstance(found, bool):
        raise ModelError(
            f"{info.path}: expected version {wanted} of the mixer (`mixing` in config.json), found {found!r}: this "
            "model is of another release of bfncodec; install that release, or the model as this one has it"
        )


def _phrases(info: ModelInfo) -> Phrases | None:
    """Return the phrases of a model, None if it has none. Raises ModelError for a file that holds something else."""
    if info.phrases is None:
        return None
    from safetensors.numpy import load_file

    return phrases_of(load_file(info.phrases), str(info.phrases))


def _corrections(info: ModelInfo, mixing: Mapping[str, Any], phrases: Phrases | None) -> Corrections | None:
    """Return the corrections of a model, None if it has none."""
    stated = mixing.get("corrections")
    if stated is None:
        return None
    return corrections_of(stated, len(phrases.lengths) if phrases else 0, str(info.path / CONFIG))


def _corrector(batch: Batch, phrases: Phrases, corrections: Corrections, kernels: bool) -> Corrector:
    """Corrections of what the network predicts of texts that are not mixed."""
    kind = Corrector
    if kernels:
        from bfncodec.coding.mixing.compiled.corrections import CompiledCorrector

        kind = CompiledCorrector
    return kind(batch.streams * batch.teeth, batch.n_steps, phrases, corrections)


def _dictionary(info: ModelInfo) -> bytes | None:
    """Return the bytes of a model's dictionary, None if it has none. Raises ModelError for one that cannot be used."""
    if info.dictionary is None:
        return None
    if [m for _, m in info.config["teeth_by_length"]] != [1]:
        raise ModelError(f"{info.path}: expected a model of one tooth beside a dictionary, found several; make it anew")
    return info.read_dictionary()


def _mixers(
    batch: Batch, phrases: Phrases | None, dictionary: Dictionary | None, kernels: bool
) -> list[ContextMixer | None]:
    """Context models of each text that they learn from."""
    kind = ContextMixer
    if kernels:
        from bfncodec.coding.mixing.compiled.mixer import CompiledMixer

        kind = CompiledMixer

    def mixer(part: Part) -> ContextMixer:
        schedule = part.schedule
        return kind(schedule.length, schedule.streams * schedule.teeth, _contexts(part), phrases, dictionary)

    return [mixer(part) if part.mixed else None for part in batch.parts]


def _contexts(part: Part) -> Contexts:
    """The contexts that a text is mixed with."""
    return MACHINE_CONTEXTS if part.machine else CONTEXTS


def _encoder(found: Decisions) -> RangeEncoder | BitEncoder:
    """An encoder for a text that begins with these decisions; one of bits has written whether it is machine code."""
    if found.mixer is None:
        return RangeEncoder()
    encoder = found.mixer.encoder()
    encoder.append(bit_intervals(MACHINE, np.array([found.part.machine], np.int64)))
    return encoder


def _append(encoder: RangeEncoder | BitEncoder, part: Intervals) -> None:
    """Append decisions to a code."""
    if isinstance(encoder, BitEncoder):
        encoder.append(part)
    else:
        encoder.encode_intervals(part.below, part.frequency, part.symbol, SYMBOLS)


def _read_kind(source: SymbolSource) -> bool:
    """Read whether a text is machine code."""
    return bool(source.decode_rows(bit_frequencies(MACHINE))[0])


def _part_decisions(
    part: Part,
    mixer: ContextMixer | None,
    weights: NDArray[np.int32],
    symbols: NDArray[np.uint8],
    exists: NDArray[np.bool_],
    first: int,
) -> Decisions:
    """Decisions of one text in a block that begins at step `first`.

    weights: p_O of the block, [streams, k, teeth, 256], or the intervals under it, [streams, k, teeth, 2]; symbols,
    exists: of all steps, [streams, teeth, steps].
    """
    inside = exists[:, :, first : first + weights.shape[1]]
    step, stream, tooth = np.nonzero(inside.transpose(2, 0, 1))
    observed = symbols[stream, tooth, first + step].astype(np.int64)
    p_O = weights[stream, step, tooth]
    if p_O.shape[1] == 2:
        return Decisions(part, None, Intervals(p_O[:, 0], p_O[:, 1], observed), first + step)
    if mixer is None:
        return Decisions(part, None, softmax_intervals(p_O, observed), first + step)
    bits = _mixed_intervals(mixer, p_O, observed, step, stream * part.schedule.teeth + tooth)
    return Decisions(part, mixer, bits, np.repeat(first + step, BITS))


def _symbol_bits(found: Decisions) -> NDArray[np.float64]:
    """Bits of each symbol, in coding order; those of a step have their first bits together, then their second."""
    bits = information(found.intervals.frequency)
    if found.mixer is None:
        return bits
    edges = np.flatnonzero(np.diff(found.step, prepend=-1, append=-1)).tolist()
    return np.concatenate([np.zeros(0), *(bits[a:b].reshape(BITS, -1).sum(0) for a, b in itertools.pairwise(edges))])


def _mixed_intervals(
    mixer: ContextMixer,
    weights: NDArray[np.int32],
    symbols: NDArray[np.int64],
    step: NDArray[np.int64],
    slot: NDArray[np.int64],
) -> Intervals:
    """Bits of observed symbols [n] under p_O, weights [n, 256], mixed with context models: step after step, the first
    bit of all slots, then the second.
    """
    edges = np.flatnonzero(np.diff(step, prepend=-1, append=-1))
    return bit_intervals(mixer.encode_steps(weights, slot, symbols, edges), bits_in_order(symbols, edges))


def _decode_symbols(
    p_O: NDArray[Any], slot: NDArray[np.int64], mixer: ContextMixer | None, source: SymbolSource
) -> NDArray[np.int64]:
    """The symbols [n] that a step reveals, under p_O, weights [n, 256], and what context models say; or under
    frequencies, float32 [n, 256].
    """
    if mixer is None:
        rows = p_O if p_O.dtype == np.float32 else softmax_frequencies(p_O)
        return source.decode_rows(rows).astype(np.int64)
    return mixer.decode_from(p_O, slot, source)


def _split(payload: bytes) -> tuple[int, bytes]:
    """The length of a text and its coded symbols."""
    reader = Reader(payload)
    size = reader.varint("text length")
    check_size(size, "bytes")
    return size, reader.rest()
