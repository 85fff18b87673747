"""Phrases: a table of how texts go on behind the same bytes, made from training texts, see `bfncodec.coding.mixing`.

    python -m benchmarks.phrases FILE FILE=3 --held-out FILE -m text --buckets 400000 -o phrases.safetensors

A candidate is a context of some bytes that stands several times in the texts, with the byte that most often comes
behind it. Blocks of the texts are counted where this byte comes, and where another one does: what comes often in one
block alone, the mixer learns by itself. A network predicts a sample of the texts; an entry would move its probability
of the byte by the counts without the sample's own block. From short to long contexts, candidates are kept that spare
enough bits beyond the network and the shorter entries: in the mean of their own places in the sample, and of those of
candidates like them, times the blocks. Buckets take the best. How often the bits are right that the table foretells is
counted in texts that neither it nor the network was made from. Files, or what xz packed, may have a share in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.mixing import steps
from benchmarks.texts import content
from bfncodec.coding.mixing.matches import BITS, FORMS, HASH, NONE
from bfncodec.coding.mixing.phrases import (
    ENTRIES,
    MARK_BITS,
    MOST_LENGTH,
    MOST_LENGTHS,
    Phrases,
    Words,
    buckets,
    phrases_of,
    recall,
)
from bfncodec.coding.mixing.state import HASH_POWERS
from bfncodec.runtime.arrays import Array, Bytes, Floats, Ints, Ints32
from bfncodec.runtime.jit import compiled

LEAST = 3  # times that a context stands in the texts, and then blocks where it does
BLOCK = 1 << 19  # bytes
BASE = 5  # bytes of the context by whose prediction candidates are told apart
CHUNK = 3 << 15  # bytes of a piece of the sample
UNIT = 12  # of the sample's costs: parts of a bit
DOUBT, MORE = 0.6, 0.3  # how sure an entry is, of all blocks: (those with its byte - DOUBT) / (all + MORE)
SURE = (0.35, 0.5, 0.65, 0.8, 0.9, 0.96, 0.985)  # where the next confidence begins
BASE_LEVELS = (0.03, 0.1, 0.25, 0.5, 0.8, 0.95)  # likewise of the base's share of the byte
COUNT_LEVELS = 3 * 2 ** np.arange(1, 5)  # likewise of blocks
CELLS = len(COUNT_LEVELS) + 1, len(SURE) + 1, len(BASE_LEVELS) + 1, 3
NETWORK, ENTRY = 0.7, 0.5  # weights of both logits, about as mixers have them
OWN, ALIKE, FIRST = 30, 10, -0.02  # places that the mean of candidates alike counts for; that FIRST does, bits
PRIOR = 0.0005  # of a text, that the mean of forms alike counts for in how often a form is right
MOST_RIGHT = 65_400  # of 2^16: nothing is certain
BYTE, ONE = np.uint64(0xFF), np.uint64(1)
U32, LONG_HASH = np.uint64(32), np.uint64(HASH)

Predict = Callable[[bytes], Iterable[tuple[Array, Ints, Ints]]]
"""(weights, streams, symbols) of each step of a text, see `benchmarks.mixing.steps`."""


class Corpus(NamedTuple):
    """Texts to learn from, F of them."""

    text: Bytes  # all, behind each other
    ends: Ints  # where each ends [F]
    weights: Floats  # of a byte of each: all bytes together weigh as much as they are [F]
    block: int  # bytes of a block


class Index(NamedTuple):
    """Keys by their hash."""

    keys: Words
    slots: Ints32  # number of a key, or NONE: of keys of one hash the first, the others behind it


class Candidates(NamedTuple):
    """N contexts of a length, with the byte that comes most often behind each. A key is the sum of a context's bytes as
    hashes have them, but for the low eight bits.
    """

    length: int
    by_key: Index
    symbols: Bytes
    blocks: Ints  # where the byte comes, where another one does [2, N]
    weight: Floats  # of all of them [N]
    places: Ints  # where in the texts the byte comes, one of all [N]
    score: Floats  # bits that each spares in the texts, one place a block; 0 before they are known [N]

    def some(self, chosen: NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        return Candidates(
            self.length,
            index_of(self.by_key.keys[chosen]),
            symbols=self.symbols[chosen],
            blocks=self.blocks[:, chosen],
            weight=self.weight[chosen],
            places=self.places[chosen],
            score=self.score[chosen],
        )

    def sure(self) -> Ints:
        """Return their confidences."""
        share = np.maximum(self.blocks[0] - DOUBT, 0.1) / (self.blocks.sum(0) + MORE)
        found: Ints = np.digitize(share, SURE)
        return found

    def numbers(self, sums: Words) -> Ints:
        """Return the numbers of the contexts that have some sums, NONE for others."""
        found: Ints = np.empty(len(sums), np.int64)
        _find(self.by_key, sums, found)
        return found


class Sample(NamedTuple):
    """T places of the texts whose bytes a network predicted, stream after stream."""

    text: Bytes
    costs: Bytes  # bits of each byte that might come, by the network [T, 256]
    known: Ints  # how many bytes of a stream stand before a place
    weight: Floats  # of a place: all together 1
    said: Ints  # the byte that the longest entry so far expects, or NONE
    share: Floats  # its probability with all entries so far


# ---- texts and keys -----------------------------------------------------------------------------


def corpus_of(texts: Sequence[tuple[bytes, float]], block: int) -> Corpus:
    """Return the corpus of some texts, each with its share in all."""
    sizes, shares = np.array([len(text) for text, _ in texts]), np.array([share for _, share in texts])
    weights = shares / shares.sum() * sizes.sum() / np.maximum(sizes, 1)
    return Corpus(np.frombuffer(b"".join(text for text, _ in texts), np.uint8).copy(), sizes.cumsum(), weights, block)


def sums_of(text: Bytes, length: int) -> Words:
    """Return the sums over all contexts of a length, the first before the byte of this number."""
    found = np.empty(max(len(text) - length, 0), np.uint64)
    _roll(text, length, found)
    return found


@compiled
def _roll(text: Bytes, length: int, sums: Words) -> None:
    """Implements :func:`sums_of`."""
    total = ONE - ONE
    for i in range(len(text)):
        if i >= length:
            sums[i - length] = total
            total -= (np.uint64(text[i - length]) + ONE) * HASH_POWERS[length - 1]
        total = (total + np.uint64(text[i]) + ONE) * HASH_POWERS[0]


def sums_at(text: Bytes, places: Ints, length: int) -> Words:
    """Return the sums over the contexts before some places, of which as many bytes stand before all."""
    return sums_of(text, length)[places - length]


def index_of(keys: Words) -> Index:
    """Return an index of different keys."""
    own = Index(keys, np.full(len(keys) * 5 // 3 + 2, NONE, np.int32))
    _insert(own)
    return own


@compiled
def _insert(own: Index) -> None:
    """Fill the slots."""
    for k in range(len(own.keys)):
        own.slots[_slot(own, own.keys[k])] = k


@compiled
def _slot(own: Index, key: Any) -> Any:
    """Return the slot that has a key, or the free one where it would be."""
    slot: Any = np.int64((((key * LONG_HASH) >> U32) * np.uint64(len(own.slots))) >> U32)
    while own.slots[slot] >= 0 and own.keys[own.slots[slot]] != key:
        slot = slot + 1 if slot + 1 < len(own.slots) else 0
    return slot


@compiled
def _find(own: Index, sums: Words, found: Ints) -> None:
    """Implements :meth:`Candidates.numbers`."""
    for i in range(len(sums)):
        found[i] = own.slots[_slot(own, sums[i] & ~BYTE)]


# ---- candidates ---------------------------------------------------------------------------------


def candidates(corpus: Corpus, length: int) -> Candidates:
    """Return the contexts of a length that stand in LEAST blocks and as many times."""
    sums = sums_of(corpus.text, length)
    sums &= ~BYTE
    sums |= corpus.text[length:]
    sums.sort()
    keys = sums[: _gather(sums, LEAST)].copy()
    index, symbols, count = index_of(keys & ~BYTE), (keys & BYTE).astype(np.uint8), len(keys)
    blocks, weight, places = np.zeros((2, count), np.int64), np.zeros(count), np.zeros(count, np.int64)
    own = Candidates(length, index, symbols, blocks, weight, places, np.zeros(count))
    _roll(corpus.text, length, sums)
    _count(corpus, own, sums, np.full_like(blocks, NONE))
    return own.some(blocks.sum(0) >= LEAST)


@compiled
def _gather(keys: Words, least: int) -> int:
    """Move the most common key of every context to the front, of contexts that stand so many times, and return their
    number. keys: of contexts, each with the byte behind it as its low eight bits, in order
    """
    count = i = 0
    while i < len(keys):
        first, most = i, 0
        best = keys[i]
        while i < len(keys) and keys[i] | BYTE == best | BYTE:
            start = i
            while i < len(keys) and keys[i] == keys[start]:
                i += 1
            if i - start > most:
                most, best = i - start, keys[start]
        if i - first >= least:
            keys[count] = best
            count += 1
    return count


@compiled
def _count(corpus: Corpus, own: Candidates, sums: Words, latest: Ints) -> None:
    """Count blocks. sums: of all contexts of the length; latest: blocks that were counted last, NONE first [2, N]"""
    file = 0
    for i in range(len(sums)):
        place = i + own.length
        while corpus.ends[file] <= place:
            file += 1
        which = own.by_key.slots[_slot(own.by_key, sums[i] & ~BYTE)]
        if which >= 0:
            other = 0 if corpus.text[place] == own.symbols[which] else 1
            if latest[other, which] != place // corpus.block:
                latest[other, which] = place // corpus.block
                own.blocks[other, which] += 1
                own.weight[which] += corpus.weights[file]
                if not other:
                    own.places[which] = place


# ---- what the network knows ---------------------------------------------------------------------


def sample_of(texts: Sequence[tuple[bytes, float]], chunks: int, predict: Predict, size: int = CHUNK) -> Sample:
    """Return so many chunks of each text, spread over it, as a network predicts them."""
    parts = []
    for text, share in texts:
        count = max(min(chunks, len(text) // size), 1)
        for k in range(count):
            start = int((k + 0.5) / count * max(len(text) - size, 0))
            found = _predicted(predict(text[start : start + size]))
            parts.append((*found, np.full(len(found[0]), share / count / len(found[0]))))
    symbols, costs, known, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    said, likely = np.full(len(symbols), NONE, np.int64), np.zeros(len(symbols))
    return Sample(symbols, costs, known, weight / weight.sum(), said, likely)


def _predicted(steps: Iterable[tuple[Array, Ints, Ints]]) -> tuple[Bytes, Bytes, Ints]:
    """(bytes, costs, how many of the stream stand before) of a text, stream after stream."""
    found = [(_costs(weights), streams, symbols) for weights, streams, symbols in steps]  # costs alone take little room
    costs, streams, symbols = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    order = streams.argsort(kind="stable")
    known = np.arange(len(order)) - np.searchsorted(streams[order], streams[order])
    return symbols[order].astype(np.uint8), costs[order], known


def _costs(weights: Array) -> Bytes:
    """Return what bytes cost that have some weights."""
    share = weights / weights.sum(1, keepdims=True, dtype=np.int64)
    bits = -np.log2(np.maximum(share, 2.0 ** (-255 / UNIT)))
    costs: Bytes = np.rint(UNIT * bits).astype(np.uint8)
    return costs


# ---- choosing -----------------------------------------------------------------------------------


def entries_of(corpus: Corpus, sample: Sample, lengths: Sequence[int], least: float) -> Iterator[Candidates]:
    """Candidates of each length that spare so many bits. The sample learns of them; lengths rise."""
    base, kept = candidates(corpus, min(BASE, lengths[0])), list[Candidates]()
    for length in lengths:
        own = candidates(corpus, length)
        at = np.pad(own.numbers(sums_of(sample.text, length)), (length, 0))[: len(sample.text)]
        at[sample.known < length] = NONE
        tried = np.zeros((2, len(at)))
        _try(sample, own, at, tried)
        own = own._replace(score=own.weight * _spared(at, _cells(corpus, own, base, kept), tried[1]))
        keep = own.score >= least
        known = np.append(keep, False)[at]  # NONE is the last
        sample.said[known], sample.share[known] = own.symbols[at[known]], tried[0, known]
        kept.append(own.some(keep))
        spared = (tried[1] * sample.weight)[known].sum()
        click.echo(f"# {length} bytes: {keep.sum():,} of {len(keep):,} are kept, {spared:.4f} bits a byte are spared")
        yield kept[-1]


def _cells(corpus: Corpus, own: Candidates, base: Candidates, kept: Sequence[Candidates]) -> Ints:
    """Return numbers of candidates, one for all that are alike: in blocks, in confidence, in what their last bytes
    foretell, and in whether the longest shorter entry, if there is one, expects the same byte.
    """
    at = base.numbers(sums_at(corpus.text, own.places, base.length))
    sure, same = np.append(base.blocks[0] / base.blocks.sum(0), 0)[at], np.append(base.symbols, 0)[at] == own.symbols
    foretold = np.where(at < 0, 0.05, np.where(same, sure, (1 - sure) * 0.2))
    relation = np.zeros(len(at), np.int64)
    for shorter in kept:
        at = shorter.numbers(sums_at(corpus.text, own.places, shorter.length))
        same = np.append(shorter.symbols, 0)[at] == own.symbols
        relation = np.where(at < 0, relation, np.where(same, 1, 2))
    levels = np.digitize(own.blocks.sum(0), COUNT_LEVELS), own.sure(), np.digitize(foretold, BASE_LEVELS), relation
    return np.ravel_multi_index(levels, CELLS).astype(np.int64)


@compiled
def _try(sample: Sample, own: Candidates, at: Ints, tried: Floats) -> None:
    """Set what the candidates at places of the sample make of them: the probability of their byte, and the bits they
    spare. at: number of a candidate, or NONE [T]; tried: [2, T]
    """
    for i in range(len(at)):
        if at[i] >= 0:
            symbol = np.int64(own.symbols[at[i]])
            hit = sample.text[i] == symbol
            before = min(max(_share(sample, i, symbol), 1e-5), 0.9999)
            right, wrong = own.blocks[0, at[i]] - (1 if hit else 0), own.blocks[1, at[i]] - (0 if hit else 1)
            sure = min(max(max(right - DOUBT, 0.1) / (right + wrong + MORE), 0.02), 0.995)
            logit = NETWORK * np.log(before / (1 - before)) + ENTRY * np.log(sure / (1 - sure))
            after = 1 / (1 + np.exp(-logit))
            tried[0, i] = after
            tried[1, i] = np.log2(after / before if hit else (1 - after) / (1 - before))


@compiled
def _share(sample: Sample, i: int, symbol: int) -> Any:
    """Return the probability of a byte, by the network and the entries so far."""
    said = sample.said[i]
    share = 2.0 ** (-np.float64(sample.costs[i, symbol]) / UNIT)
    if said == symbol:
        share = sample.share[i]
    elif said >= 0:
        share *= (1 - sample.share[i]) / (1 - min(2.0 ** (-np.float64(sample.costs[i, said]) / UNIT), 0.9999))
    return share


def _spared(at: Ints, alike: Ints, bits: Floats) -> Floats:
    """Return what each candidate spares at a place, in bits, given those in the sample. alike: see :func:`_cells`"""
    at, bits = at[at >= 0], bits[at >= 0]
    count, cells, room = len(alike), alike[at], math.prod(CELLS)
    mean = (np.bincount(cells, bits, room) + ALIKE * FIRST) / (np.bincount(cells, minlength=room) + ALIKE)
    return (np.bincount(at, bits, count) + OWN * mean[alike]) / (np.bincount(at, minlength=count) + OWN)


# ---- the table ----------------------------------------------------------------------------------


def table_of(corpus: Corpus, found: Sequence[Candidates], count: int) -> Phrases:
    """Return a table of so many buckets, each of which keeps the best; how often they are right is not known yet."""
    parts = []
    for own in found:
        bucket, mark = buckets(count, sums_at(corpus.text, own.places, own.length), own.length)
        parts.append((own.score, bucket, mark | (own.sure() << MARK_BITS).astype(np.uint16), own.symbols))
    score, bucket, entry, symbol = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    words, symbols = np.zeros((count, ENTRIES), np.uint16), np.zeros((count, ENTRIES), np.uint8)
    _put(np.argsort(-score, kind="stable"), bucket, entry, symbol, words, symbols)
    tensors = {
        "entries": np.concatenate([words.view(np.uint8), symbols], 1),
        "lengths": np.array([own.length for own in found]),
        "right": np.zeros((FORMS, BITS), np.uint16),
    }
    return phrases_of(tensors, "phrases")


@compiled
def _put(order: Ints, bucket: Ints, entry: Array, symbol: Bytes, words: Array, symbols: Bytes) -> None:
    """Put entries into their buckets while there is room. A mark is there once: a second one would never be found."""
    for i in order:
        way, mark = 0, entry[i] & ((1 << MARK_BITS) - 1)
        while way < ENTRIES and words[bucket[i], way] > 0 and words[bucket[i], way] & ((1 << MARK_BITS) - 1) != mark:
            way += 1
        if way < ENTRIES and words[bucket[i], way] == 0:
            words[bucket[i], way], symbols[bucket[i], way] = entry[i], symbol[i]


def right_of(own: Phrases, texts: Iterable[bytes]) -> NDArray[np.uint16]:
    """Return how often the bits were right that a table foretold in texts, as :class:`Phrases` has it. Each text counts
    the same; forms that come seldom are as those of their confidence, and these as all.
    """
    right, seen, first = np.zeros((FORMS, BITS)), np.zeros((FORMS, BITS)), int(own.lengths[-1])
    for text in texts:
        whole = np.frombuffer(text, np.uint8)
        symbol, sums = whole[first:].astype(np.int64), np.zeros((first, max(len(text) - first, 0)), np.uint64)
        for length in own.lengths.tolist():
            sums[length - 1] = sums_of(whole, length)[first - length :]
        byte, form = recall(own, sums)
        for bit in range(BITS):
            rest = BITS - bit
            here = (byte >= 0) & (byte >> rest == symbol >> rest)
            good = here & (byte >> (rest - 1) == symbol >> (rest - 1))
            seen[:, bit] += np.bincount(form[here], minlength=FORMS) / max(len(text), 1)
            right[:, bit] += np.bincount(form[good], minlength=FORMS) / max(len(text), 1)
    share = np.full((FORMS, BITS), 0.5)
    for alike in (FORMS, MOST_LENGTHS, 1):
        hits, trials = (np.repeat(a.reshape(-1, alike, BITS).sum(1), alike, 0) for a in (right, seen))
        share = (hits + PRIOR * share) / (trials + PRIOR)
    found: NDArray[np.uint16] = np.rint(65536 * share).clip(1, MOST_RIGHT).astype(np.uint16)
    return found


# ---- command ------------------------------------------------------------------------------------


class Source(click.ParamType[tuple[Path, float]]):
    """A file and its share in all, such as a.txt or a.txt=0.3."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, float]:
        name, _, share = str(value).rpartition("=")
        if Path(value).is_file():
            return Path(value), 1.0
        if not Path(name).is_file() or not share.replace(".", "", 1).isdecimal() or not 0 < float(share) < math.inf:
            self.fail(f"expected a file, or a file and its share such as a.txt=0.3, found {value}", param, ctx)
        return Path(name), float(share)


