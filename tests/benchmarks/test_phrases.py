"""Making phrases: counts are of blocks, what spares bits is kept, buckets take the best, and rights are counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from benchmarks import phrases as tool
from benchmarks.phrases import (
    Candidates,
    Sample,
    candidates,
    corpus_of,
    entries_of,
    index_of,
    right_of,
    rising,
    sample_of,
    sums_of,
    table_of,
)
from bfncodec.coding.mixing.matches import BITS, FORMS, NONE
from bfncodec.coding.mixing.phrases import MOST_LENGTHS, Phrases, phrases_of, recall
from bfncodec.coding.mixing.state import HASH_POWERS
from support.mixing import one_hot, uniform
from support.mixing import phrases as phrases_with

pytest.importorskip("numba")

PHRASE = b"to be or not to be, that is the question"
BLOCK = 100


def noise(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8).tobytes()


def repeated(blocks: int) -> bytes:
    """Blocks of noise, each with the phrase in it."""
    return b"".join(noise(BLOCK - len(PHRASE), seed) + PHRASE for seed in range(blocks))


TEXT = repeated(10)


def knows_nothing(text: bytes) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Steps of a text in two streams, of which no network knows anything."""
    half = len(text) // 2
    for pair in zip(text[:half], text[half:], strict=True):
        yield uniform(2), np.arange(2), np.array(pair)


def knows_all(text: bytes) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for symbol in text:
        yield one_hot(symbol), np.zeros(1, np.int64), np.array([symbol])


def contexts(text: bytes, own: Candidates) -> dict[bytes, int]:
    """Return the numbers of candidates by their contexts."""
    return {text[place - own.length : place]: k for k, place in enumerate(own.places.tolist())}


def chosen(lengths: tuple[int, ...], least: float, sample: Sample | None = None) -> list[Candidates]:
    sample = sample or sample_of([(TEXT, 1.0)], 1, knows_nothing)
    return list(entries_of(corpus_of([(TEXT, 1.0)], BLOCK), sample, lengths, least))


