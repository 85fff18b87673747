"""Corrections: what phrases and matches are worth in short texts, learned for a network from texts it has not seen.

    python -m benchmarks.corrections FILE FILE -m text

Pieces of 40 to 350 bytes of each file are predicted by the model's network. A line of its logit is fitted to whether
an expected byte comes, for each kind of phrase; then one for each kind of match, of what those lines made of it. It
prints what the table `mixing` in the model's config.json has as `corrections`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.texts import content
from bfncodec.coding.mixing.corrections import (
    CONFIDENCES,
    LEAST,
    MATCH_LINES,
    MOST_SHIFT,
    MOST_SLOPE,
    RELATIONS,
    SLOPE_BITS,
    Corrections,
    Corrector,
    move,
)
from bfncodec.coding.mixing.matches import NONE
from bfncodec.coding.mixing.phrases import MOST_LENGTHS, Phrases
from bfncodec.coding.mixing.state import log_odds
from bfncodec.coding.tables import LOGISTIC_STEPS
from bfncodec.runtime.arrays import Floats, Ints

SIZES = (40, 80, 150, 250, 350)  # bytes of pieces
TOGETHER = 64  # pieces that are predicted at a time
FIRST_SLOPE, FIRST_SHIFT = 0.8, 0.5  # of lines that nothing is known of
SLOPE_PRIOR, SHIFT_PRIOR = 20.0, 2.0  # how many places these count for, about
ROUNDS = 60


class Seen(NamedTuple):
    """A byte that was expected at each of N places."""

    logit: Floats  # the prediction's
    kind: Ints
    came: Floats  # 1 where it did


def pieces(text: bytes, size: int, count: int, rng: np.random.Generator) -> list[bytes]:
    """Return pieces of a text that begin behind a line or a word."""
    found = []
    for at in rng.integers(0, max(len(text) - size - 60, 1), count).tolist():
        near = text[at : at + 60]
        begin = at + max(near.find(b"\n"), near.find(b" ") if b"\n" not in near else 0) + 1
        found.append(text[begin : begin + size])
    return [piece for piece in found if len(piece) == size]


def predictions(codec: Any, texts: Sequence[bytes]) -> Iterator[tuple[Any, Any]]:
    """(weights [L n, 256], symbols [L, n]) of texts of one size, some at a time."""
    for first in range(0, len(texts), TOGETHER):
        own = texts[first : first + TOGETHER]
        symbols = np.frombuffer(b"".join(own), np.uint8).reshape(len(own), -1)
        state = codec.network.compiled.start(len(own), 1, symbols.shape[1], symbols.shape[1])
        state.reveal(0, symbols[:, None].copy())
        yield state.predict(0, symbols.shape[1]).reshape(symbols.size, -1), symbols


def lines(seen: Seen, count: int) -> Ints:
    """Slopes and shifts for each of so many kinds, by Newton's method on the bits of whether bytes came, [2, count]."""
    slope, shift = np.full(count, FIRST_SLOPE), np.full(count, FIRST_SHIFT)

    def sums(values: Floats) -> Floats:
        found: Floats = np.bincount(seen.kind, values, count).astype(np.float64)
        return found

    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-(slope[seen.kind] * seen.logit + shift[seen.kind])))
        wrong, sure = seen.came - chance, chance * (1 - chance)
        down = sums(wrong * seen.logit) - SLOPE_PRIOR * (slope - FIRST_SLOPE)
        right = sums(wrong) - SHIFT_PRIOR * (shift - FIRST_SHIFT)
        a, b = sums(sure * seen.logit**2) + SLOPE_PRIOR, sums(sure * seen.logit)
        c = sums(sure) + SHIFT_PRIOR
        slope += ((c * down - b * right) / (a * c - b * b)).clip(-0.3, 0.3)
        shift += ((a * right - b * down) / (a * c - b * b)).clip(-1, 1)
    whole = np.stack([np.rint(slope * (1 << SLOPE_BITS)), np.rint(shift * LOGISTIC_STEPS)]).astype(np.int64)
    return whole.clip([[-MOST_SLOPE], [-MOST_SHIFT]], [[MOST_SLOPE], [MOST_SHIFT]])


def seen_of(weights: Any, byte: Ints, kind: Ints, symbols: Ints) -> Seen:
    """Return what was seen where a byte was expected."""
    row = np.flatnonzero(byte >= 0)
    own = weights[row, byte[row]].astype(np.int64)
    logit = log_odds(own, weights[row].sum(1, dtype=np.int64) - own) / LOGISTIC_STEPS
    return Seen(logit, kind[row], (byte == symbols)[row].astype(np.float64))


def joined(parts: Sequence[Seen]) -> Seen:
    """Return what was seen in all."""
    return Seen(*map(np.concatenate, zip(*parts, strict=True)))


def learn(codec: Any, phrases: Phrases, texts: Sequence[Sequence[bytes]]) -> Corrections:
    """Return corrections that are learned from texts, those of one size together."""
    kinds, first, found = CONFIDENCES * len(phrases.lengths), [], []
    nothing = Corrections(np.zeros((2, kinds), np.int64), np.zeros((2, MATCH_LINES), np.int64))
    for own in texts:
        for weights, symbols in predictions(codec, own):
            corrector = Corrector(len(symbols), symbols.shape[1], phrases, nothing)
            corrector.reveal(0, symbols[:, None])
            expected, came = corrector.expected(0, symbols.shape[1]), symbols.ravel().astype(np.int64)
            kind = expected.form // MOST_LENGTHS * len(phrases.lengths) + expected.form % MOST_LENGTHS
            first.append(seen_of(weights, expected.phrase, kind, came))
            found.append((weights[expected.match >= 0], kind, expected, came))
    of_phrases, second = lines(joined(first), kinds), []
    for weights, kind, expected, came in found:
        here = expected.match >= 0
        phrase, match = expected.phrase[here], expected.match[here]
        move(weights, phrase, *of_phrases.take(kind[here], 1))
        relation = np.where(phrase == NONE, 0, np.where(phrase == match, 1, 2))
        second.append(seen_of(weights, match, (expected.length[here] - LEAST) * RELATIONS + relation, came[here]))
    return Corrections(of_phrases, lines(joined(second), MATCH_LINES))


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-m", "--model", default="text", show_default=True, help="Model whose network predicts.")
@click.option("--size", default=30_000, show_default=True, help="Bytes of all pieces of one size, of each file.")
def main(files: tuple[Path, ...], model: str, size: int) -> None:
    from bfncodec.codecs.loading import load

    codec: Any = load(model, threads=1)
    if codec.phrases is None:
        raise click.UsageError(f"expected a model with phrases, found {model}")
    rng, whole = np.random.default_rng(1), [content(file) for file in files]
    texts = [[piece for text in whole for piece in pieces(text, each, size // each, rng)] for each in SIZES]
    found = learn(codec, codec.phrases, texts)
    click.echo(json.dumps({key: value.tolist() for key, value in found._asdict().items()}))


if __name__ == "__main__":
    main()