def rising(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """Return lengths, such as 6,8,12."""
    found = [int(part) if part.isdecimal() else 0 for part in value.split(",")]
    if found != sorted(set(found)) or not 0 < found[0] <= found[-1] <= MOST_LENGTH or len(found) > MOST_LENGTHS:
        raise click.BadParameter(f"expected at most {MOST_LENGTHS} lengths, rising up to {MOST_LENGTH}, found {value}")
    return tuple(found)


FILE, COUNT = click.Path(exists=True, dir_okay=False, path_type=Path), click.IntRange(1)


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("files", nargs=-1, required=True, type=Source())
@click.option("--held-out", multiple=True, required=True, type=FILE, help="Where rights are counted.")
@click.option("--part", default=100, type=click.IntRange(1, 100), show_default=True, help="Percent of each, its head.")
@click.option("-m", "--model", default="text", show_default=True, help="Model whose network predicts.")
@click.option("--lengths", default="6,8,10,12,16,20", show_default=True, callback=rising, help="Bytes of contexts.")
@click.option("--chunks", default=5, type=COUNT, show_default=True, help=f"Of {CHUNK:,} bytes, predicted in each file.")
@click.option("--least", default=0.25, show_default=True, help="Bits that an entry spares in all texts, at least.")
@click.option("--buckets", "count", default=400_000, type=COUNT, show_default=True, help=f"Of {ENTRIES} entries each.")
@click.option("-o", "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def main(
    files: tuple[tuple[Path, float], ...],
    held_out: tuple[Path, ...],
    part: int,
    model: str,
    lengths: tuple[int, ...],
    chunks: int,
    least: float,
    count: int,
    out: Path,
) -> None:
    from safetensors.numpy import save

    from bfncodec.codecs.loading import load

    texts = [(content(file), share) for file, share in files]
    if not all(text for text, _ in texts):
        raise click.UsageError("expected texts, found an empty file")
    out.parent.mkdir(parents=True, exist_ok=True)
    sample = sample_of(texts, chunks, partial(steps, load(model, threads=1)))
    corpus = corpus_of(texts, BLOCK)
    own = table_of(corpus, list(entries_of(corpus, sample, lengths, least)), count)
    heads = (text[: len(text) * part // 100] for text in map(content, held_out))
    tensors: dict[str, Array] = {
        "entries": own.words.view(np.uint8),
        "lengths": own.lengths,
        "right": right_of(own, heads),
    }
    out.write_bytes(save(tensors))


if __name__ == "__main__":
    main()