def recalled(own: Phrases, text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return what is expected behind the first 24 bytes of a text and from there on."""
    whole = np.frombuffer(text, np.uint8)
    return recall(own, np.stack([sums_of(whole, n)[24 - n :] for n in range(1, 25)]))


def test_sums_are_those_of_the_mixer() -> None:
    text = np.frombuffer(b"some bytes", np.uint8)
    wanted = [sum((int(text[i - 1 - k]) + 1) * int(HASH_POWERS[k]) for k in range(4)) for i in range(4, 10)]
    assert sums_of(text, 4).tolist() == [total % (1 << 64) for total in wanted]
    assert len(sums_of(text, 11)) == 0


def test_table_foretells_a_phrase_that_was_repeated() -> None:
    own = table_of(corpus_of([(TEXT, 1.0)], BLOCK), chosen((6, 12), 0.25), 64)
    byte, form = recalled(own, noise(24, 99) + PHRASE)
    assert (byte[6:] == list(PHRASE[6:])).all()
    assert (form[12:] % MOST_LENGTHS == 1).all()
    assert (byte[:6] == NONE).all()
    assert (form[12:] // MOST_LENGTHS >= 5).all()


def test_counts_are_of_distinct_blocks() -> None:
    once = b"again and again " * 6
    text = once.ljust(BLOCK, b"\0") + repeated(3) + (b"not to do" + noise(30, 7)).ljust(BLOCK, b"\1") + PHRASE
    own = candidates(corpus_of([(text, 1.0)], BLOCK), 6)
    found = contexts(text, own)
    assert b"again " not in found
    assert own.blocks[:, found[b"not to"]].tolist() == [5, 0]
    assert own.blocks[:, found[b"ot to "]].tolist() == [4, 1]
    assert own.symbols[found[b"ot to "]] == ord("b")
    assert own.weight[found[b"ot to "]] == 5


def test_blocks_weigh_what_their_text_does() -> None:
    texts = [(repeated(3), 3.0), (repeated(6), 1.0)]
    own = candidates(corpus_of(texts, BLOCK), 6)
    found = contexts(texts[0][0] + texts[1][0], own)
    assert own.blocks[:, found[b"not to"]].tolist() == [9, 0]
    assert own.weight[found[b"not to"]] == pytest.approx(900 * (3 * 0.75 / 300 + 6 * 0.25 / 600))


def test_what_is_known_already_is_left_out() -> None:
    least = 30.0
    alone, *_ = chosen((12,), least)
    short, longer = chosen((6, 12), least)
    assert len(alone.symbols) > 20
    assert len(short.symbols) > 20
    assert len(longer.symbols) == 0
    assert len(chosen((6,), least, sample_of([(TEXT, 1.0)], 1, knows_all))[0].symbols) == 0


def test_an_entry_is_tried_without_its_own_block() -> None:
    """It spares as much as nine of ten blocks that agree make of the network's 1 / 256."""
    (own,) = chosen((6,), 0.0)
    before, sure = 1 / 256, (9 - 0.6) / (9 + 0.3)
    logit = 0.7 * np.log(before / (1 - before)) + 0.5 * np.log(sure / (1 - sure))
    score = own.score[contexts(TEXT, own)[b"not to"]]
    assert score == pytest.approx(10 * np.log2(256 / (1 + np.exp(-logit))), rel=0.03)


def test_sample_is_of_chunks_spread_over_each_text() -> None:
    first, second = noise(100, 0), noise(7, 1) * 2
    sample = sample_of([(first, 1.0), (second, 3.0)], 2, knows_nothing, size=20)
    assert sample.text.tobytes() == first[20:40] + first[60:80] + second
    assert sample.known.tolist() == [*range(10)] * 4 + [*range(7)] * 2
    assert (sample.costs == 8 * tool.UNIT).all()
    assert sample.weight == pytest.approx(np.repeat([0.25 / 40, 0.75 / 14], [40, 14]))


def test_buckets_keep_the_best() -> None:
    text = np.frombuffer(noise(60, 5), np.uint8)
    places = np.arange(10, 40)
    score = np.random.default_rng(0).permutation(30).astype(float)
    blocks, index = np.array([[9] * 30, [0] * 30]), index_of(np.zeros(0, np.uint64))
    own = Candidates(4, index, text[places], blocks, np.ones(30), places, score)
    table = table_of(corpus_of([(text.tobytes(), 1.0)], BLOCK), [own], 1)
    byte, _ = recalled(table, bytes(20) + text.tobytes())
    found = byte[places - 4] == text[places]
    assert sorted(score[found]) == [*range(22, 30)]


def test_right_is_what_was_counted() -> None:
    own = phrases_with({b"ab": (b"c", 3), b"xyz": (b"q", 7)})
    texts = [b".." + (b"abc" * 3 + b"ab`") * 50, b"..xyzq" * 40 + b"..xyz\xf1" * 10]
    right = right_of(own, texts) / 65536
    ab, xyz = 3 * MOST_LENGTHS, 7 * MOST_LENGTHS + 1
    assert right.shape == (FORMS, BITS)
    # `c` is 01100011 and the fourth byte 01100000; behind the first bit that is wrong no other one is foretold.
    assert right[ab] == pytest.approx([1, 1, 1, 1, 1, 1, 0.75, 1], abs=0.01)
    assert right[xyz] == pytest.approx([0.8, 1, 1, 1, 1, 1, 1, 1], abs=0.01)
    # Other forms of this confidence are as this one.
    assert right[ab + 1] == pytest.approx(right[ab], abs=0.01)


def test_files_may_have_shares(tmp_path: Path) -> None:
    file = tmp_path / "a=b.txt"
    file.write_bytes(b"x")
    source = tool.Source()
    assert source.convert(str(file), None, None) == (file, 1)
    assert source.convert(f"{file}=0.3", None, None) == (file, 0.3)
    for wrong in (f"{file}=", f"{file}=0", f"{file}=-1", f"{file}=much", f"{tmp_path / 'none'}=1", ""):
        with pytest.raises(click.BadParameter, match=r"expected a file, or a file and its share"):
            source.convert(wrong, None, None)


def test_lengths_rise() -> None:
    context, param = click.Context(tool.main), tool.main.params[0]
    assert rising(context, param, "6,8,24") == (6, 8, 24)
    for wrong in ("8,6", "0,6", "6,25", "6,,8", "", "1,2,3,4,5,6,7,8,9", "a"):
        with pytest.raises(click.BadParameter, match=r"lengths, rising up to 24"):
            rising(context, param, wrong)


def test_command_writes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bfncodec.codecs.loading.load", lambda model, threads: None)
    monkeypatch.setattr(tool, "steps", lambda codec, text: knows_nothing(text))
    monkeypatch.setattr(tool, "BLOCK", BLOCK)
    paths = {name: tmp_path / name for name in ("a.txt", "b.txt", "held.txt", "none.txt")}
    for path, text in zip(paths.values(), (TEXT, repeated(3), TEXT[-50:] * 2, b""), strict=True):
        path.write_bytes(text)
    out = tmp_path / "made" / "phrases.safetensors"
    names = [str(paths["a.txt"]), f"{paths['b.txt']}=0.5"]
    options = ["--held-out", str(paths["held.txt"]), "--buckets", "32", "--lengths", "6,9", "-o", str(out)]
    found = CliRunner().invoke(tool.main, [*names, *options])
    assert found.exit_code == 0, found.output
    assert [line.split(":")[0] for line in found.output.splitlines()] == ["# 6 bytes", "# 9 bytes"]
    own = phrases_of(load_file(out), "it")
    assert (recalled(own, bytes(24) + PHRASE)[0][6:] == list(PHRASE[6:])).all()
    assert (own.right[6 * MOST_LENGTHS] > 60_000).all()
    assert CliRunner().invoke(tool.main, [str(paths["none.txt"]), *options]).exit_code == 2


def test_a_table_may_be_empty() -> None:
    own = table_of(corpus_of([(TEXT, 1.0)], BLOCK), chosen((6, 12), 1e9), 4)
    assert (recalled(own, TEXT)[0] == NONE).all()
    assert (right_of(own, [TEXT]) == 1 << 15).all()
