"""Payloads of texts, read by the second reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bfncodec.coding import machinecode
from bfncodec.coding.bitcoder import BitEncoder
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import MACHINE_CONTEXTS
from bfncodec.errors import DamagedError
from reader.errors import ReaderError
from reader.mixing import Mixer, Phrases
from reader.model import Model
from reader.rangecoder import RangeDecoder
from reader.text import decode_text, relative
from support.cases import ROWS, digest, export_learned
from support.models import TEXT, export_text
from support.places import GOLDEN, ROOT

TINY = GOLDEN / "tiny"
INDEX = json.loads((TINY / "index.json").read_text())
WORDS = b"to be or not to be: that is the question. "
TABLE = "".join(f"{n},{n * n / 4},{-n / 9:.9f}\n" for n in range(6, 14)).encode()
VECTOR = "90E812000000E8F7FFFFFF488B0D0E01000090E8FC000000 90E810000000E8F0FFFFFF488B0D0001000090E8E8000000"
Load = Callable[[Any], Any]


def numbers(size: int) -> bytes:
    return np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()


@pytest.mark.parametrize("name", ["text-of-200", "mixed-text", "phrased-text", "learned-text", "corrected-text"])
def test_golden_payloads(name: str) -> None:
    assert digest(decode_text(TINY / name, (TINY / name / "payload").read_bytes())) == INDEX[name]


@pytest.mark.parametrize("size", [0, 1, 7, 45, 97, 151])
def test_texts_of_all_orders(size: int, load: Load) -> None:
    """One lane and many; one tooth, two and four; teeth that end early."""
    text, folder = numbers(size), TINY / "text-of-200"
    assert decode_text(folder, load(folder).encode(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [WORDS[:15], WORDS[:17], bytes(60), WORDS * 3, numbers(30) * 4, TABLE],
    ids=["short", "one", "zeros", "words", "n", "table"],
)
@pytest.mark.parametrize("name", ["mixed-text", "phrased-text", "learned-text"])
def test_texts_that_are_mixed(name: str, text: bytes, load: Load) -> None:
    folder = TINY / name
    assert decode_text(folder, load(folder).encode(text)) == text


@pytest.mark.parametrize(
    "text",
    [b"t", b"or not to be or", WORDS[:42] * 2, numbers(99), bytes(50), b"no such no such no such"],
    ids=["one", "few", "words", "n", "zeros", "pair"],
)
def test_texts_that_are_corrected(text: bytes, load: Load) -> None:
    """In one lane and two, of one tooth and two."""
    folder = TINY / "corrected-text"
    assert decode_text(folder, load(folder).encode(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize("dictionary", [b"!", ROWS[:21], WORDS * 3], ids=["byte", "stream", "streams"])
def test_texts_with_dictionaries(dictionary: bytes, load: Load, tmp_path: Path) -> None:
    folder = export_learned(tmp_path / "learned", dictionary)
    for text in (b"?", ROWS[20:50], WORDS[:30] + ROWS[5:40]):
        assert decode_text(folder, load(folder).encode(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize("text", [b"ab" * 280, WORDS * 5], ids=["pairs", "words"])
def test_long_texts_that_are_mixed(text: bytes, load: Load) -> None:
    """Counts of more than 255 are halved, and so are the numbers of maps."""
    folder = TINY / "mixed-text"
    assert decode_text(folder, load(folder).encode(text)) == text


@pytest.mark.parametrize(
    "shape",
    [
        {"ngrams": ((2, 6), (3, 7)), "ngram_bits": 4},
        {"ngrams": ()},
        {"context": (7, 0)},
        {"width": 24, "heads": 1, "ngrams": ((1, 5),)},
    ],
    ids=["four bits", "no n-grams", "contexts", "width 24"],
)
def test_networks_of_other_shapes(shape: dict[str, Any], load: Load, tmp_path: Path) -> None:
    export_text(tmp_path, shape=replace(TEXT, **shape))
    text = numbers(75)
    assert decode_text(tmp_path, load(tmp_path).encode(text)) == text


def test_machine_code_is_mixed_with_more_places() -> None:
    rng = np.random.default_rng(5)
    columns = rng.choice([0xE8, 0, 255, 0x48], (30, 2)).astype(np.int64)
    weights = rng.integers(1, 1 << 20, (30, 2, 256)).astype(np.int32)
    encoder, mixer = BitEncoder(), ContextMixer(60, 2, MACHINE_CONTEXTS)
    for weight, column in zip(weights, columns, strict=True):
        ones = mixer.encode(weight, np.arange(2), column)
        encoder.append(bit_intervals(ones.ravel(), bits_of(column).ravel()))
    decoder, reader = RangeDecoder(encoder.finish(), 3), Mixer(60, 2, machine=True, phrases=Phrases({}))
    assert [reader.step(weight.tolist(), [0, 1], decoder) for weight in weights] == columns.tolist()


def test_distances_in_machine_code() -> None:
    page = (ROOT / "docs" / "payloads.md").read_text(encoding="utf-8")
    before, after = VECTOR.split()
    assert f"of {before} become {after}." in page
    assert relative(bytes.fromhex(before)) == machinecode.relative(bytes.fromhex(before)) == bytes.fromhex(after)
    data = np.random.default_rng(1).choice([0xE8, 0xE9, 0, 255, 1, 0x48, 0x8B, 0x05], 5000).astype(np.uint8).tobytes()
    assert relative(machinecode.absolute(data)) == data


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text-of-200", "phrased-text", "learned-text", "corrected-text"])
def test_changed_payloads_have_the_same_verdict(name: str, load: Load) -> None:
    """Without checksums most of them are other texts, and then the same ones."""
    codec, payload = load(TINY / name), load(TINY / name).encode(WORDS[:18])
    rng = np.random.default_rng(0)
    for place in rng.integers(1, len(payload), 3).tolist():
        changed = payload[:place] + bytes([payload[place] ^ int(rng.integers(1, 256))]) + payload[place + 1 :]
        for damaged in (changed, payload[:place], payload[:1] + b"\xff" * place):
            try:
                expected = codec.decode(damaged)
            except DamagedError:
                with pytest.raises(ReaderError):
                    decode_text(TINY / name, damaged)
            else:
                assert decode_text(TINY / name, damaged) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text-fast", "text"])
def test_short_texts_of_models_that_ship(name: str, load: Load) -> None:
    folder, text = ROOT / "models" / name, WORDS[:9] * 2
    codec = load(folder)
    assert bytes.fromhex(Model(folder).sha256)[:4] == codec.info.id
    assert decode_text(folder, codec.encode(text)) == text
